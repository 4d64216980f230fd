// The masks in tiles at the scale of the screen. A tile is painted when a mask in it or the scale changes;
// panning and opacity only draw what is painted already.

import { colourOf } from "../core/colours.js";
import { abgr, brighter, coloured, topmost } from "./paint.js";

const TILE = 512;
const BUDGET_MS = 8;

/** @typedef {import("../core/types.js").MaskView} MaskView */
/** @typedef {{fill: HTMLCanvasElement, line: HTMLCanvasElement, fresh: boolean, blank: boolean}} Tile */

export class MaskTiles {
  constructor() {
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    /** @type {MaskView[]} */
    this.masks = [];
    /** @type {import("../core/types.js").ClassRow[]} */
    this.classes = [];
    /** @type {[number, number]} */
    this.size = [1, 1];
    this.step = 1;
  }

  /**
   * What is to be shown; tiles that change by it become stale.
   * @param {Iterable<MaskView>} masks
   * @param {import("../core/types.js").ClassRow[]} classes
   * @param {[number, number]} size of the photo
   */
  show(masks, classes, size) {
    const sorted = [...masks].sort((a, b) => b.area - a.area); // small ones on top
    if (classes !== this.classes || size !== this.size) this.stale(null);
    else {
      const before = new Set(this.masks);
      const after = new Set(sorted);
      for (const mask of [...this.masks, ...sorted]) if (!before.has(mask) || !after.has(mask)) this.stale(mask.bbox);
    }
    this.masks = sorted;
    this.classes = classes;
    this.size = size;
  }

  /** @param {number[] | null} bbox x, y, width, height in pixels of the photo; null: everything */
  stale(bbox) {
    const side = TILE * this.step;
    for (const [key, tile] of this.tiles) {
      const [column, row] = key.split(",").map(Number);
      const [x, y, w, h] = bbox ?? [-Infinity, -Infinity, Infinity, Infinity];
      const margin = 3 * this.step;
      const apart = bbox && (x - margin > (column + 1) * side || x + w + margin < column * side || y - margin > (row + 1) * side || y + h + margin < row * side);
      if (!apart) tile.fresh = false;
    }
  }

  /**
   * Draw what is seen; true while there is more to paint.
   * @param {CanvasRenderingContext2D} canvas
   * @param {import("../core/types.js").Camera} camera
   * @param {{width: number, height: number}} stage
   * @param {number} dpr
   * @param {(canvas: CanvasRenderingContext2D, tile: Tile, x: number, y: number, side: number) => void} put
   */
  draw(canvas, camera, stage, dpr, put) {
    const step = 2 ** Math.round(-Math.log2(camera.scale * dpr));
    if (step !== this.step) {
      this.tiles.clear();
      this.step = step;
    }
    const begun = performance.now();
    const side = TILE * step;
    const [x0, y0] = [Math.max(0, Math.floor(camera.x / side)), Math.max(0, Math.floor(camera.y / side))];
    const x1 = Math.floor(Math.min(this.size[1] - 1, camera.x + stage.width / camera.scale) / side);
    const y1 = Math.floor(Math.min(this.size[0] - 1, camera.y + stage.height / camera.scale) / side);
    let more = false;
    for (let row = y0; row <= y1; row++) {
      for (let column = x0; column <= x1; column++) {
        const key = `${column},${row}`;
        let tile = this.tiles.get(key);
        if (!tile?.fresh) {
          if (performance.now() - begun < BUDGET_MS) tile = this.paint(key, column, row, tile);
          else more = true;
        }
        if (tile && !tile.blank) {
          const length = side * camera.scale;
          put(canvas, tile, (column * side - camera.x) * camera.scale, (row * side - camera.y) * camera.scale, length);
        }
      }
    }
    if (this.tiles.size > 120) this.trim(x0, y0, x1, y1);
    return more;
  }

  /**
   * @param {string} key
   * @param {number} column
   * @param {number} row
   * @param {Tile | undefined} old
   * @returns {Tile}
   */
  paint(key, column, row, old) {
    const side = TILE * this.step;
    const [left, top, right, bottom] = [column * side, row * side, (column + 1) * side, (row + 1) * side];
    const margin = 3 * this.step;
    const here = this.masks.filter(({ bbox: [x, y, w, h] }) => x - margin <= right && x + w + margin >= left && y - margin <= bottom && y + h + margin >= top);
    const blank = here.length === 0;
    const tile = old ?? { fill: blankCanvas(), line: blankCanvas(), fresh: true, blank };
    tile.fresh = true;
    tile.blank = blank;
    if (!blank) {
      const window = { x: column * TILE, y: row * TILE, width: TILE, height: TILE, step: this.step };
      const fills = Uint32Array.from([0, ...here.map((mask) => abgr(colourOf(mask, this.classes)))]);
      const lines = Uint32Array.from([0, ...here.map((mask) => abgr(brighter(colourOf(mask, this.classes))))]);
      const { fill, line } = coloured(topmost(here, this.size, window), TILE, TILE, fills, lines, 1);
      /** @type {CanvasRenderingContext2D} */ (tile.fill.getContext("2d")).putImageData(fill, 0, 0);
      /** @type {CanvasRenderingContext2D} */ (tile.line.getContext("2d")).putImageData(line, 0, 0);
    }
    this.tiles.set(key, tile);
    return tile;
  }

  /**
   * @param {number} x0
   * @param {number} y0
   * @param {number} x1
   * @param {number} y1
   */
  trim(x0, y0, x1, y1) {
    for (const key of this.tiles.keys()) {
      const [column, row] = key.split(",").map(Number);
      if (column < x0 - 1 || column > x1 + 1 || row < y0 - 1 || row > y1 + 1) this.tiles.delete(key);
    }
  }
}

function blankCanvas() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = TILE;
  return canvas;
}
