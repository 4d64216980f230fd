// Everything that has a key or a button: a table of commands.

import { fitting, zoomed } from "./camera.js";
import { act, attempt, here, idle, make, noted, open, redo, undo, unsettled } from "./desk.js";
import { canStep, step as stepCorner } from "./ring.js";
import { request } from "./server.js";
import { get, set, setPhoto } from "./store.js";
import { openExport } from "../panels/export.js";
import { openKeys } from "../panels/keys.js";
import { say } from "../panels/notices.js";
import { canTravel, compare, copyCommand, copyPython, defaults, hasFindings, isFinding, runEverything, showAll, stopFinding, takeFindings, travel } from "../panels/findings.js";
import { askWords } from "../panels/words.js";
import { nameClass } from "../panels/classes.js";
import { turnPage } from "../panels/look.js";
import { eraseSelected } from "../panels/erasing.js";
import { closeRing } from "../input/pointer.js";
import { listen } from "../panels/voice.js";
import { addFiles } from "../panels/film.js";

/** @typedef {import("./types.js").Tool} Tool */
import { absent, forgetFromHere, goTo, isTracking, nextDoubt, selectObjects, setClip, stopTracking, track, wantedFrame } from "../video/clip.js";
import { playOrPause } from "../video/playback.js";

/**
 * `on` says where it belongs: to photos, to clips, or (without it) to both.
 * @typedef {{title: string, group: string, keys: string[], run: () => unknown, able?: () => boolean, on?: "photo" | "clip"}} Command
 */

const photo = () => get().photo;
const draft = () => photo()?.draft ?? null;
const chosen = () => [...get().selected];
const some = () => get().selected.size > 0;
/** Whether an object is being prompted, or is about to be: the first click may not be answered yet. */
const prompting = () => draft() !== null || get().pending.length > 0;
const answered = () => (photo()?.reply?.candidates.length ?? 0) > 1 || get().pending.length > 0;
const several = () => get().photos.length > 1;

/**
 * @param {string} title
 * @param {Tool} tool
 * @param {string} key
 * @returns {Command}
 */
const toolCommand = (title, tool, key) => ({ title, group: "Tools", keys: [key], run: () => set({ tool, ring: [], hover: null }) });

