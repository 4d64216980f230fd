// From mouse, pen and fingers to what they mean on the photo. One place, one gesture at a time.

import { panned, toPhoto, toStage, zoomed } from "../core/camera.js";
import { act, hover, make, target, unhover } from "../core/desk.js";
import { byId } from "../core/dom.js";
import { cornerAt, dropCorner, holdOutline, keepOutline, moveCorner, splitEdgeAt } from "../core/outline.js";
import { holds } from "../core/runs.js";
import { get, set } from "../core/store.js";
import { findingAt, toggleFinding } from "../panels/findings.js";

const MOVED = 5; // CSS pixels until a press is a drag
const LONG_MS = 450;
const REACH = 10; // CSS pixels around a point that take hold of it

/**
 * @typedef {object} Gesture
 * @property {"press" | "pan" | "box" | "point" | "corner" | "stroke" | "pinch" | "none"} kind
 * @property {number} x where it is, on the stage
 * @property {number} y
 * @property {number} index of the prompt that is held
 * @property {[number, number] | null} to where that prompt was taken
 * @property {[number, number] | null} corner that is held: ring, corner
 * @property {boolean} exclude
 * @property {boolean} add to what is selected
 * @property {number} long the timer of a long press
 */

/** @type {Gesture | null} */
let gesture = null;
/** @type {Map<number, {x: number, y: number}>} */
const fingers = new Map();
let asked = false;

const canvas = byId("canvas");

/** Begin to listen. */
export function startPointer() {
  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", moveTo);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("pointerleave", () => {
    if (!gesture) {
      set({ pointer: null, pointed: null, beneath: null });
      unhover();
    }
  });
  canvas.addEventListener("wheel", wheel, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", doubleClick);
  document.addEventListener("cross", () => {
    const at = get().pointer;
    if (at) hoverAt(at);
  });
  canvas.addEventListener("keydown", (event) => {
    const at = get().pointer;
    if (at && (event.key === "." || event.key === ",")) prompt(at, event.key === ".");
  });
}

