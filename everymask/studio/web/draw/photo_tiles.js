// The photo in tiles of its pyramid: coarse ones at once, sharp ones as they come.

import { redraw } from "../core/store.js";

const TILE = 512;
const KEPT = 300;

/** @typedef {import("../core/types.js").Photo} Photo */

/** @type {Map<string, HTMLImageElement>} */
const tiles = new Map();
/** Tiles that are decoded: only those are drawn, for a canvas would decode the others while one pans. @type {WeakSet<HTMLImageElement>} */
const decoded = new WeakSet();
/** Where tiles have come since it was asked: x, y, width, height in pixels of the photo. @type {number[][]} */
let come = [];

/** Where tiles have come since this was asked last, to be painted: boxes in pixels of the photo. */
export function arrived() {
  const boxes = come;
  come = [];
  return boxes;
}

/**
 * @param {Photo} photo
 * @param {number} level
 * @param {number} column
 * @param {number} row
 */
function tile(photo, level, column, row) {
  const base = photo.base ?? `/api/photos/${photo.id}`;
  const key = `${base}/${photo.look}/${level}/${column}/${row}`;
  let image = tiles.get(key);
  if (image) {
    tiles.delete(key); // the least recently used comes first
  } else {
    image = new Image();
    image.src = `${base}/tiles/${level}/${column}/${row}?look=${photo.look}-${photo.view.page}-${photo.view.range}`;
    const fetched = image;
    const side = TILE * 2 ** level;
    fetched.decode().then(() => {
      decoded.add(fetched);
      come.push([column * side, row * side, side, side]);
      redraw();
    }, () => undefined);
    if (tiles.size >= KEPT) {
      const [oldest] = tiles.keys();
      tiles.delete(oldest);
    }
  }
  tiles.set(key, image);
  return image;
}

/**
 * Draw a window of the photo, as far as it is here; false where nothing of it is.
 * @param {Photo} photo
 * @param {import("./paint.js").Window} window
 * @param {() => CanvasRenderingContext2D} on asked for where there is something to draw
 */
export function drawPhoto(photo, window, on) {
  const { step } = window;
  if (photo.picture) {
    const { naturalWidth } = photo.picture;
    put(on(), photo.picture, window, [0, 0, photo.size[1], photo.size[0]]);
    const isSharp = naturalWidth >= photo.size[1] || photo.size[1] < 1.1 * step * naturalWidth;
    if (isSharp || photo.moving) return true;
  }
  const coarsest = photo.levels - 1;
  const wanted = Math.min(coarsest, Math.max(0, Math.floor(Math.log2(step) + 0.2)));
  const sharp = pieces(photo, wanted, window);
  const isComplete = sharp.every(({ image }) => decoded.has(image));
  const coarse = wanted === coarsest ? [] : pieces(photo, coarsest, window); // asked for in any case: it comes first
  const here = [...(isComplete ? [] : coarse), ...sharp].filter(({ image }) => decoded.has(image));
  for (const { image, box } of here) put(on(), image, window, box);
  return here.length > 0 || Boolean(photo.picture);
}

/**
 * The tiles of a level that touch a window, and where each lies: left, top, right, bottom in pixels of the photo.
 * @param {Photo} photo
 * @param {number} level
 * @param {import("./paint.js").Window} window
 */
function pieces(photo, level, { x, y, width, height, step }) {
  const side = TILE * 2 ** level;
  const [rows, columns] = photo.size.map((length) => Math.ceil(length / side));
  const last = [Math.min(columns - 1, Math.floor(((x + width) * step) / side)), Math.min(rows - 1, Math.floor(((y + height) * step) / side))];
  const found = [];
  for (let row = Math.floor((y * step) / side); row <= last[1]; row++) {
    for (let column = Math.floor((x * step) / side); column <= last[0]; column++) {
      const image = tile(photo, level, column, row);
      const right = Math.min(photo.size[1], column * side + image.naturalWidth * 2 ** level);
      const bottom = Math.min(photo.size[0], row * side + image.naturalHeight * 2 ** level);
      found.push({ image, box: [column * side, row * side, right, bottom] });
    }
  }
  return found;
}

/**
 * @param {CanvasRenderingContext2D} canvas
 * @param {HTMLImageElement} image
 * @param {import("./paint.js").Window} window
 * @param {number[]} box in pixels of the photo; its edges come to whole pixels of the screen, so that no seam shows
 */
function put(canvas, image, { x, y, step }, [left, top, right, bottom]) {
  const [x0, y0, x1, y1] = [left / step - x, top / step - y, right / step - x, bottom / step - y].map(Math.round);
  canvas.imageSmoothingEnabled = 1 / step < 3;
  canvas.drawImage(image, x0, y0, x1 - x0, y1 - y0);
}
