// The stage: photo, masks, the mask under the pointer, the draft and its prompts, drawn from the state.

import { colourOf } from "../core/colours.js";
import { toStage } from "../core/camera.js";
import { byId } from "../core/dom.js";
import { get, set, view } from "../core/store.js";
import { fitting } from "../core/camera.js";
import { kept, keptPinned } from "../panels/findings.js";
import { MaskTiles } from "./mask_tiles.js";
import { abgr, brighter, coloured, topmost } from "./paint.js";
import { drawPhoto } from "./photo_tiles.js";

/** @typedef {import("../core/types.js").State} State */

const INCLUDE = "#35d07f";
const EXCLUDE = "#ff5d6c";
const DRAFT = "#4da3ff";
const HOVER = "#9fd0ff";

const canvas = /** @type {HTMLCanvasElement} */ (byId("canvas"));
const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
const overlay = document.createElement("canvas");
const layer = document.createElement("canvas");
const masks = new MaskTiles();
const pinned = new MaskTiles(); // the other side of a comparison

/** Begin to draw, and follow the size of the window. */
export function startStage() {
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
  const dpr = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [Math.round(stage.width * dpr), Math.round(stage.height * dpr)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.setTransform(dpr, 0, 0, dpr, 0, 0);
  context.clearRect(0, 0, stage.width, stage.height);
  if (!photo) return false;
  if (state.look.checker) drawCheckered(state, dpr);
  else drawPhoto(context, photo, camera, stage, dpr);
  const more = drawMasks(state, dpr);
  drawOverlay(state, before, dpr);
  drawOutline(state);
  drawPrompts(state);
  drawTools(state);
  return more;
}

/** @param {State} state */
function shown(state) {
  const { photo, selected, pointed, look } = state;
  if (!photo) return [];
  const all = state.panel === "everything" && state.findings ? kept(state) : [...photo.masks.values()];
  const others = all.filter((mask) => mask.id !== photo.draft?.target);
  if (!look.isolate) return others;
  const chosen = selected.size ? selected : new Set(pointed === null ? [] : [pointed]);
  return others.filter((mask) => chosen.has(mask.id));
}

/**
 * @param {State} state
 * @param {number} dpr
 */
function drawMasks(state, dpr) {
  const { photo, camera, stage, look } = state;
  if (!photo) return false;
  masks.show(shown(state), state.classes, photo.size);
  const dimmed = photo.draft || state.hover ? 0.55 : 1;
  /** @type {Parameters<MaskTiles["draw"]>[4]} */
  const put = (target, tile, x, y, side) => {
    target.imageSmoothingEnabled = true;
    if (!look.outlines && !look.checker) {
      target.globalAlpha = look.opacity * dimmed;
      target.drawImage(tile.fill, x, y, side, side);
    }
    target.globalAlpha = dimmed;
    target.drawImage(tile.line, x, y, side, side);
    target.globalAlpha = 1;
  };
  const other = state.panel === "everything" ? keptPinned(state) : null;
  if (!other) return masks.draw(context, camera, stage, dpr, put);
  const at = state.wiper * stage.width;
  pinned.show(other, state.classes, photo.size);
  const left = clipped(0, at, stage.height, () => pinned.draw(context, camera, stage, dpr, put));
  const right = clipped(at, stage.width - at, stage.height, () => masks.draw(context, camera, stage, dpr, put));
  return left || right;
}

/**
 * Draw into a part of the stage.
 * @param {number} x
 * @param {number} width
 * @param {number} height
 * @param {() => boolean} work
 */
function clipped(x, width, height, work) {
  context.save();
  context.beginPath();
  context.rect(x, 0, width, height);
  context.clip();
  const more = work();
  context.restore();
  return more;
}

/**
 * Only what masks hold, on a checkerboard.
 * @param {State} state
 * @param {number} dpr
 */
function drawCheckered(state, dpr) {
  const { photo, camera, stage } = state;
  if (!photo) return;
  [layer.width, layer.height] = [canvas.width, canvas.height];
  const on = /** @type {CanvasRenderingContext2D} */ (layer.getContext("2d"));
  on.setTransform(dpr, 0, 0, dpr, 0, 0);
  masks.show(shown(state), state.classes, photo.size);
  masks.draw(on, camera, stage, dpr, (target, tile, x, y, side) => target.drawImage(tile.fill, x, y, side, side));
  on.globalCompositeOperation = "source-in";
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [canvas.width, canvas.height];
  const photoOn = /** @type {CanvasRenderingContext2D} */ (whole.getContext("2d"));
  photoOn.setTransform(dpr, 0, 0, dpr, 0, 0);
  drawPhoto(photoOn, photo, camera, stage, dpr);
  on.setTransform(1, 0, 0, 1, 0, 0);
  on.drawImage(whole, 0, 0);
  const [x0, y0] = toStage(camera, 0, 0);
  const [x1, y1] = toStage(camera, photo.size[1], photo.size[0]);
  const side = 12;
  context.save();
  context.beginPath();
  context.rect(x0, y0, x1 - x0, y1 - y0);
  context.clip();
  for (let y = Math.max(0, y0), row = 0; y < Math.min(stage.height, y1); y += side, row++) {
    for (let x = Math.max(0, x0), column = 0; x < Math.min(stage.width, x1); x += side, column++) {
      context.fillStyle = (row + column) % 2 ? "#2b2e34" : "#383c44";
      context.fillRect(x, y, side, side);
    }
  }
  context.restore();
  context.drawImage(layer, 0, 0, stage.width, stage.height);
}

/**
 * What changes with the pointer: the mask under it, the draft, what is pointed at and selected.
 * @param {State} state
 * @param {State} before
 * @param {number} dpr
 */
function drawOverlay(state, before, dpr) {
  const { photo, camera, stage, hover, selected } = state;
  if (!photo) return;
  /** @type {{runs: import("./paint.js").Runs, color: string, fill: number}[]} */
  const layers = [];
  const candidate = photo.reply?.candidates[photo.reply.chosen];
  const target = photo.draft?.target ? photo.masks.get(photo.draft.target) : undefined;
  for (const id of selected) {
    const mask = photo.masks.get(id);
    if (mask && mask !== target) layers.push({ runs: mask, color: colourOf(mask, state.classes), fill: 0.15 });
  }
  const pointed = state.pointed === null ? undefined : photo.masks.get(state.pointed);
  if (pointed && !selected.has(pointed.id)) layers.push({ runs: pointed, color: colourOf(pointed, state.classes), fill: 0.3 });
  if (candidate) layers.push({ runs: candidate, color: DRAFT, fill: 0.5 });
  else if (target) layers.push({ runs: target, color: DRAFT, fill: 0.5 });
  else if (hover) layers.push({ runs: hover, color: HOVER, fill: 0.4 });
  if (!layers.length) return;
  const step = 1 / (camera.scale * dpr);
  const [width, height] = [canvas.width, canvas.height];
  const window = { x: Math.round(camera.x / step), y: Math.round(camera.y / step), width, height, step };
  const ids = topmost(layers.map((each) => each.runs), photo.size, window);
  const fills = Uint32Array.from([0, ...layers.map((each) => abgr(each.color, Math.round(255 * each.fill)))]);
  const lines = Uint32Array.from([0, ...layers.map((each) => abgr(brighter(each.color)))]);
  const { fill, line } = coloured(ids, width, height, fills, lines, 2);
  [overlay.width, overlay.height] = [width, height];
  const on = /** @type {CanvasRenderingContext2D} */ (overlay.getContext("2d"));
  for (const part of [fill, line]) {
    on.putImageData(part, 0, 0);
    context.drawImage(overlay, 0, 0, stage.width, stage.height);
  }
  if (hover && hover !== before.hover) performance.mark("hover-painted");
}

/** @param {State} state */
function drawPrompts(state) {
  const { photo, camera, pending } = state;
  if (!photo) return;
  for (const step of [...(photo.draft?.steps ?? []), ...pending]) {
    if (step.kind === "point") drawPoint(toStage(camera, step.xy[0], step.xy[1]), step.include, pending.includes(step));
    else drawBox(camera, step.xy);
  }
  if (state.rubber) drawBox(camera, state.rubber.box);
}

/**
 * @param {[number, number]} at
 * @param {boolean} include
 * @param {boolean} waits
 */
function drawPoint([x, y], include, waits) {
  context.globalAlpha = waits ? 0.7 : 1;
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.fillStyle = include ? INCLUDE : EXCLUDE;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "#fff";
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3, y);
  context.lineTo(x + 3, y);
  if (include) {
    context.moveTo(x, y - 3);
    context.lineTo(x, y + 3);
  }
  context.stroke();
  context.globalAlpha = 1;
}

