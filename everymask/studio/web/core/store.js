// One state object. Whoever draws is called once a frame with the state and the one it drew before.

/** @typedef {import("./types.js").State} State */

/** @type {State} */
const initial = {
  session: { model: "", project: "", version: "" },
  photos: [],
  clips: [],
  clip: null,
  classes: [],
  formats: [],
  clipFormats: [],
  photo: null,
  failed: null,
  camera: { scale: 1, x: 0, y: 0 },
  stage: { width: 1, height: 1 },
  tool: "click",
  brush: 16,
  pointer: null,
  hover: null,
  pointed: null,
  beneath: null,
  selected: new Set(),
  activeClass: null,
  look: { opacity: 0.45, outlines: false, isolate: false, checker: false },
  panel: "masks",
  findings: null,
  effort: "normal",
  preset: null,
  voice: null,
  listening: "off",
  heard: 0,
  presets: [],
  thresholds: {},
  sizes: { smallest: 0, largest: 1, level: null },
  wiper: 0.5,
  pending: [],
  busy: 0,
  online: true,
  rubber: null,
  stroke: null,
  strokes: [],
  ring: [],
  outline: null,
  detail: 2,
  sheet: false,
};

/** @type {State} */
let state = initial;
/** @type {State} */
let drawn = initial;
/** @type {((state: State, before: State) => boolean | void)[]} */
const viewers = [];
/** @type {((state: State, before: State) => void)[]} */
const panels = [];
/** What changes while the pointer or the photo moves. @type {Set<string>} */
const MOVING = new Set(["camera", "pointer", "hover", "rubber", "stroke"]);
let asked = false;

/** The state as it is now. */
export function get() {
  return state;
}

/**
 * Change some of the state; what is drawn follows with the next frame.
 * @param {Partial<State>} change
 */
export function set(change) {
  state = { ...state, ...change };
  redraw();
}

/**
 * Change some of the open photo.
 * @param {Partial<import("./types.js").Photo>} change
 */
export function setPhoto(change) {
  if (state.photo) set({ photo: { ...state.photo, ...change } });
}

/** Draw with the next frame. */
export function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const [now, before] = [state, drawn];
    drawn = now;
    let more = false;
    for (const view of viewers) more = view(now, before) === true || more;
    const names = /** @type {(keyof State)[]} */ (Object.keys(now));
    if (names.some((name) => now[name] !== before[name] && !MOVING.has(name))) for (const panel of panels) panel(now, before);
    if (more) redraw();
  });
}

/**
 * Call a function with every state that is drawn; it returns true where it wants another frame.
 * @param {(state: State, before: State) => boolean | void} view
 */
export function view(view) {
  viewers.push(view);
}

/**
 * The same for what shows nothing that moves: it is not called for a frame where only the pointer, the mask under it
 * or the photo moved. Text that is written again, though it is the same, costs a layout.
 * @param {(state: State, before: State) => void} panel
 */
export function viewStill(panel) {
  panels.push(panel);
}
