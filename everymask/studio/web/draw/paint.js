// From masks to pixels of a window: which mask is seen where, then colours. Pure functions on arrays.

import { runAt } from "../core/runs.js";

export const APRON = 2; // pixels around a window that outlines look at

/**
 * Where a window lies: its pixel (column, row) shows the photo at ((x + column + 0.5) * step, ...).
 * @typedef {{x: number, y: number, width: number, height: number, step: number}} Window
 */

/** @typedef {{size: [number, number], ends: Uint32Array}} Runs */

/**
 * Which mask is on top, one number a pixel (place in `masks` + 1, 0: none), with an apron around the window.
 * @param {Runs[]} masks bottom to top
 * @param {[number, number]} photoSize height, width
 * @param {Window} window
 * @returns {Uint16Array} [height + 2 APRON, width + 2 APRON]
 */
export function topmost(masks, photoSize, window) {
  const wide = window.width + 2 * APRON;
  const high = window.height + 2 * APRON;
  const ids = new Uint16Array(wide * high);
  masks.forEach((mask, place) => stamp(ids, wide, high, mask, photoSize, window, place + 1));
  return ids;
}

/**
 * @param {Uint16Array} ids
 * @param {number} wide
 * @param {number} high
 * @param {Runs} mask
 * @param {[number, number]} photoSize
 * @param {Window} window
 * @param {number} value
 */
function stamp(ids, wide, high, mask, photoSize, window, value) {
  const [maskHeight, maskWidth] = mask.size;
  const { ends } = mask;
  const stepX = (window.step * maskWidth) / photoSize[1];
  const stepY = (window.step * maskHeight) / photoSize[0];
  const top = window.y - APRON;
  for (let column = 0; column < wide; column++) {
    const x = Math.floor((window.x - APRON + column + 0.5) * stepX);
    if (x < 0 || x >= maskWidth) continue;
    const first = x * maskHeight;
    const last = first + maskHeight;
    // from the run that holds the first row of the window on
    const from = Math.max(first, first + Math.floor(top * stepY));
    for (let run = runAt(ends, from); run < ends.length; run++) {
      const start = run ? ends[run - 1] : 0;
      if (start >= last) break;
      if (!(run & 1)) continue;
      const y0 = Math.max(start, first) - first;
      const y1 = Math.min(ends[run], last) - first;
      const row0 = Math.max(0, Math.ceil(y0 / stepY - 0.5) - top);
      const row1 = Math.min(high, Math.ceil(y1 / stepY - 0.5) - top);
      if (row0 >= high) break;
      for (let at = row0 * wide + column, end = row1 * wide + column; at < end; at += wide) ids[at] = value;
    }
  }
}

/**
 * Fill and outline of a window as pictures. An outline lies inside its mask.
 * @param {Uint16Array} ids of `topmost`
 * @param {number} width of the window
 * @param {number} height
 * @param {Uint32Array} fills colour of each number, ABGR; entry 0 is nothing
 * @param {Uint32Array} lines
 * @param {number} thickness 1 or 2
 * @param {boolean} [isOne] one picture, outlines over fills
 * @returns {{fill: ImageData, line: ImageData}}
 */
export function coloured(ids, width, height, fills, lines, thickness, isOne = false) {
  const fill = new ImageData(width, height);
  const line = isOne ? fill : new ImageData(width, height);
  const fillPixels = new Uint32Array(fill.data.buffer);
  const linePixels = new Uint32Array(line.data.buffer);
  const wide = width + 2 * APRON;
  const far = thickness > 1;
  for (let row = 0, to = 0; row < height; row++) {
    let at = (row + APRON) * wide + APRON;
    for (let column = 0; column < width; column++, at++, to++) {
      const id = ids[at];
      if (id === 0) continue;
      fillPixels[to] = fills[id];
      const edge =
        ids[at - 1] !== id || ids[at + 1] !== id || ids[at - wide] !== id || ids[at + wide] !== id ||
        (far && (ids[at - 2] !== id || ids[at + 2] !== id || ids[at - 2 * wide] !== id || ids[at + 2 * wide] !== id));
      if (edge) linePixels[to] = lines[id];
    }
  }
  return { fill, line };
}

/**
 * "#rrggbb" as a pixel of an ImageData.
 * @param {string} hex
 * @param {number} [alpha]
 */
export function abgr(hex, alpha = 255) {
  const rgb = parseInt(hex.slice(1), 16);
  return ((alpha << 24) | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

/**
 * Half-way to white.
 * @param {string} hex
 */
export function brighter(hex) {
  const channels = [1, 3, 5].map((i) => Math.round((255 + parseInt(hex.slice(i, i + 2), 16)) / 2));
  return `#${channels.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

const HUES = ["#4cc9f0", "#f9a03f", "#7bd88f", "#ef6f9b", "#b79cff", "#ffd166", "#5ad1b8", "#ff7b5f", "#8fb8ff", "#d8e06a", "#e58fe0", "#9fd3a0", "#f4796b", "#6fdcf5", "#c7a6ff", "#f2b872"];

/**
 * The colour of a mask without a class: by its number, so that it never changes.
 * @param {number} id
 */
export function colourOfNumber(id) {
  return HUES[(id * 7) % HUES.length];
}