/**
 * @param {import("../core/types.js").Camera} camera
 * @param {number[]} box
 */
function drawBox(camera, box) {
  const [x0, y0] = toStage(camera, box[0], box[1]);
  const [x1, y1] = toStage(camera, box[2], box[3]);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 60%)";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.lineWidth = 1.5;
  context.strokeStyle = INCLUDE;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

/** @param {State} state */
function drawTools(state) {
  const { camera, tool, pointer, brush, ring } = state;
  for (const stroke of [...state.strokes, ...(state.stroke ? [state.stroke] : [])]) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Math.max(1, 2 * (stroke.radius ?? brush) * camera.scale);
    context.strokeStyle = stroke.erase ? "rgb(255 93 108 / 55%)" : "rgb(77 163 255 / 55%)";
    path(camera, stroke.points);
    if (stroke.points.length === 1) context.lineTo(...toStage(camera, stroke.points[0][0] + 0.01, stroke.points[0][1]));
    context.stroke();
  }
  if ((tool === "brush" || tool === "erase") && pointer) {
    const [x, y] = toStage(camera, pointer[0], pointer[1]);
    for (const [line, colour] of /** @type {[number, string][]} */ ([[3, "rgb(0 0 0 / 60%)"], [1.5, "#fff"]])) {
      context.beginPath();
      context.arc(x, y, Math.max(2, brush * camera.scale), 0, 2 * Math.PI);
      context.lineWidth = line;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
  if (ring.length) {
    path(camera, pointer && tool === "polygon" ? [...ring, pointer] : ring);
    context.lineWidth = 2;
    context.strokeStyle = DRAFT;
    context.stroke();
    for (const [x, y] of ring) {
      const at = toStage(camera, x, y);
      context.fillStyle = "#fff";
      context.fillRect(at[0] - 3.5, at[1] - 3.5, 7, 7);
    }
  }
}

/** @param {State} state */
function drawOutline(state) {
  const { outline, camera } = state;
  if (!outline) return;
  for (const ring of outline.rings) {
    path(camera, [...ring, ring[0]]);
    context.lineWidth = 1.5;
    context.strokeStyle = "#fff";
    context.stroke();
    for (const [x, y] of ring) {
      const at = toStage(camera, x, y);
      context.fillStyle = "#0e0f12";
      context.fillRect(at[0] - 4, at[1] - 4, 8, 8);
      context.fillStyle = "#fff";
      context.fillRect(at[0] - 3, at[1] - 3, 6, 6);
    }
  }
}

/**
 * @param {import("../core/types.js").Camera} camera
 * @param {[number, number][]} points
 */
function path(camera, points) {
  context.beginPath();
  points.forEach(([x, y], place) => {
    const at = toStage(camera, x, y);
    if (place) context.lineTo(...at);
    else context.moveTo(...at);
  });
}