/** @type {Record<string, Command>} */
export const COMMANDS = {
  accept: { title: "Accept the mask", group: "Prompting", keys: ["Enter"], able: () => get().ring.length > 2 || (get().clip === null ? prompting() || findingsShown() : some() || unsettled()), run: accept },
  cancel: { title: "Cancel, or select nothing", group: "Prompting", keys: ["Escape"], run: cancel },
  nextAnswer: { on: "photo", title: "Next answer: whole, part, subpart", group: "Prompting", keys: ["Tab"], able: answered, run: () => choose(1) },
  previousAnswer: { on: "photo", title: "Previous answer", group: "Prompting", keys: ["Shift+Tab"], able: answered, run: () => choose(-1) },
  reopen: { on: "photo", title: "Correct the selected mask by clicks", group: "Prompting", keys: ["R"], able: () => get().selected.size === 1, run: reopen },
  undo: { title: "Undo", group: "Editing", keys: ["Ctrl+Z"], able: () => canStep(-1) || canTravel(-1) || Boolean(photo()?.undo) || unsettled(), run: () => (canStep(-1) ? stepCorner(-1) : canTravel(-1) ? travel(-1) : undo()) },
  redo: { title: "Redo", group: "Editing", keys: ["Ctrl+Shift+Z", "Ctrl+Y"], able: () => canStep(1) || canTravel(1) || Boolean(photo()?.redo) || unsettled(), run: () => (canStep(1) ? stepCorner(1) : canTravel(1) ? travel(1) : redo()) },
  selectAll: { title: "Select all masks", group: "Editing", keys: ["Ctrl+A"], run: () => set({ selected: new Set((get().clip?.objects ?? photo()?.masks)?.keys()) }) },
  remove: { title: "Delete the selected masks", group: "Editing", keys: ["Delete", "Backspace"], able: some, run: () => act({ type: "delete", masks: chosen() }) },
  merge: { on: "photo", title: "Merge the selected masks", group: "Editing", keys: ["M"], able: () => get().selected.size > 1, run: () => act({ type: "merge", masks: chosen() }) },
  subtract: { on: "photo", title: "Take the others out of the first selected", group: "Editing", keys: ["Shift+M"], able: () => get().selected.size > 1, run: () => act({ type: "subtract", masks: chosen() }) },
  lock: { title: "Lock or unlock the selected masks", group: "Editing", keys: ["L"], able: some, run: lock },
  up: { on: "photo", title: "Move the selected masks up the list", group: "Editing", keys: ["Alt+ArrowUp"], able: some, run: () => move(-1) },
  down: { on: "photo", title: "Move the selected masks down the list", group: "Editing", keys: ["Alt+ArrowDown"], able: some, run: () => move(1) },
  fillHoles: { on: "photo", title: "Fill holes", group: "Editing", keys: ["J"], able: some, run: () => act({ type: "clean", masks: chosen(), fill_holes: 1e9 }) },
  dropIslands: { on: "photo", title: "Keep the largest part only", group: "Editing", keys: ["K"], able: some, run: () => act({ type: "clean", masks: chosen(), drop_islands: 1e9 }) },
  grow: { on: "photo", title: "Grow by a pixel", group: "Editing", keys: ["+", "="], able: some, run: () => act({ type: "clean", masks: chosen(), grow: 1 }) },
  shrink: { on: "photo", title: "Shrink by a pixel", group: "Editing", keys: ["-"], able: some, run: () => act({ type: "clean", masks: chosen(), grow: -1 }) },
  soften: { on: "photo", title: "Softer edge in cut-outs", group: "Editing", keys: [";"], able: some, run: () => soften(1) },
  harden: { on: "photo", title: "Harder edge in cut-outs", group: "Editing", keys: [":"], able: some, run: () => soften(-1) },
  eraseFromPhoto: { on: "photo", title: "Erase the selected from the photo", group: "Photo", keys: ["X"], able: some, run: eraseSelected },
  click: toolCommand("Click and box", "click", "C"),
  select: toolCommand("Select masks", "select", "V"),
  brush: toolCommand("Brush", "brush", "B"),
  erase: toolCommand("Eraser", "erase", "E"),
  polygon: toolCommand("Polygon", "polygon", "G"),
  hand: toolCommand("Move the photo", "hand", "H"),
  smaller: { title: "Smaller brush", group: "Tools", keys: ["["], run: () => set({ brush: Math.max(1, get().brush / 1.25) }) },
  larger: { title: "Larger brush", group: "Tools", keys: ["]"], run: () => set({ brush: Math.min(2000, get().brush * 1.25) }) },
  fit: { title: "Fit the photo", group: "View", keys: ["F"], run: () => withPhoto((open) => set({ camera: fitting(open.size, get().stage) })) },
  actual: { title: "Actual pixels", group: "View", keys: ["0"], run: () => zoom(1 / get().camera.scale) },
  zoomIn: { title: "Zoom in", group: "View", keys: ["Ctrl+="], run: () => zoom(1.3) },
  zoomOut: { title: "Zoom out", group: "View", keys: ["Ctrl+-"], run: () => zoom(1 / 1.3) },
  outlines: { title: "Outlines only", group: "View", keys: ["O"], run: () => look({ outlines: !get().look.outlines }) },
  isolate: { title: "Hide the others", group: "View", keys: ["I"], run: () => look({ isolate: !get().look.isolate }) },
  checker: { title: "Checkerboard behind the masks", group: "View", keys: ["T"], run: () => look({ checker: !get().look.checker }) },
  fainter: { title: "Fainter masks", group: "View", keys: ["{"], run: () => look({ opacity: Math.max(0, get().look.opacity - 0.1) }) },
  stronger: { title: "Stronger masks", group: "View", keys: ["}"], run: () => look({ opacity: Math.min(1, get().look.opacity + 0.1) }) },
  viewPanel: { title: "Contrast, page and opacity", group: "View", keys: ["Shift+V"], run: () => set({ panel: "view", sheet: true }) },
  compare: { on: "photo", title: "Compare with these settings, or no longer", group: "Everything", keys: ["Shift+C"], able: findingsShown, run: compare },
  defaults: { on: "photo", title: "Sliders back to where they began", group: "Everything", keys: ["Shift+R"], able: findingsShown, run: defaults },
  showAll: { on: "photo", title: "Show all candidates that are apart", group: "Everything", keys: ["Shift+O"], able: findingsShown, run: showAll },
  copyCommand: { on: "photo", title: "Copy as command", group: "Everything", keys: ["Y"], able: findingsShown, run: copyCommand },
  copyPython: { on: "photo", title: "Copy as Python", group: "Everything", keys: ["Shift+Y"], able: findingsShown, run: copyPython },
  everything: { on: "photo", title: "Find everything", group: "Photo", keys: ["A"], run: () => (set({ panel: "everything", sheet: true }), hasFindings() ? undefined : runEverything()) },
  masks: { title: "List of masks", group: "Photo", keys: ["Shift+A"], run: () => set({ panel: "masks", sheet: true }) },
  nextPhoto: { on: "photo", title: "Next photo", group: "Photo", keys: ["N", "PageDown"], able: several, run: () => step(1) },
  previousPhoto: { on: "photo", title: "Previous photo", group: "Photo", keys: ["P", "PageUp"], able: several, run: () => step(-1) },
  nextPage: { on: "photo", title: "Next page of the file", group: "Photo", keys: ["Alt+PageDown"], able: hasPages, run: () => attempt(() => turnPage(1)) },
  previousPage: { on: "photo", title: "Previous page of the file", group: "Photo", keys: ["Alt+PageUp"], able: hasPages, run: () => attempt(() => turnPage(-1)) },
  nextEmpty: { on: "photo", title: "Next photo without masks", group: "Photo", keys: ["Shift+N"], run: nextEmpty },
  done: { on: "photo", title: "Photo is done, on to the next", group: "Photo", keys: ["D"], able: () => here() !== undefined, run: done },
  previousFrame: onClip("Previous frame", ["P", "PageUp"], () => stepFrames(-1)),
  nextFrame: onClip("Next frame", ["N", "PageDown"], () => stepFrames(1)),
  tenBack: onClip("Ten frames back", ["Shift+P", "Shift+PageUp"], () => stepFrames(-10)),
  tenOn: onClip("Ten frames on", ["Shift+N", "Shift+PageDown"], () => stepFrames(10)),
  firstFrame: onClip("First frame", ["Home"], () => goToFrame(0)),
  lastFrame: onClip("Last frame", ["End"], () => goToFrame(Infinity)),
  play: onClip("Play or pause", ["K"], playOrPause),
  trackOn: onClip("Track on from this frame", ["X"], () => track(), canTrack),
  trackBack: onClip("Track back from this frame", ["Shift+X"], () => track({ reverse: true }), canTrack),
  trackOne: onClip("Track one frame", ["S"], () => track({ count: 1 }), canTrack),
  stop: onClip("Stop tracking", ["Q"], stopTracking, isTracking),
  previousDoubt: onClip("Back to where an object is lost or unsure", ["Shift+W"], () => nextDoubt(-1)),
  nextDoubt: onClip("On to where an object is lost or unsure", ["W"], () => nextDoubt(1)),
  newObject: onClip("New object", ["U"], () => selectObjects([])),
  absent: onClip("The object is not on this frame", ["J"], absent, () => get().selected.size === 1),
  eraseFromClip: onClip("Erase the selected from the clip", ["Shift+E"], eraseSelected, some),
  forgetOn: onClip("Forget masks from this frame on", ["Shift+Delete", "Shift+Backspace"], forgetFromHere, some),
  nameClass: { title: "Name a new class", group: "Editing", keys: ["Shift+L"], run: nameClass },
  words: { title: "Find by words", group: "Photo", keys: ["/"], run: askWords },
  listen: { title: "Speak a command", group: "Photo", keys: ["Shift+S"], able: () => get().listening !== "thinking", run: listen },
  add: { title: "Add photos, a video or masks", group: "Photo", keys: ["Ctrl+O"], run: addFiles },
  export: { title: "Export", group: "Photo", keys: ["Ctrl+E"], able: () => get().clip !== null || get().photos.length > 0, run: openExport },
  keys: { title: "Show the keys", group: "Photo", keys: ["?"], run: openKeys },
};

