// The photo in tiles of its pyramid: coarse ones at once, sharp ones as they come.

import { redraw } from "../core/store.js";

const TILE = 512;
const KEPT = 300;

/** @type {Map<string, HTMLImageElement>} */
const tiles = new Map();
/** Tiles that are decoded: only those are drawn, for a canvas would decode the others while one pans. @type {WeakSet<HTMLImageElement>} */
const decoded = new WeakSet();

/**
 * @param {import("../core/types.js").Photo} photo
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
    fetched.decode().then(() => {
      decoded.add(fetched);
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
 * Draw the part of the photo that is seen. The canvas is in CSS pixels of the stage.
 * @param {CanvasRenderingContext2D} canvas
 * @param {import("../core/types.js").Photo} photo
 * @param {import("../core/types.js").Camera} camera
 * @param {{width: number, height: number}} stage
 * @param {number} dpr
 */
export function drawPhoto(canvas, photo, camera, stage, dpr) {
  const coarsest = photo.levels - 1;
  const wanted = Math.min(coarsest, Math.max(0, Math.floor(-Math.log2(camera.scale * dpr) + 0.2)));
  canvas.imageSmoothingEnabled = camera.scale * dpr < 3;
  if (photo.picture) {
    const x0 = snapped(-camera.x * camera.scale, dpr);
    const y0 = snapped(-camera.y * camera.scale, dpr);
    const x1 = snapped((photo.size[1] - camera.x) * camera.scale, dpr);
    const y1 = snapped((photo.size[0] - camera.y) * camera.scale, dpr);
    canvas.drawImage(photo.picture, x0, y0, x1 - x0, y1 - y0);
    const sharp = photo.picture.naturalWidth >= photo.size[1] || camera.scale * dpr < (1.1 * photo.picture.naturalWidth) / photo.size[1];
    if (sharp || photo.moving) return;
  }
  for (const level of coarsest === wanted ? [wanted] : [coarsest, wanted]) {
    const step = 2 ** level;
    const side = TILE * step;
    const columns = Math.ceil(photo.size[1] / side);
    const rows = Math.ceil(photo.size[0] / side);
    const first = [Math.max(0, Math.floor(camera.x / side)), Math.max(0, Math.floor(camera.y / side))];
    const last = [
      Math.min(columns - 1, Math.floor((camera.x + stage.width / camera.scale) / side)),
      Math.min(rows - 1, Math.floor((camera.y + stage.height / camera.scale) / side)),
    ];
    for (let row = first[1]; row <= last[1]; row++) {
      for (let column = first[0]; column <= last[0]; column++) {
        const image = tile(photo, level, column, row);
        if (!decoded.has(image)) continue;
        // Edges on whole device pixels, so that no seam shows.
        const x0 = snapped((column * side - camera.x) * camera.scale, dpr);
        const y0 = snapped((row * side - camera.y) * camera.scale, dpr);
        const right = Math.min(photo.size[1], column * side + image.naturalWidth * step);
        const bottom = Math.min(photo.size[0], row * side + image.naturalHeight * step);
        const x1 = snapped((right - camera.x) * camera.scale, dpr);
        const y1 = snapped((bottom - camera.y) * camera.scale, dpr);
        canvas.drawImage(image, x0, y0, x1 - x0, y1 - y0);
      }
    }
  }
}

/**
 * @param {number} value
 * @param {number} dpr
 */
function snapped(value, dpr) {
  return Math.round(value * dpr) / dpr;
}
