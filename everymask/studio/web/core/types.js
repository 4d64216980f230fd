// The shapes of what the page knows. Types only: nothing here runs.

/**
 * A mask of the photo, with its runs unpacked.
 * @typedef {object} MaskView
 * @property {number} id
 * @property {[number, number]} size height and width of the picture that the runs are of
 * @property {Uint32Array} ends where each run ends, column by column, background first
 * @property {number} area
 * @property {[number, number, number, number]} bbox x, y, width, height
 * @property {string | null} label
 * @property {number | null} predicted_iou
 * @property {number | null} stability_score
 * @property {boolean} locked
 * @property {Record<string, any> | null} [attributes]
 * @property {string} counts
 */

/**
 * One prompt of a draft.
 * @typedef {object} Step
 * @property {"point" | "box"} kind
 * @property {number[]} xy x, y of a point; x0, y0, x1, y1 of a box
 * @property {boolean} include
 * @property {number | null} choice
 */

/** @typedef {{steps: Step[], target: number | null}} Draft */
/** @typedef {{score: number, size: [number, number], ends: Uint32Array, counts: string}} Candidate */
/** `disobeyed`: how many clicks the chosen mask does not follow. @typedef {{candidates: Candidate[], chosen: number, disobeyed: number}} Reply */

/**
 * The photo that is open.
 * @typedef {object} Photo
 * @property {number} id
 * @property {string} name
 * @property {string} [path] where its file lies, for commands that are copied
 * @property {[number, number]} size height, width
 * @property {number} levels
 * @property {{page: number | null, range: string | [number, number]}} view
 * @property {number} look grows whenever the pixels are another picture
 * @property {boolean} encoded
 * @property {number} version
 * @property {string | null} undo
 * @property {string | null} redo
 * @property {Map<number, MaskView>} masks in the order of the list
 * @property {Draft | null} draft
 * @property {Reply | null} reply
 * @property {number} [clip] the clip that this is a frame of
 * @property {number} [frame]
 * @property {string} [base] where its tiles are asked for
 * @property {HTMLImageElement} [picture] the whole frame, perhaps smaller
 * @property {boolean} [moving] no tiles are fetched: the next frame comes at once
 */

/**
 * What was said of an object on a frame.
 * @typedef {{kind: "point" | "box" | "mask", xy?: number[], include?: boolean}} ClipStep
 */

/** @typedef {{counts: string, area: number, score: number, visibility: number}} ClipMask */

/**
 * @typedef {object} Run
 * @property {"running" | "done" | "stopped" | "failed"} state
 * @property {string | null} error
 * @property {number} frame
 * @property {number} done
 * @property {number} total
 * @property {boolean} reverse
 * @property {number[]} objects
 */

/**
 * The clip that is open. Keys of prompts and masks are "frame/object".
 * @typedef {object} Clip
 * @property {number} id
 * @property {string} name
 * @property {[number, number]} size height, width
 * @property {number} length
 * @property {number} frames_per_second
 * @property {number} levels
 * @property {number} version
 * @property {string | null} undo
 * @property {string | null} redo
 * @property {Map<number, {label: string | null, locked: boolean}>} objects
 * @property {Map<string, ClipStep[]>} prompts
 * @property {Map<string, ClipMask>} masks those that were fetched
 * @property {Map<number, Float32Array>} strips how sure the model is, by object: -1 not known, 0 not there
 * @property {Set<number>} loaded windows of frames whose masks were fetched
 * @property {number} frame that is shown
 * @property {Run | null} run
 * @property {boolean} follow whether the frame that is tracked is shown
 * @property {boolean} playing
 * @property {number} stamp grows with every change of the record
 */

/** @typedef {{id: number, name: string, length: number, objects: number}} ClipRow */
/** @typedef {{id: number, name: string, done: boolean, masks: number}} PhotoRow */
/** @typedef {{name: string, color: string}} ClassRow */
/** @typedef {{name: string, for: string, extra: string | null}} FormatRow */

/** @typedef {{points: [number, number][], erase: boolean, radius?: number}} Stroke */
/** What is done to masks, as the server takes it; or how that follows from the photo when it is its turn. @typedef {{type: string, [name: string]: any} | ((photo: Photo) => {type: string, [name: string]: any} | null)} Action */

