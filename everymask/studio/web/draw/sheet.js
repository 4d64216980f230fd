// A picture in tiles at the scale of the screen, which the compositor moves: panning paints only what comes into
// sight. While one zooms, the tiles of the last scale are stretched; sharp ones follow.

import { h } from "../core/dom.js";

export const SIDE = 256; // of a tile, in pixels of the screen
export const EVEN = 2; // what is painted begins and ends at multiples of it: at whole CSS pixels, or it would be stretched

/** @typedef {import("./paint.js").Window} Window */
/** @typedef {{canvases: HTMLCanvasElement[], column: number, row: number, isFresh: boolean}} Tile */
/** Tiles of one scale, in pixels of the screen a pixel of the photo. @typedef {{scale: number, box: HTMLElement, tiles: Map<string, Tile>}} Level */

/**
 * Paints a window of the picture into canvases, which are made when they are asked for; false where there is nothing.
 * @callback Painter
 * @param {Window} window
 * @param {() => CanvasRenderingContext2D[]} canvases
 * @returns {boolean}
 */

/**
 * What is seen of the photo, in pixels of the screen at a scale.
 * @typedef {{scale: number, dpr: number, x: number, y: number, width: number, height: number}} View
 */

/**
 * @param {import("../core/types.js").Camera} camera
 * @param {{width: number, height: number}} stage
 * @param {number} dpr pixels of the screen to a CSS pixel
 * @returns {View} moved by whole pixels only, so that nothing is blurred
 */
export function viewOf(camera, stage, dpr) {
  const scale = camera.scale * dpr;
  return { scale, dpr, x: Math.round(camera.x * scale), y: Math.round(camera.y * scale), width: Math.ceil(stage.width * dpr), height: Math.ceil(stage.height * dpr) };
}

/**
 * Let the compositor put something painted for one scale where it is seen now.
 * @param {HTMLElement} box
 * @param {number} scale that it was painted for
 * @param {View} view
 */
export function place(box, scale, view) {
  const stretched = view.scale === scale ? "" : ` scale(${view.scale / scale})`;
  box.style.transform = `translate(${-view.x / view.dpr}px, ${-view.y / view.dpr}px)${stretched}`;
}

export class Sheet {
  /**
   * @param {HTMLElement} parent
   * @param {string[]} layers classes of the canvases of a tile, bottom to top
   * @param {Painter} paint
   * @param {boolean} [isOpaque]
   */
  constructor(parent, layers, paint, isOpaque = false) {
    this.element = h("div", { class: "pane" });
    this.layers = layers;
    this.paint = paint;
    this.isOpaque = isOpaque;
    this.now = this.level(0);
    /** The tiles of the scale before, until those of this one are painted. @type {Level | null} */
    this.last = null;
    this.isWhole = false; // everything that is seen was painted at this scale
    parent.append(this.element);
  }

  /** @param {number} scale @returns {Level} */
  level(scale) {
    const box = h("div", { class: "level" });
    this.element.append(box);
    return { scale, box, tiles: new Map() };
  }

  /** Another picture: nothing of this one stays. */
  forget() {
    this.last?.box.remove();
    this.last = null;
    this.now.box.remove();
    this.now = this.level(this.now.scale);
    this.isWhole = false;
  }

  /**
   * What is painted there is out of date; it stays until it is painted again.
   * @param {number[] | null} bbox x, y, width, height in pixels of the photo; null: everything
   */
  stale(bbox) {
    const margin = 3 / this.now.scale;
    const side = SIDE / this.now.scale;
    const [x, y, w, h] = bbox ?? [0, 0, Infinity, Infinity];
    for (const tile of this.now.tiles.values()) {
      const [left, top] = [tile.column * side, tile.row * side];
      if (!bbox || !(x - margin > left + side || x + w + margin < left || y - margin > top + side || y + h + margin < top)) tile.isFresh = false;
    }
  }

  /**
   * Show what is seen; true while there is more to paint.
   * @param {View} view
   * @param {[number, number]} size of the photo: height, width
   * @param {number} deadline when to stop painting, as performance.now() tells it; one tile is painted in any case
   */
  show(view, size, deadline) {
    const isZooming = this.now.scale !== view.scale;
    if (isZooming) this.rescale(view.scale);
    place(this.now.box, this.now.scale, view);
    if (this.last) place(this.last.box, this.last.scale, view);
    if (isZooming && this.last && deadline < Infinity) return true; // sharp tiles wait until the scale stays

    const whole = [size[1], size[0]].map((length) => EVEN * Math.max(1, Math.ceil((length * view.scale) / EVEN)));
    const seen = tilesOf(view, whole, 0);
    const isPaint = (/** @type {[number, number]} */ [column, row]) => !this.now.tiles.get(`${column},${row}`)?.isFresh;
    const waiting = seen.filter(isPaint);
    const painted = this.work(waiting, whole, deadline, true);
    if (painted < waiting.length) return true;
    this.isWhole = true;
    this.last?.box.remove();
    this.last = null;
    this.now.box.hidden = false;
    const around = tilesOf(view, whole, 1);
    this.trim(around);
    const ahead = around.filter(isPaint);
    return this.work(ahead, whole, Math.min(deadline, performance.now() + 8), false) < ahead.length;
  }

