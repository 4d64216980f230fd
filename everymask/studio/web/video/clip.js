// The clip that is open: its record, the frame that is shown, actions out and patches in.
//
// The frame that is shown stands in the state as a photo, so that the stage, the pointer and the tools work on
// it as on any photo; what they ask for comes here (`takeActions`) and becomes a step in the clip.

import { fitting } from "../core/camera.js";
import { attempt, making, newestOpening, onEvent, onReconnect, only, queued, takeActions, takeClasses, target, unhover } from "../core/desk.js";
import { boxOf, unpack } from "../core/runs.js";
import { Refused, TAB, request } from "../core/server.js";
import { get, set, view } from "../core/store.js";
import { say } from "../panels/notices.js";
import { ahead, forgetPictures, picture } from "./pictures.js";

/** @typedef {import("../core/types.js").Clip} Clip */
/** @typedef {import("../core/types.js").Photo} Photo */
/** @typedef {import("../core/types.js").MaskView} MaskView */

const WINDOW = 32; // masks are fetched for so many frames at once

/** Begin to hear what happens to clips. */
export function startClips() {
  takeActions({ act, make, undo, redo });
  view((state, before) => {
    if (state.clip && state.selected !== before.selected && state.clip === before.clip) show(state.clip); // prompts of another object
  });
  onReconnect(async () => {
    const clip = get().clip;
    if (clip) await openClip(clip.id, clip.frame);
    return clip !== null;
  });
  onEvent((event) => {
    const clip = get().clip;
    if (!clip || event.type !== "clip" || event.clip !== clip.id || event.by === TAB) return;
    if (event.version < clip.version) {
      openClip(clip.id, clip.frame); // an answer came before this: how the two go together the server knows
      return;
    }
    apply(event, clip.id);
    const run = event.run;
    if (run?.state === "running" && run.done && get().clip?.follow) goTo(run.frame);
    if (clip.run?.state === "running" && run && run.state !== "running") ended(run);
  });
}

/** @param {NonNullable<Clip["run"]>} run */
function ended(run) {
  if (run.state === "failed") say(run.error ?? "Tracking failed.", "error");
  else if (run.total > 1) say(run.state === "stopped" ? `Stopped after ${run.done} frames. What was tracked stays.` : `Tracked ${run.done} frame${run.done === 1 ? "" : "s"}.`, "info");
}

/**
 * Open a clip.
 * @param {number} id
 * @param {number} [frame]
 */
export async function openClip(id, frame = 0) {
  const isNewest = newestOpening();
  await attempt(async () => {
    const facts = await request("GET", `/api/clips/${id}`);
    if (!isNewest()) return;
    const { values, strip, ...rest } = facts;
    forgetPictures();
    /** @type {Clip} */
    const clip = { ...rest, objects: new Map(), prompts: new Map(), masks: new Map(), strips: new Map(), loaded: new Set(), frame, follow: true, playing: false, stamp: 0 };
    take(clip, values);
    for (const [at, object, score, , area] of strip) mark(clip, object, at, area ? score : 0);
    const isSame = get().clip?.id === id;
    const selected = isSame ? only(get().selected, clip.objects) : new Set();
    set({ clip, photo: null, failed: null, hover: null, pointed: null, beneath: null, selected, pending: [], findings: null, rubber: null, stroke: null, strokes: [], ring: [], panel: "masks", ...(isSame ? {} : { camera: fitting(clip.size, get().stage) }) });
    await goTo(Math.min(frame, clip.length - 1));
  });
}

// --- the frame that is shown ----------------------------------------------------------------------------

let wanted = -1;

/**
 * Show a frame, once its picture and its masks are here; of several that are asked for the newest.
 * @param {number} frame
 */
export async function goTo(frame) {
  const clip = get().clip;
  if (!clip) return;
  const at = Math.max(0, Math.min(clip.length - 1, Math.round(frame)));
  wanted = at;
  await attempt(async () => {
    const [image] = await Promise.all([picture(clip, at), masksAround(clip, at)]);
    const now = get().clip;
    if (wanted !== at || now?.id !== clip.id) return;
    const way = at >= now.frame ? 1 : -1;
    show({ ...now, frame: at }, image);
    ahead(now, at, way);
    if ((at + way * 8) % WINDOW < 8) masksAround(now, Math.max(0, Math.min(now.length - 1, at + way * 8)));
  });
}

