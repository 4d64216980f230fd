// The stage, drawn from the state: the photo in tiles, the masks in tiles over it, what is marked, then the tools.
// The compositor moves the first three, so that panning paints next to nothing.

import { colourOf } from "../core/colours.js";
import { fitting } from "../core/camera.js";
import { byId, h } from "../core/dom.js";
import { get, set, view } from "../core/store.js";
import { kept, keptPinned } from "../panels/findings.js";
import { Ground } from "./ground.js";
import { Marks } from "./marks.js";
import { MaskTiles } from "./mask_tiles.js";
import { screenPixels, viewOf } from "./sheet.js";
import { DRAFT, drawTools } from "./tools.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").Photo} Photo */
/** @typedef {import("../core/types.js").MaskView} MaskView */

const HOVER = "#9fd0ff";
const BUDGET_MS = 8; // of painting tiles, a frame
const DIMMED = 0.55; // masks, while something is pointed at or corrected

const sheets = h("div", { class: "panes" });
const under = h("div"); // the photo lies under both sides of a comparison
const over = h("div");
const masks = new MaskTiles(over);
const pinned = new MaskTiles(over); // the other side of a comparison
const ground = new Ground(under, masks);
const marks = new Marks(over);
let strengthNow = "";

/** Begin to draw, and follow the size of the window. */
export function startStage() {
  sheets.append(under, over);
  byId("stage").prepend(sheets);
  new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = byId("stage");
    const before = get().stage;
    set({ stage: { width, height } });
    const { photo, camera } = get();
    if (photo && (camera.fits || before.width <= 1)) set({ camera: fitting(photo.size, { width, height }) });
    else if (photo) set({ camera: { ...camera, x: camera.x + (before.width - width) / 2 / camera.scale, y: camera.y + (before.height - height) / 2 / camera.scale } });
  }).observe(byId("stage"));
  view(draw);
}

/**
 * @param {State} state
 * @param {State} before
 */
function draw(state, before) {
  const { photo, camera, stage } = state;
  if (!isSamePicture(photo, before.photo)) for (const each of [ground, masks, pinned]) each.sheet.forget();
  if (sheets.hidden !== !photo) sheets.hidden = !photo;
  drawTools(state);
  if (!photo) return false;
  const deadline = photo.clip === undefined ? performance.now() + BUDGET_MS : Infinity; // frames of a clip must not tear
  const seen = viewOf(camera, stage, screenPixels());
  const changed = masks.have(shown(state, photo), state.classes, photo.size);
  ground.have(photo, state.look.checker, changed);
  const isMore = [ground.sheet.show(seen, photo.size, deadline), masks.sheet.show(seen, photo.size, deadline), drawPinned(state, photo, seen, deadline)];
  drawLook(state, photo);
  marks.show(marked(state, photo), seen, photo.size);
  if (state.hover && state.hover !== before.hover) performance.mark("hover-painted");
  return isMore.includes(true);
}

/**
 * Whether tiles of one may stay while the other comes: the same photo, or frames of one clip.
 * @param {Photo | null} a
 * @param {Photo | null} b
 */
function isSamePicture(a, b) {
  return a?.id === b?.id && a?.clip === b?.clip;
}

/**
 * A function whose last result is kept while the values that it depends on are the same.
 * @template Result
 * @returns {(values: unknown[], work: () => Result) => Result}
 */
function remembering() {
  /** @type {unknown[] | null} */
  let before = null;
  /** @type {Result} */
  let result;
  return (values, work) => {
    if (before?.length !== values.length || values.some((value, place) => value !== before?.[place])) result = work();
    before = values;
    return result;
  };
}

const lastShown = /** @type {typeof remembering<MaskView[]>} */ (remembering)();
const lastPinned = /** @type {typeof remembering<MaskView[] | null>} */ (remembering)();

/**
 * The masks that are shown.
 * @param {State} state
 * @param {Photo} photo
 */
function shown(state, photo) {
  const { selected, pointed, look, panel, findings, sizes } = state;
  const isChoice = panel === "everything" && findings !== null;
  const target = photo.draft?.target ?? null;
  const alone = look.isolate ? [selected, selected.size ? null : pointed] : [];
  return lastShown([photo.masks, photo.size, target, ...(isChoice ? [findings, sizes] : []), ...alone], () => {
    const all = isChoice ? kept(state) : [...photo.masks.values()];
    const others = all.filter((mask) => mask.id !== target);
    if (!look.isolate) return others;
    const chosen = selected.size ? selected : new Set(pointed === null ? [] : [pointed]);
    return others.filter((mask) => chosen.has(mask.id));
  });
}

/**
 * The masks that those of the sliders are compared with, left of the line.
 * @param {State} state
 * @param {Photo} photo
 * @param {import("./sheet.js").View} seen
 * @param {number} deadline
 */
function drawPinned(state, photo, seen, deadline) {
  const other = state.panel === "everything" ? lastPinned([state.findings, state.sizes, photo.size], () => keptPinned(state)) : null;
  const at = state.wiper * state.stage.width;
  if (pinned.sheet.element.hidden !== !other) pinned.sheet.element.hidden = !other;
  if (other || masks.sheet.element.style.clipPath) masks.sheet.element.style.clipPath = other ? `inset(0 0 0 ${at}px)` : "";
  if (!other) return false;
  pinned.sheet.element.style.clipPath = `inset(0 ${state.stage.width - at}px 0 0)`;
  pinned.have(other, state.classes, photo.size);
  return pinned.sheet.show(seen, photo.size, deadline);
}

/**
 * How strong fills and outlines are.
 * @param {State} state
 * @param {Photo} photo
 */
function drawLook({ look, hover }, photo) {
  const dimmed = photo.draft || hover ? DIMMED : 1;
  const strength = `--fill: ${look.opacity * dimmed}; --line: ${dimmed}`;
  if (strength !== strengthNow) over.style.cssText = strength;
  strengthNow = strength;
  over.classList.toggle("bare", look.outlines || look.checker);
}

/**
 * What stands out: the selected masks, the one that is pointed at, the draft or what a click would take.
 * @param {State} state
 * @param {Photo} photo
 */
function marked({ hover, selected, pointed, classes }, photo) {
  /** @type {import("./marks.js").Mark[]} */
  const found = [];
  const candidate = photo.reply?.candidates[photo.reply.chosen];
  const target = photo.draft?.target ? photo.masks.get(photo.draft.target) : undefined;
  for (const id of selected) {
    const mask = photo.masks.get(id);
    if (mask && mask !== target) found.push({ runs: mask, color: colourOf(mask, classes), fill: 0.15 });
  }
  const under = pointed === null ? undefined : photo.masks.get(pointed);
  if (under && !selected.has(under.id)) found.push({ runs: under, color: colourOf(under, classes), fill: 0.3 });
  if (candidate) found.push({ runs: candidate, color: DRAFT, fill: 0.5 });
  else if (target) found.push({ runs: target, color: DRAFT, fill: 0.5 });
  else if (hover) found.push({ runs: hover, color: HOVER, fill: 0.4 });
  return found;
}