/** @param {PointerEvent | WheelEvent | MouseEvent} event @returns {[number, number]} */
function stageXY(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** @param {PointerEvent} event */
function down(event) {
  const { photo, tool, camera } = get();
  if (!photo) return;
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  const [x, y] = stageXY(event);
  if (event.pointerType === "touch") {
    fingers.set(event.pointerId, { x, y });
    if (fingers.size === 2) {
      abandon();
      gesture = { kind: "pinch", x, y, index: -1, to: null, corner: null, exclude: false, add: false, long: 0 };
      return;
    }
    if (fingers.size > 2) return;
  }
  const exclude = event.button === 2 || event.altKey;
  const add = event.ctrlKey || event.metaKey || event.shiftKey;
  gesture = { kind: "press", x, y, index: -1, to: null, corner: null, exclude, add, long: 0 };
  if (event.button === 1 || tool === "hand" || document.body.classList.contains("panning")) gesture.kind = "pan";
  else if (tool === "click") {
    gesture.index = pointAt(x, y);
    if (event.pointerType === "touch") gesture.long = window.setTimeout(longPress, LONG_MS);
  } else if (tool === "polygon" && get().outline) {
    const [at, reach] = [toPhoto(camera, x, y), REACH / camera.scale];
    gesture.corner = cornerAt(at, reach);
    if (gesture.corner && exclude) {
      dropCorner(gesture.corner);
      gesture.kind = "none";
    } else gesture.corner ??= splitEdgeAt(at, reach / 2);
    if (gesture.corner && gesture.kind !== "none") holdOutline(true);
  } else if (tool === "brush" || tool === "erase") {
    gesture.kind = "stroke";
    set({ stroke: { points: [toPhoto(camera, x, y)], erase: (tool === "erase") !== exclude } });
  }
  unhover();
}

/** @param {PointerEvent} event */
function moveTo(event) {
  const { camera, photo, stage, tool } = get();
  if (!photo) return;
  const [x, y] = stageXY(event);
  const at = toPhoto(camera, x, y);
  if (gesture?.kind === "pinch" && fingers.has(event.pointerId)) {
    pinch(event.pointerId, x, y);
    return;
  }
  if (!gesture) {
    const beneath = maskAt(at);
    set({ pointer: at, beneath, pointed: tool === "click" ? null : beneath });
    if (tool === "click") hoverAt(at);
    return;
  }
  const far = Math.hypot(x - gesture.x, y - gesture.y) > MOVED;
  if (gesture.kind === "press" && far) {
    clearTimeout(gesture.long);
    if (tool === "click") gesture.kind = gesture.index >= 0 ? "point" : event.pointerType === "touch" ? "pan" : "box";
    else if (gesture.corner) gesture.kind = "corner";
    else gesture.kind = tool === "select" || get().outline ? "pan" : "none";
  }
  if (gesture.kind === "pan") {
    set({ camera: panned(camera, x - gesture.x, y - gesture.y, photo.size, stage) });
    [gesture.x, gesture.y] = [x, y];
  } else if (gesture.kind === "box") {
    const from = toPhoto(camera, gesture.x, gesture.y);
    set({ rubber: { box: [Math.min(from[0], at[0]), Math.min(from[1], at[1]), Math.max(from[0], at[0]), Math.max(from[1], at[1])] } });
  } else if (gesture.kind === "corner" && gesture.corner) moveCorner(gesture.corner, at);
  else if (gesture.kind === "point") gesture.to = movePoint(gesture.index, at);
  else if (gesture.kind === "stroke") {
    const { stroke } = get();
    const events = event.getCoalescedEvents?.() ?? [event];
    if (stroke) set({ stroke: { ...stroke, points: [...stroke.points, ...events.map((each) => toPhoto(camera, ...stageXY(each)))] } });
  }
  set({ pointer: at });
}

/** @param {PointerEvent} event */
function up(event) {
  fingers.delete(event.pointerId);
  const ended = gesture;
  if (!ended) return;
  if (ended.kind === "pinch") {
    if (fingers.size === 0) gesture = null;
    return;
  }
  gesture = null;
  clearTimeout(ended.long);
  holdOutline(false);
  const { camera, rubber, stroke, brush, activeClass } = get();
  const at = toPhoto(camera, ...stageXY(event));
  if (ended.kind === "press") press(ended, at);
  else if (ended.kind === "box" && rubber) {
    set({ rubber: null, pending: [{ kind: "box", xy: rubber.box, include: true, choice: null }] });
    act({ type: "box", box: rubber.box });
  } else if (ended.kind === "point" && ended.to) act({ type: "move_prompt", index: ended.index, x: ended.to[0], y: ended.to[1] });
  else if (ended.kind === "corner") keepOutline();
  else if (ended.kind === "stroke" && stroke) {
    const painted = { ...stroke, radius: brush };
    const about = target();
    set({ stroke: null, strokes: [...get().strokes, painted] }); // the next one may begin before this one is answered
    make(() => {
      const mask = about();
      return { type: "brush", mask, points: thinned(stroke.points, brush / 6), radius: brush, erase: stroke.erase, ...(mask === null && activeClass ? { label: activeClass } : {}) };
    }).then(() => set({ strokes: get().strokes.filter((each) => each !== painted) }));
  }
}

/** @param {PointerEvent} event */
function drop(event) {
  fingers.delete(event.pointerId);
  abandon();
}

function abandon() {
  if (gesture) clearTimeout(gesture.long);
  gesture = null;
  holdOutline(false);
  set({ rubber: null, stroke: null });
}

function longPress() {
  const pressed = gesture;
  if (pressed?.kind !== "press") return;
  gesture = { ...pressed, kind: "none" };
  navigator.vibrate?.(15);
  prompt(toPhoto(get().camera, pressed.x, pressed.y), false);
}

/**
 * A press without a drag.
 * @param {Gesture} pressed
 * @param {[number, number]} at
 */
function press(pressed, at) {
  const { tool, ring, selected, panel } = get();
  if (panel === "everything" && get().findings) toggleFinding(at, pressed.exclude);
  else if (tool === "click" && pressed.index >= 0) removePoint(pressed.index);
  else if (tool === "click") prompt(at, !pressed.exclude);
  else if (tool === "polygon" && pressed.corner) return;
  else if (tool === "polygon" && ring.length > 2 && Math.hypot(at[0] - ring[0][0], at[1] - ring[0][1]) <= REACH / get().camera.scale) closeRing(ring);
  // A new polygon ends the selection: corners of it that are still on their way must not come between.
  else if (tool === "polygon") set({ selected: new Set(), outline: null, ring: [...ring, at] });
  else if (tool === "select") {
    const mask = maskAt(at);
    const all = new Set(pressed.add ? selected : []);
    if (mask !== null) pressed.add && all.has(mask) ? all.delete(mask) : all.add(mask);
    set({ selected: all });
  }
}

/**
 * Ask about a point.
 * @param {[number, number]} at
 * @param {boolean} include
 */
function prompt(at, include) {
  const photo = get().photo;
  if (!photo || at[0] < 0 || at[1] < 0 || at[0] >= photo.size[1] || at[1] >= photo.size[0]) return;
  set({ pending: [...get().pending, { kind: "point", xy: at, include, choice: null }], hover: get().hover });
  act({ type: "click", x: at[0], y: at[1], include });
}

/** Take a point away: the one that was pressed, whatever was taken away before it meanwhile. @param {number} index */
function removePoint(index) {
  const pressed = get().photo?.draft?.steps[index];
  act((photo) => {
    const at = (photo.draft?.steps ?? []).findIndex((step) => step.kind === "point" && step.include === pressed?.include && String(step.xy) === String(pressed.xy));
    return at < 0 ? null : { type: "remove_prompt", index: at };
  });
}

/** Make a mask of the corners that were drawn. @param {[number, number][]} ring */
export function closeRing(ring) {
  set({ ring: [] });
  return act({ type: "polygon", rings: [ring], ...(get().activeClass ? { label: get().activeClass } : {}) });
}

/** @param {MouseEvent} event */
function doubleClick(event) {
  const { tool, ring, camera } = get();
  if (tool === "polygon" && ring.length > 3) closeRing(ring.slice(0, -1));
  else if (tool === "select") {
    const mask = maskAt(toPhoto(camera, ...stageXY(event)));
    if (mask !== null) {
      set({ tool: "click", selected: new Set([mask]) });
      act({ type: "reopen", mask });
    }
  }
}

/** @param {WheelEvent} event */
function wheel(event) {
  event.preventDefault();
  const { camera, photo, stage, tool, brush } = get();
  if (!photo) return;
  const [x, y] = stageXY(event);
  const lines = event.deltaMode === 1 ? 20 : 1;
  const [dx, dy] = [event.deltaX * lines, event.deltaY * lines];
  if ((tool === "brush" || tool === "erase") && !event.ctrlKey && !event.metaKey) set({ brush: Math.min(2000, Math.max(1, brush * Math.exp(-dy / 500))) });
  else if (event.shiftKey) set({ camera: panned(camera, -dy - dx, 0, photo.size, stage) });
  else set({ camera: zoomed(camera, Math.exp(-dy / (event.ctrlKey ? 120 : 400)), x, y, photo.size) });
}

/**
 * @param {number} id
 * @param {number} x
 * @param {number} y
 */
function pinch(id, x, y) {
  const { camera, photo, stage } = get();
  if (!photo) return;
  const before = [...fingers.values()];
  const span = Math.hypot(before[0].x - before[1].x, before[0].y - before[1].y);
  const middle = [(before[0].x + before[1].x) / 2, (before[0].y + before[1].y) / 2];
  fingers.set(id, { x, y });
  const after = [...fingers.values()];
  const factor = Math.hypot(after[0].x - after[1].x, after[0].y - after[1].y) / Math.max(1, span);
  const to = [(after[0].x + after[1].x) / 2, (after[0].y + after[1].y) / 2];
  const grown = zoomed(camera, factor, middle[0], middle[1], photo.size);
  set({ camera: panned(grown, to[0] - middle[0], to[1] - middle[1], photo.size, stage) });
}

/** @param {[number, number]} at */
function hoverAt(at) {
  const { photo, panel } = get();
  if (!photo || photo.draft) return;
  if (panel === "everything") {
    const mask = findingAt(at);
    if (mask?.id !== get().hover?.finding) set({ hover: mask && { score: mask.predicted_iou ?? 0, size: mask.size, counts: mask.counts, ends: mask.ends, xy: at, finding: mask.id } });
    return;
  }
  const inside = at[0] >= 0 && at[1] >= 0 && at[0] < photo.size[1] && at[1] < photo.size[0];
  if (!inside) {
    unhover();
    return;
  }
  if (asked) return; // the newest position is asked for once a frame
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const now = get().pointer;
    if (now && !gesture && !get().photo?.draft) hover(now);
  });
}