/** The frame that was asked for last: where stepping goes on from. */
export function wantedFrame() {
  return wanted;
}

/**
 * Put a clip's frame where the photo stands.
 * @param {Clip} clip
 * @param {HTMLImageElement} [image]
 */
function show(clip, image) {
  const before = get().photo;
  const same = before?.clip === clip.id && before.frame === clip.frame;
  const masks = masksOf(clip);
  set({
    clip,
    photo: {
      id: -clip.id, // a number that no photo has
      clip: clip.id,
      frame: clip.frame,
      base: `/api/clips/${clip.id}/frames/${clip.frame}`,
      picture: image ?? before?.picture,
      moving: clip.playing,
      name: clip.name,
      size: before?.clip === clip.id ? before.size : clip.size,
      levels: clip.levels,
      view: { page: null, range: "percentile" },
      look: 0,
      encoded: true,
      version: clip.version,
      undo: clip.undo,
      redo: clip.redo,
      masks,
      draft: draftOf(clip),
      reply: null,
    },
    ...(same ? {} : { pointed: null, pending: [], stroke: null, ring: [] }),
  });
  if (!same) unhover(); // it was about another frame
}

/** @param {Clip} clip */
function masksOf(clip) {
  /** @type {Map<number, MaskView>} */
  const masks = new Map();
  for (const [id, object] of clip.objects) {
    const value = clip.masks.get(`${clip.frame}/${id}`);
    if (!value?.area) continue;
    const ends = unpack(value.counts);
    masks.set(id, { ...value, id, size: clip.size, ends, bbox: boxOf(ends, clip.size), label: object.label, predicted_iou: value.score, stability_score: null, locked: object.locked });
  }
  return masks;
}

/**
 * What was said of an object, the selected one, on a frame, that which is shown.
 * @param {Clip} clip
 * @param {number | null} [id]
 * @param {number} [frame]
 * @returns {Photo["draft"]}
 */
function draftOf(clip, id = activeObject(), frame = clip.frame) {
  if (id === null || !clip.objects.has(id)) return null;
  const steps = (clip.prompts.get(`${frame}/${id}`) ?? []).map((step, index) => ({ ...step, index, choice: null, include: step.include ?? true }));
  return { steps: /** @type {import("../core/types.js").Step[]} */ (steps.filter((step) => step.kind !== "mask")), target: id };
}

/** The object that clicks are about: the selected one, if it is one; null: a new one. */
export function activeObject() {
  const { selected } = get();
  return selected.size === 1 ? [...selected][0] : null;
}

/**
 * Select objects.
 * @param {Iterable<number>} ids
 */
export function selectObjects(ids) {
  set({ selected: new Set(ids) });
  setClip({});
}

/**
 * Change something of the clip that is only the page's.
 * @param {Partial<Clip>} change
 */
export function setClip(change) {
  const clip = get().clip;
  if (clip) show({ ...clip, ...change });
}

/**
 * Have the masks around a frame.
 * @param {Clip} clip
 * @param {number} frame
 */
async function masksAround(clip, frame) {
  const window = Math.floor(frame / WINDOW);
  if (clip.loaded.has(window)) return;
  const found = await request("GET", `/api/clips/${clip.id}/masks?first=${window * WINDOW}&last=${(window + 1) * WINDOW - 1}`);
  // What a patch brought meanwhile is newer.
  for (const [key, value] of Object.entries(found)) if (!clip.masks.has(key.slice(5))) clip.masks.set(key.slice(5), value);
  clip.loaded.add(window);
}

// --- what changes ---------------------------------------------------------------------------------------

/**
 * New values by key into a clip.
 * @param {Clip} clip
 * @param {Record<string, any>} values
 */
function take(clip, values) {
  for (const [key, value] of Object.entries(values)) {
    const [kind, ...rest] = key.split("/");
    const place = rest.join("/");
    if (kind === "object") {
      if (value) clip.objects.set(Number(place), value);
      else clip.objects.delete(Number(place));
    } else if (kind === "prompt") {
      if (value) clip.prompts.set(place, value.steps);
      else clip.prompts.delete(place);
    } else if (kind === "mask") {
      const [frame, object] = rest.map(Number);
      if (value) clip.masks.set(place, value);
      else clip.masks.delete(place);
      mark(clip, object, frame, value ? (value.area ? value.score : 0) : -1);
    }
  }
  clip.objects = new Map([...clip.objects].sort((a, b) => a[0] - b[0]));
}

