// Prompts, boxes, strokes and corners, drawn over everything. The canvas is empty where there are none, so that
// it costs nothing.

import { toStage } from "../core/camera.js";
import { byId } from "../core/dom.js";
import { screenPixels } from "./sheet.js";

/** @typedef {import("../core/types.js").State} State */

const INCLUDE = "#35d07f";
const EXCLUDE = "#ff5d6c";
export const DRAFT = "#4da3ff";

const canvas = /** @type {HTMLCanvasElement} */ (byId("canvas"));
const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
/** What was drawn. @type {unknown[]} */
let drawn = [];

/** @param {State} state */
export function drawTools(state) {
  const { photo, camera, stage, pending, rubber, stroke, strokes, ring, outline, tool, pointer, brush } = state;
  const isBrush = (tool === "brush" || tool === "erase") && pointer !== null;
  const isThere = photo && (photo.draft?.steps.length || pending.length || rubber || stroke || strokes.length || ring.length || outline || isBrush);
  const follows = isBrush || ring.length ? [pointer, brush, tool] : [];
  const now = isThere ? [camera, stage, photo.draft, pending, rubber, stroke, strokes, ring, outline, ...follows] : [];
  if (now.length === drawn.length && now.every((value, place) => value === drawn[place])) return;
  drawn = now;
  if (!isThere) {
    canvas.width = canvas.height = 0;
    return;
  }
  const dpr = screenPixels();
  const [width, height] = [Math.round(stage.width * dpr), Math.round(stage.height * dpr)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.setTransform(dpr, 0, 0, dpr, 0, 0);
  context.clearRect(0, 0, stage.width, stage.height);
  drawOutline(state);
  drawPrompts(state);
  drawStrokes(state);
  if (isBrush) drawBrush(state);
  drawRing(state);
}

/** @param {State} state */
function drawPrompts(state) {
  const { photo, camera, pending } = state;
  for (const step of [...(photo?.draft?.steps ?? []), ...pending]) {
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
function drawStrokes(state) {
  const { camera, brush } = state;
  for (const stroke of [...state.strokes, ...(state.stroke ? [state.stroke] : [])]) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Math.max(1, 2 * (stroke.radius ?? brush) * camera.scale);
    context.strokeStyle = stroke.erase ? "rgb(255 93 108 / 55%)" : "rgb(77 163 255 / 55%)";
    path(camera, stroke.points);
    if (stroke.points.length === 1) context.lineTo(...toStage(camera, stroke.points[0][0] + 0.01, stroke.points[0][1]));
    context.stroke();
  }
}

/** @param {State} state */
function drawBrush({ camera, pointer, brush }) {
  if (!pointer) return;
  const [x, y] = toStage(camera, pointer[0], pointer[1]);
  for (const [line, colour] of /** @type {[number, string][]} */ ([[3, "rgb(0 0 0 / 60%)"], [1.5, "#fff"]])) {
    context.beginPath();
    context.arc(x, y, Math.max(2, brush * camera.scale), 0, 2 * Math.PI);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.stroke();
  }
}

/** @param {State} state */
function drawRing({ camera, tool, pointer, ring }) {
  if (!ring.length) return;
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
