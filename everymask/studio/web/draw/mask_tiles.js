// The masks of the photo in tiles: painted when a mask in them or the scale changes. Opacity is the compositor's.

import { colourOf } from "../core/colours.js";
import { abgr, brighter, coloured, topmost } from "./paint.js";
import { Sheet } from "./sheet.js";

/** @typedef {import("../core/types.js").MaskView} MaskView */
/** @typedef {import("./paint.js").Window} Window */

export class MaskTiles {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    /** The list that is shown, and the same with small masks last, on top. @type {MaskView[]} */
    this.given = [];
    /** @type {MaskView[]} */
    this.masks = [];
    /** @type {import("../core/types.js").ClassRow[]} */
    this.classes = [];
    this.size = /** @type {[number, number]} */ ([1, 1]);
    this.sheet = new Sheet(parent, ["fill", "line"], (window, canvases) => this.paint(window, canvases));
  }

  /**
   * What is to be shown; tiles that change by it become stale.
   * @param {MaskView[]} masks
   * @param {import("../core/types.js").ClassRow[]} classes
   * @param {[number, number]} size of the photo
   * @returns {(number[] | null)[]} the boxes within which something changed; null: everywhere
   */
  have(masks, classes, size) {
    if (masks === this.given && classes === this.classes && size === this.size) return [];
    const before = new Set(this.masks);
    const after = new Set(masks);
    const isOther = classes !== this.classes || size !== this.size;
    const changed = isOther ? [null] : [...[...before].filter((mask) => !after.has(mask)), ...masks.filter((mask) => !before.has(mask))].map((mask) => mask.bbox);
    for (const bbox of changed) this.sheet.stale(bbox);
    this.given = masks;
    this.masks = [...masks].sort((a, b) => b.area - a.area);
    this.classes = classes;
    this.size = size;
    return changed;
  }

  /**
   * The masks that touch a window.
   * @param {Window} window
   */
  within({ x, y, width, height, step }) {
    const margin = 3 * step;
    const [left, top, right, bottom] = [x * step - margin, y * step - margin, (x + width) * step + margin, (y + height) * step + margin];
    return this.masks.filter(({ bbox: [x, y, w, h] }) => x <= right && x + w >= left && y <= bottom && y + h >= top);
  }

  /**
   * @param {Window} window
   * @param {() => CanvasRenderingContext2D[]} canvases
   */
  paint(window, canvases) {
    const here = this.within(window);
    if (!here.length) return false;
    const fills = Uint32Array.from([0, ...here.map((mask) => abgr(colourOf(mask, this.classes)))]);
    const lines = Uint32Array.from([0, ...here.map((mask) => abgr(brighter(colourOf(mask, this.classes))))]);
    const { fill, line } = coloured(topmost(here, this.size, window), window.width, window.height, fills, lines, 1);
    const [fillOn, lineOn] = canvases();
    fillOn.putImageData(fill, 0, 0);
    lineOn.putImageData(line, 0, 0);
    return true;
  }
}