/**
 * @param {string} title
 * @param {string[]} keys
 * @param {() => unknown} run
 * @param {() => boolean} [able]
 * @returns {Command}
 */
function onClip(title, keys, run, able) {
  return { title, group: "Clip", keys, run, able, on: "clip" };
}

function canTrack() {
  const clip = get().clip;
  return clip !== null && !isTracking() && [...clip.objects.values()].some((object) => !object.locked);
}

/** @param {number} way */
function stepFrames(way) {
  const clip = get().clip;
  if (clip) goToFrame((clip.playing ? clip.frame : wantedFrame()) + way);
}

/** @param {number} frame */
function goToFrame(frame) {
  const clip = get().clip;
  if (!clip) return;
  if (clip.playing || clip.follow) setClip({ playing: false, follow: false });
  goTo(Math.min(clip.length - 1, frame));
}

/** Whether a command belongs to what is open. @param {string} name */
export function belongs(name) {
  const { on } = COMMANDS[name];
  return !on || on === (get().clip ? "clip" : "photo");
}

/** Whether a command can do something now. @param {string} name */
export function able(name) {
  return belongs(name) && (COMMANDS[name].able?.() ?? true);
}

/** @param {string} name */
export function run(name) {
  if (able(name)) COMMANDS[name].run();
}