/**
 * How sure the model is of an object on a frame: -1 not known, 0 not there, else its score.
 * @param {Clip} clip
 * @param {number} object
 * @param {number} frame
 * @param {number} value
 */
function mark(clip, object, frame, value) {
  let strip = clip.strips.get(object);
  if (!strip) {
    strip = new Float32Array(clip.length).fill(-1);
    clip.strips.set(object, strip);
  }
  strip[frame] = value > 0 ? Math.max(0.01, value) : value;
}

/**
 * @param {any} outcome
 * @param {number} id of the clip that it is about: another one may be open by now
 */
function apply(outcome, id) {
  if (outcome.classes && outcome.by === undefined) takeClasses(outcome);
  const clip = get().clip;
  if (clip?.id !== id) return;
  take(clip, outcome.patch);
  set({ selected: only(get().selected, clip.objects), pending: [] });
  show({ ...clip, version: outcome.version, undo: outcome.undo, redo: outcome.redo, run: outcome.run ?? clip.run, stamp: clip.stamp + 1 });
}

/**
 * One step, after those before it; resolves to what changed, or null where it was refused.
 * @param {(clip: Clip) => Promise<any> | null} send
 * @returns {Promise<any>}
 */
function enqueue(send) {
  const id = get().clip?.id;
  return queued(async () => {
    const clip = get().clip;
    if (!clip || clip.id !== id) return null;
    set({ busy: get().busy + 1 });
    try {
      const outcome = await send(clip);
      if (outcome?.patch) apply(outcome, clip.id);
      return outcome;
    } catch (error) {
      set({ pending: [] });
      if (error instanceof Refused && error.status === 409) {
        say("This clip was changed in another tab. It is up to date again; do it once more.", "warning");
        if (get().clip?.id === id) await openClip(clip.id, get().clip?.frame);
      } else say(error instanceof Refused ? error.message : "The server does not answer. What was tracked is safe.", "error");
      return null;
    } finally {
      set({ busy: get().busy - 1 });
    }
  });
}

/**
 * @param {Clip} clip
 * @param {string} path
 * @param {object} [body]
 */
function post(clip, path, body = {}) {
  return request("POST", `/api/clips/${clip.id}/${path}`, { version: clip.version, ...body });
}

/** @typedef {import("../core/types.js").Action} Action */

/** What is about objects wherever they are, not about the frame that is shown. */
const ANYWHERE = new Set(["delete", "label", "lock", "class", "rename_class"]);
/** What makes an object, or is about the one that is selected. */
const MAKES = new Set(["click", "box", "brush", "polygon", "add"]);

/**
 * A step that a tool of the photo page asks for, as one in the clip.
 * @param {Action} action
 * @returns {Promise<boolean>}
 */
async function act(action) {
  return (await step(action)).did;
}

/**
 * As `act`; resolves to the objects that were made or changed.
 * @param {Action} action
 */
async function make(action) {
  return (await step(action)).made;
}

/**
 * @param {Action} action
 * @returns {Promise<{did: boolean, made: number[]}>}
 */
async function step(action) {
  const { clip, photo, activeClass } = get();
  const meant = photo && (typeof action === "function" ? action(photo) : action);
  if (!clip || !meant) return { did: false, made: [] };
  const { type } = meant;
  if (type === "accept" || type === "cancel" || type === "reopen") {
    selectObjects(type === "reopen" ? [meant.mask] : []);
    return { did: true, made: [] };
  }
  if (type === "move_prompt") return move(meant);
  if (!ANYWHERE.has(type)) {
    wanted = clip.frame; // what is said is about this frame: tracking leads away from it no more
    setClip({ follow: false, playing: false });
  }
  const about = target();
  const objects = MAKES.has(type) ? making() : null;
  const here = { frame: clip.frame, label: activeClass };
  const outcome = await enqueue((now) => {
    const object = about();
    const said = typeof action === "function" ? action({ ...photo, draft: draftOf(now, object, here.frame) }) : action;
    const asked = said && translated(now, said, here, object);
    if (said && !asked) say("This is done on photos, not in clips.", "info");
    return asked && post(now, "actions", { action: asked }).then((outcome) => {
      const fresh = Object.keys(outcome.patch).filter((key) => key.startsWith("object/") && outcome.patch[key]).map((key) => Number(key.slice(7)));
      objects?.are(asked.object ? [asked.object] : fresh);
      return outcome;
    });
  });
  return { did: outcome !== null, made: objects?.over() ?? [] };
}