/** @typedef {"click" | "select" | "brush" | "erase" | "polygon" | "hand"} Tool */

/**
 * What the photo looks like on the stage: screen = (photo - origin) * scale, in CSS pixels. `fits` says that
 * nobody has moved it since it was fitted: then it follows the size of the window.
 * @typedef {{scale: number, x: number, y: number, fits?: boolean}} Camera
 */

/**
 * Masks under some thresholds.
 * @typedef {object} Choice
 * @property {Record<string, number>} thresholds those that differ from the run's own
 * @property {number[]} numbers of the masks
 * @property {Map<number, number>} levels how deep each mask lies within others, where that was asked
 */

/** @typedef {{thrown: Set<number>, thresholds: Record<string, number>, sizes: State["sizes"]}} Chosen */

/**
 * A run of everything mode and what is kept of it.
 * @typedef {object} Findings
 * @property {number} job
 * @property {"running" | "done" | "taken" | "cancelled" | "failed"} state
 * @property {number} done
 * @property {number} total
 * @property {number} found
 * @property {string | null} error
 * @property {Record<string, unknown>} options what the run was asked with
 * @property {Record<string, number>} defaults thresholds of the run
 * @property {Record<string, number[]> | null} histograms
 * @property {Map<number, MaskView>} pool every mask seen so far
 * @property {Choice} choice what the sliders say now
 * @property {Choice | null} pinned what it is compared with
 * @property {Set<number>} thrown numbers of masks that are thrown away by hand
 * @property {{xy: [number, number], reasons: any[]} | null} why
 * @property {Chosen[]} past what was chosen before, for undo
 * @property {Chosen[]} future
 * @property {string | null} last which slider the last step moved
 */

/**
 * Everything the page knows. What is drawn is a function of it.
 * @typedef {object} State
 * @property {{model: string, project: string, version: string}} session
 * @property {PhotoRow[]} photos
 * @property {ClipRow[]} clips
 * @property {Clip | null} clip
 * @property {ClassRow[]} classes
 * @property {FormatRow[]} formats
 * @property {FormatRow[]} clipFormats
 * @property {Photo | null} photo
 * @property {{id: number, name: string, why: string} | null} failed the photo that was to be opened and cannot be
 * @property {Camera} camera
 * @property {{width: number, height: number}} stage
 * @property {Tool} tool
 * @property {number} brush radius in pixels of the photo
 * @property {[number, number] | null} pointer in pixels of the photo
 * @property {(Candidate & {xy: [number, number], finding?: number}) | null} hover
 * @property {number | null} pointed the mask under the pointer, on the photo or in the list
 * @property {number | null} beneath the mask under the pointer on the photo, also where a click asks for another one
 * @property {Set<number>} selected
 * @property {string | null} activeClass
 * @property {{opacity: number, outlines: boolean, isolate: boolean, checker: boolean}} look
 * @property {string | null} voice what to install for spoken commands; null: nothing is missing
 * @property {"off" | "on" | "thinking"} listening to a spoken command
 * @property {number} heard pieces of sound so far
 * @property {"masks" | "everything" | "view"} panel
 * @property {Findings | null} findings
 * @property {string} effort of the next run of everything mode
 * @property {string | null} preset of the next run
 * @property {{name: string, purpose: string}[]} presets there are
 * @property {Record<string, number>} thresholds where the sliders stand
 * @property {{smallest: number, largest: number, level: number | null}} sizes shares of a logarithmic scale; level of the hierarchy
 * @property {number} wiper where the line of the comparison is, as a share of the stage
 * @property {Step[]} pending prompts that are on their way
 * @property {number} busy requests under way
 * @property {boolean} online
 * @property {{box: number[]} | null} rubber the box being drawn
 * @property {Stroke | null} stroke the stroke being painted
 * @property {Stroke[]} strokes painted, on their way
 * @property {[number, number][]} ring corners of the polygon being drawn
 * @property {{mask: MaskView, rings: [number, number][][]} | null} outline the corners of the selected mask, with the polygon tool
 * @property {number} detail how far the corners may be off the mask, in pixels
 * @property {boolean} sheet whether the panel is open on a small screen
 */

export {};