/** @param {(photo: import("./types.js").Photo) => void} work */
function withPhoto(work) {
  const open = photo();
  if (open) work(open);
}

/** @param {number} factor */
export function zoom(factor) {
  const { camera, stage } = get();
  withPhoto((open) => set({ camera: zoomed(camera, factor, stage.width / 2, stage.height / 2, open.size) }));
}

/** @param {Partial<import("./types.js").State["look"]>} change */
export function look(change) {
  set({ look: { ...get().look, ...change } });
}

function hasPages() {
  return typeof photo()?.view.page === "number";
}

function findingsShown() {
  return get().panel === "everything" && get().findings?.state === "done";
}

async function accept() {
  if (get().ring.length > 2) return closeRing(get().ring);
  if (get().clip) return selectObjects([]);
  if (!prompting()) return takeFindings();
  const { activeClass } = get();
  return make(({ draft }) => draft && { type: "accept", ...(draft.target === null && activeClass ? { label: activeClass } : {}) });
}

function cancel() {
  if (isTracking()) return stopTracking();
  const { ring, selected } = get();
  if (ring.length) set({ ring: [] });
  else if (prompting()) act((open) => (open.draft ? { type: "cancel" } : null));
  else if (selected.size) set({ selected: new Set() });
  else if (isFinding()) return stopFinding();
  else if (get().panel === "everything") set({ panel: "masks" });
  return undefined;
}

/** @param {number} way */
async function choose(way) {
  await asked();
  const reply = photo()?.reply;
  if (!reply) return;
  pick((reply.chosen + way + reply.candidates.length) % reply.candidates.length);
}

/** When the last prompt is answered: what follows is about that answer, not the one before. */
export async function asked() {
  if (get().pending.length) await idle();
}

/**
 * Take one of the answers; it is shown at once.
 * @param {number} candidate
 */
export function pick(candidate) {
  const reply = photo()?.reply;
  if (!reply || candidate >= reply.candidates.length || candidate === reply.chosen) return;
  setPhoto({ reply: { ...reply, chosen: candidate } });
  act({ type: "choose", candidate });
}

function reopen() {
  set({ tool: "click" });
  act({ type: "reopen", mask: chosen()[0] });
}

function lock() {
  const masks = chosen();
  act((open) => {
    const of = get().clip?.objects ?? open.masks;
    return { type: "lock", masks, locked: !masks.every((id) => of.get(id)?.locked) };
  });
}

/** Over how many pixels the edge of a mask is to fade in cut-outs; 0: nobody said it. @param {import("./types.js").MaskView} [mask] */
export function featherOf(mask) {
  return Number(mask?.attributes?.feather_px) || 0;
}

/** @param {number} more pixels */
function soften(more) {
  const masks = chosen();
  act((open) => ({ type: "feather", masks, px: Math.min(200, Math.max(0, featherOf(open.masks.get(masks[0])) + more)) }));
}

/** @param {number} way */
function move(way) {
  const { selected } = get();
  act(({ masks }) => {
    const order = [...masks.keys()];
    const ids = order.filter((id) => selected.has(id));
    const rest = order.filter((id) => !selected.has(id));
    const before = order.slice(0, order.indexOf(ids[0])).filter((id) => !selected.has(id)).length;
    return ids.length ? { type: "reorder", masks: ids, to: Math.max(0, Math.min(rest.length, before + way)) } : null;
  });
}

/**
 * Give the selected masks a class; with nothing selected it is the one for what comes.
 * @param {string} name
 */
export function useClass(name) {
  if (some()) act({ type: "label", masks: chosen(), label: name });
  set({ activeClass: name });
}

/** @param {number} way */
function step(way) {
  const { photos } = get();
  const place = photos.findIndex((row) => row.id === here()) + way;
  if (place >= 0 && place < photos.length) open(photos[place].id);
}

function nextEmpty() {
  const { photos } = get();
  const place = photos.findIndex((row) => row.id === here());
  const next = [...photos.slice(place + 1), ...photos.slice(0, place)].find((row) => row.masks === 0);
  if (next) return open(next.id);
  return say("Every other photo has masks.", "info");
}

async function done() {
  const row = get().photos.find((each) => each.id === here());
  if (!row) return;
  const value = !row.done;
  if (photo()?.id === row.id) await act({ type: "done", done: value });
  else {
    await attempt(() => request("PUT", `/api/photos/${row.id}/done`, { done: value })); // it cannot be opened
    set({ photos: noted(row.id, { done: value }) });
  }
  if (value && here() === row.id) step(1);
}