/** @param {any} meant */
async function move({ index, x, y }) {
  const { clip } = get();
  const prompt = clip && draftOf(clip)?.steps[index];
  if (!prompt || !(await act({ type: "remove_prompt", index }))) return { did: false, made: [] };
  return step({ type: "click", x, y, include: prompt.include });
}

/**
 * @param {Clip} clip
 * @param {any} action
 * @param {{frame: number, label: string | null}} here where it was asked, and the class of a new object
 * @param {number | null} object that it is about; null: a new one
 */
function translated(clip, action, { frame, label }, object) {
  const { type, ...said } = action;
  const about = { frame, object, ...(object === null && label ? { label } : {}) };
  if (type === "click") return { type, ...about, x: said.x, y: said.y, include: said.include };
  if (type === "box") return { type, ...about, box: said.box };
  if (type === "brush") return { type, ...about, points: said.points, radius: said.radius, erase: said.erase };
  if (type === "polygon") return { type, ...about, object: said.mask ?? object, rings: said.rings };
  if (type === "add") return { type, frame, ...said };
  if (type === "remove_prompt") return { type, frame, object, index: /** @type {any} */ (draftOf(clip, object, frame)?.steps[said.index])?.index };
  if (type === "delete" || type === "label" || type === "lock") return { ...said, type, objects: said.masks, masks: undefined };
  if (type === "absent" || type === "forget" || type === "class" || type === "rename_class") return action;
  return null;
}

function undo() {
  return enqueue((clip) => (clip.undo ? post(clip, "undo") : null)).then(Boolean);
}

function redo() {
  return enqueue((clip) => (clip.redo ? post(clip, "redo") : null)).then(Boolean);
}

/** Say that the selected object is not on this frame. */
export function absent() {
  const { clip } = get();
  const object = activeObject();
  if (clip && object !== null) act({ type: "absent", frame: clip.frame, object });
}

/**
 * Forget what is known of the selected objects (or all that are not locked) from this frame on.
 */
export function forgetFromHere() {
  const { clip, selected } = get();
  if (!clip) return;
  const free = [...clip.objects].filter(([, object]) => !object.locked).map(([id]) => id);
  const objects = selected.size ? [...selected] : free;
  if (objects.length) act({ type: "forget", objects, first: clip.frame, last: clip.length - 1 });
}

/**
 * Track from the frame that is shown on.
 * @param {{count?: number, reverse?: boolean}} [how]
 */
export async function track({ count, reverse = false } = {}) {
  const clip = get().clip;
  if (!clip) return;
  setClip({ follow: true, playing: false });
  const outcome = await enqueue((now) => post(now, "track", { frame: clip.frame, count: count ?? null, reverse }));
  // Frames that came meanwhile are newer than the answer.
  const now = get().clip;
  if (outcome && now?.id === clip.id && now.version < outcome.version) setClip({ version: outcome.version, undo: outcome.undo, redo: outcome.redo, run: outcome.run });
}

/** End tracking. */
export async function stopTracking() {
  const clip = get().clip;
  if (clip) await attempt(() => request("DELETE", `/api/clips/${clip.id}/track`));
}

/** Whether tracking is under way. */
export function isTracking() {
  return get().clip?.run?.state === "running";
}

/**
 * The next frame, in a direction, on which an object is lost or the model is unsure.
 * @param {number} way
 */
export function nextDoubt(way) {
  const { clip, selected } = get();
  if (!clip) return undefined;
  const strips = [...clip.strips].filter(([id]) => clip.objects.has(id) && (!selected.size || selected.has(id))).map(([, strip]) => strip);
  const doubtful = (/** @type {number} */ frame) => strips.some((strip) => strip[frame] >= 0 && strip[frame] < DOUBT);
  for (let frame = clip.frame + way; frame >= 0 && frame < clip.length; frame += way) {
    if (doubtful(frame) && !doubtful(frame - way)) return goTo(frame); // where a stretch begins
  }
  return say("There is no other frame on which an object is lost or unsure.", "info");
}

/** Below this the model is unsure of a mask. */
export const DOUBT = 0.5;
