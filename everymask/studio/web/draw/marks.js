// What the masks of the draft, of the selection and under the pointer look like: one picture, as large as they are,
// which the compositor moves.

import { h } from "../core/dom.js";
import { boxOf } from "../core/runs.js";
import { APRON, abgr, brighter, coloured, topmost } from "./paint.js";
import { EVEN, place } from "./sheet.js";

/** @typedef {import("./sheet.js").View} View */
/** @typedef {{runs: import("./paint.js").Runs, color: string, fill: number}} Mark */

/** @type {WeakMap<Uint32Array, [number, number, number, number]>} */
const boxes = new WeakMap();

export class Marks {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.canvas = h("canvas", { hidden: true });
    this.box = h("div", { class: "level" }, this.canvas);
    parent.append(h("div", { class: "pane" }, this.box));
    /** @type {Mark[]} */
    this.marks = [];
    this.scale = 0;
    /** What is painted, in pixels of the screen: left, top, right, bottom. */
    this.area = [0, 0, 0, 0];
  }

  /**
   * @param {Mark[]} marks bottom to top
   * @param {View} view
   * @param {[number, number]} size of the photo
   */
  show(marks, view, size) {
    const seen = [view.x, view.y, view.x + view.width, view.y + view.height];
    const around = boxAround(marks, size, view.scale);
    const isSame = this.scale === view.scale && marks.length === this.marks.length && marks.every((mark, place) => isEqual(mark, this.marks[place]));
    if (!isSame || !holds(this.area, common(around, seen))) {
      const [w, h] = [view.width >> 1, view.height >> 1]; // painted beyond what is seen, for panning
      this.paint(marks, common(around, even([seen[0] - w, seen[1] - h, seen[2] + w, seen[3] + h])), view, size);
    }
    place(this.box, view.scale, view);
  }

  /**
   * @param {Mark[]} marks
   * @param {number[]} area
   * @param {View} view
   * @param {[number, number]} size
   */
  paint(marks, area, { scale, dpr }, size) {
    [this.marks, this.area, this.scale] = [marks, area, scale];
    const [x, y, width, height] = [area[0], area[1], area[2] - area[0], area[3] - area[1]];
    this.canvas.hidden = width <= 0 || height <= 0;
    if (this.canvas.hidden) return;
    const ids = topmost(marks.map((mark) => mark.runs), size, { x, y, width, height, step: 1 / scale });
    const fills = Uint32Array.from([0, ...marks.map((mark) => abgr(mark.color, Math.round(255 * mark.fill)))]);
    const lines = Uint32Array.from([0, ...marks.map((mark) => abgr(brighter(mark.color)))]);
    const { fill } = coloured(ids, width, height, fills, lines, 2, true);
    [this.canvas.width, this.canvas.height] = [width, height];
    this.canvas.style.cssText = `left: ${x / dpr}px; top: ${y / dpr}px; width: ${width / dpr}px; height: ${height / dpr}px`;
    /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d")).putImageData(fill, 0, 0);
  }
}

/** @param {Mark} a @param {Mark} b */
function isEqual(a, b) {
  return a.runs === b.runs && a.color === b.color && a.fill === b.fill;
}

/**
 * The box around marks, in pixels of the screen: left, top, right, bottom.
 * @param {Mark[]} marks
 * @param {[number, number]} size
 * @param {number} scale
 */
function boxAround(marks, size, scale) {
  let box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { runs } of marks) {
    const [x, y, w, h] = boxes.get(runs.ends) ?? boxOf(runs.ends, runs.size);
    boxes.set(runs.ends, [x, y, w, h]);
    const [across, down] = [(scale * size[1]) / runs.size[1], (scale * size[0]) / runs.size[0]];
    const own = [Math.floor(x * across) - APRON, Math.floor(y * down) - APRON, Math.ceil((x + w + 1) * across) + APRON, Math.ceil((y + h + 1) * down) + APRON];
    box = [Math.min(box[0], own[0]), Math.min(box[1], own[1]), Math.max(box[2], own[2]), Math.max(box[3], own[3])];
  }
  return even(box);
}

/** @param {number[]} box grown until its edges are even */
function even([left, top, right, bottom]) {
  return [EVEN * Math.floor(left / EVEN), EVEN * Math.floor(top / EVEN), EVEN * Math.ceil(right / EVEN), EVEN * Math.ceil(bottom / EVEN)];
}

/** @param {number[]} a @param {number[]} b */
function common(a, b) {
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
}

/** @param {number[]} outer @param {number[]} inner an empty one is held by any */
function holds(outer, inner) {
  if (inner[0] >= inner[2] || inner[1] >= inner[3]) return true;
  return outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];
}
