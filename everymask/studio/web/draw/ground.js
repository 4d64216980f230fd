// What lies under the masks: the photo, or a checkerboard with only what masks hold.

import { h } from "../core/dom.js";
import { abgr, coloured, topmost } from "./paint.js";
import { arrived, drawPhoto } from "./photo_tiles.js";
import { Sheet, SIDE, screenPixels } from "./sheet.js";

/** @typedef {import("../core/types.js").Photo} Photo */
/** @typedef {import("./paint.js").Window} Window */
/** @typedef {import("./mask_tiles.js").MaskTiles} MaskTiles */

const BACKGROUND = "#0e0f12";
const SQUARE = 16; // of the board: a tile has a whole number of them
const BOARD = ["#383c44", "#2b2e34"];

const [scratch, held] = [h("canvas", { width: SIDE, height: SIDE }), h("canvas", { width: SIDE, height: SIDE })];
const [scratchOn, heldOn] = [scratch, held].map((canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")));

export class Ground {
  /**
   * @param {HTMLElement} parent
   * @param {MaskTiles} masks what the checkerboard leaves
   */
  constructor(parent, masks) {
    this.masks = masks;
    /** @type {Photo | null} */
    this.photo = null;
    this.isChecker = false;
    this.sheet = new Sheet(parent, ["ground"], (window, canvases) => this.paint(window, canvases), true);
  }

  /**
   * What is to be shown; tiles that change by it become stale.
   * @param {Photo} photo
   * @param {boolean} isChecker
   * @param {(number[] | null)[]} changed boxes within which masks changed
   */
  have(photo, isChecker, changed) {
    const before = this.photo;
    const isSame = before && before.look === photo.look && before.base === photo.base && before.picture === photo.picture && before.moving === photo.moving;
    this.photo = photo;
    if (!isSame || isChecker !== this.isChecker) this.sheet.stale(null);
    else if (isChecker) for (const bbox of changed) this.sheet.stale(bbox);
    for (const bbox of arrived()) this.sheet.stale(bbox);
    this.isChecker = isChecker;
  }

  /**
   * @param {Window} window
   * @param {() => CanvasRenderingContext2D[]} canvases
   */
  paint(window, canvases) {
    const photo = /** @type {Photo} */ (this.photo);
    if (this.isChecker) return this.paintChecker(photo, window, canvases()[0]);
    let isBegun = false;
    return drawPhoto(photo, window, () => {
      const [on] = canvases();
      if (!isBegun) {
        on.fillStyle = BACKGROUND;
        on.fillRect(0, 0, window.width, window.height);
      }
      isBegun = true;
      return on;
    });
  }

  /**
   * @param {Photo} photo
   * @param {Window} window
   * @param {CanvasRenderingContext2D} on
   */
  paintChecker(photo, window, on) {
    const side = SQUARE * Math.round(screenPixels());
    for (let y = 0, row = 0; y < window.height; y += side, row++) {
      for (let x = 0, column = 0; x < window.width; x += side, column++) {
        on.fillStyle = BOARD[(row + column) % 2];
        on.fillRect(x, y, side, side);
      }
    }
    const here = this.masks.within(window);
    if (!here.length) return true;
    const fills = Uint32Array.from([0, ...here.map(() => abgr("#ffffff"))]);
    const { fill } = coloured(topmost(here, photo.size, window), window.width, window.height, fills, fills, 1);
    scratchOn.clearRect(0, 0, SIDE, SIDE);
    drawPhoto(photo, window, () => scratchOn);
    heldOn.putImageData(fill, 0, 0);
    heldOn.globalCompositeOperation = "source-in";
    heldOn.drawImage(scratch, 0, 0);
    heldOn.globalCompositeOperation = "source-over";
    on.drawImage(held, 0, 0, window.width, window.height, 0, 0, window.width, window.height);
    return true;
  }
}