/**
 * The prompt under a place of the stage; -1: none.
 * @param {number} x
 * @param {number} y
 */
function pointAt(x, y) {
  const { photo, camera } = get();
  return (photo?.draft?.steps ?? []).findIndex((step) => {
    if (step.kind !== "point") return false;
    const at = toStage(camera, step.xy[0], step.xy[1]);
    return Math.hypot(at[0] - x, at[1] - y) <= REACH;
  });
}

/**
 * @param {number} index
 * @param {[number, number]} at
 * @returns {[number, number] | null} where it is then
 */
function movePoint(index, at) {
  const photo = get().photo;
  if (!photo?.draft?.steps[index]) return null;
  const limited = /** @type {[number, number]} */ ([Math.min(photo.size[1] - 1, Math.max(0, at[0])), Math.min(photo.size[0] - 1, Math.max(0, at[1]))]);
  const steps = photo.draft.steps.map((step, place) => (place === index ? { ...step, xy: limited } : step));
  set({ photo: { ...photo, draft: { ...photo.draft, steps } } });
  return limited;
}

/**
 * The smallest mask at a place of the photo.
 * @param {[number, number]} at
 */
function maskAt(at) {
  const photo = get().photo;
  if (!photo) return null;
  let found = null;
  for (const mask of photo.masks.values()) {
    const [x, y, w, h] = mask.bbox;
    if (at[0] < x || at[1] < y || at[0] > x + w + 1 || at[1] > y + h + 1) continue;
    if ((!found || mask.area < found.area) && holds(mask, photo.size, at[0], at[1])) found = mask;
  }
  return found?.id ?? null;
}

/**
 * Points of a stroke without those that say nothing.
 * @param {[number, number][]} points
 * @param {number} least
 */
function thinned(points, least) {
  const kept = [points[0]];
  for (const point of points) {
    const [x, y] = kept[kept.length - 1];
    if (Math.hypot(point[0] - x, point[1] - y) >= least) kept.push(point);
  }
  return [...kept, points[points.length - 1]];
}
