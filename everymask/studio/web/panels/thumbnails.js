// Small pictures of masks, drawn from their runs.

import { abgr, coloured, topmost } from "../draw/paint.js";

/**
 * Draw a mask into a small canvas, as large as it fits.
 * @param {HTMLCanvasElement} canvas
 * @param {{size: [number, number], ends: Uint32Array}} mask
 * @param {[number, number, number, number]} bbox of what is shown, in pixels of the photo
 * @param {[number, number]} photoSize
 * @param {string} color
 */
export function drawThumbnail(canvas, mask, bbox, photoSize, color) {
  const { width, height } = canvas;
  const [x, y, w, h] = bbox;
  const step = Math.max((w + 1) / (width - 6), (h + 1) / (height - 6), 1e-3);
  const window = { x: Math.round((x + w / 2) / step - width / 2), y: Math.round((y + h / 2) / step - height / 2), width, height, step };
  const { fill } = coloured(topmost([mask], photoSize, window), width, height, Uint32Array.from([0, abgr(color)]), Uint32Array.from([0, 0]), 1);
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(fill, 0, 0);
}