  /**
   * Paint tiles while there is time.
   * @param {[number, number][]} places
   * @param {number[]} whole width and height of the picture
   * @param {number} deadline
   * @param {boolean} atLeastOne
   * @returns {number} how many were painted
   */
  work(places, whole, deadline, atLeastOne) {
    let painted = 0;
    for (const [column, row] of places) {
      if (performance.now() >= deadline && (painted || !atLeastOne)) break;
      this.paintTile(column, row, whole);
      painted++;
    }
    return painted;
  }

  /** @param {number} scale */
  rescale(scale) {
    if (this.isWhole || !this.last) {
      this.last?.box.remove();
      this.last = this.now.tiles.size ? this.now : null;
      if (!this.last) this.now.box.remove();
    } else this.now.box.remove();
    this.now = this.level(scale);
    this.now.box.hidden = this.last !== null && !this.isOpaque; // two on top of each other would be twice as strong
    this.isWhole = false;
  }

  /**
   * @param {number} column
   * @param {number} row
   * @param {number[]} whole
   */
  paintTile(column, row, [wide, high]) {
    const key = `${column},${row}`;
    const tile = this.now.tiles.get(key) ?? { canvases: [], column, row, isFresh: true };
    const [x, y] = [column * SIDE, row * SIDE];
    const window = { x, y, width: Math.min(SIDE, wide - x), height: Math.min(SIDE, high - y), step: 1 / this.now.scale };
    const isThere = this.paint(window, () => this.canvases(tile, window));
    if (!isThere) for (const canvas of tile.canvases.splice(0)) canvas.remove();
    tile.isFresh = true;
    this.now.tiles.set(key, tile);
  }

  /**
   * @param {Tile} tile
   * @param {Window} window
   */
  canvases(tile, { x, y, width, height }) {
    if (!tile.canvases.length) {
      const dpr = screenPixels();
      const style = `left: ${x / dpr}px; top: ${y / dpr}px; width: ${width / dpr}px; height: ${height / dpr}px`;
      tile.canvases = this.layers.map((layer) => h("canvas", { class: layer, width, height, style }));
      this.now.box.append(...tile.canvases);
    }
    return tile.canvases.map((canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: !this.isOpaque })));
  }

  /**
   * Keep the tiles near what is seen, and as many again.
   * @param {[number, number][]} near
   */
  trim(near) {
    if (this.now.tiles.size <= 2 * near.length) return;
    const kept = new Set(near.map(String));
    for (const [key, tile] of this.now.tiles) {
      if (kept.has(key)) continue;
      for (const canvas of tile.canvases) canvas.remove();
      this.now.tiles.delete(key);
    }
  }
}

/** Pixels of the screen to a CSS pixel, two at most: more are not told apart. */
export function screenPixels() {
  return Math.min(2, window.devicePixelRatio || 1);
}

/**
 * The tiles that are seen, those in the middle first.
 * @param {View} view
 * @param {number[]} whole width and height of the picture
 * @param {number} more tiles around them
 * @returns {[number, number][]} columns and rows
 */
function tilesOf(view, whole, more) {
  const range = (/** @type {number} */ from, /** @type {number} */ length, /** @type {number} */ limit) => {
    const last = Math.ceil(limit / SIDE) - 1;
    return [Math.max(0, Math.floor(from / SIDE) - more), Math.min(last, Math.ceil((from + length) / SIDE) - 1 + more)];
  };
  const [x0, x1] = range(view.x, view.width, whole[0]);
  const [y0, y1] = range(view.y, view.height, whole[1]);
  /** @type {[number, number][]} */
  const places = [];
  for (let row = y0; row <= y1; row++) for (let column = x0; column <= x1; column++) places.push([column, row]);
  const middle = [(view.x + view.width / 2) / SIDE - 0.5, (view.y + view.height / 2) / SIDE - 0.5];
  const far = (/** @type {[number, number]} */ [column, row]) => (column - middle[0]) ** 2 + (row - middle[1]) ** 2;
  return places.sort((a, b) => far(a) - far(b));
}
