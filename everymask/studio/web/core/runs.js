// Masks as run lengths: column by column, background first, as COCO packs them into a string.

/**
 * Where each run ends, from COCO's string.
 * @param {string} counts
 * @returns {Uint32Array}
 */
export function unpack(counts) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = counts.charCodeAt(at++) - 48;
      value |= (code & 0x1f) << shift;
      shift += 5;
    } while (code & 0x20);
    if (code & 0x10 && shift < 32) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  const ends = new Uint32Array(runs.length);
  let end = 0;
  for (let i = 0; i < runs.length; i++) ends[i] = end += runs[i];
  return ends;
}

/**
 * The first run that ends after a position.
 * @param {Uint32Array} ends
 * @param {number} position
 */
export function runAt(ends, position) {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Whether a pixel of the photo belongs to a mask, whose own picture may be smaller.
 * @param {{size: [number, number], ends: Uint32Array}} mask
 * @param {[number, number]} photoSize height, width
 * @param {number} x
 * @param {number} y
 */
export function holds(mask, photoSize, x, y) {
  const [height, width] = mask.size;
  const column = Math.floor((x * width) / photoSize[1]);
  const row = Math.floor((y * height) / photoSize[0]);
  if (column < 0 || row < 0 || column >= width || row >= height) return false;
  return (runAt(mask.ends, column * height + row) & 1) === 1;
}

/**
 * The box around the pixels of a mask: x, y, width - 1, height - 1, as the server gives it.
 * @param {Uint32Array} ends
 * @param {[number, number]} size height, width
 * @returns {[number, number, number, number]}
 */
export function boxOf(ends, [height]) {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  for (let run = 1; run < ends.length; run += 2) {
    const [first, last] = [ends[run - 1], ends[run] - 1];
    if (last < first) continue;
    const [x0, x1] = [Math.floor(first / height), Math.floor(last / height)];
    left = Math.min(left, x0);
    right = Math.max(right, x1);
    top = x1 > x0 ? 0 : Math.min(top, first % height);
    bottom = x1 > x0 ? height - 1 : Math.max(bottom, last % height);
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left, bottom - top];
}
