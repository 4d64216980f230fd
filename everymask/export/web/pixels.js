// A photo as the model takes it: resized with the triangle filter that Python's side resizes with, less the
// mean, in units of the spread, one colour after the other.

/**
 * What everymask.json says of pixels.
 * @typedef {{fit: "squash" | "letterbox", highest: number, mean: number[], spread: number[]}} Pixels
 */

/**
 * Width and height of the photo within the model's square.
 * @param {Pixels} about
 * @param {number} side
 * @param {number} width
 * @param {number} height
 * @returns {[number, number]}
 */
export function fitted(about, side, width, height) {
  if (about.fit === "squash") return [side, side];
  const scale = side / Math.max(width, height);
  return [Math.floor(width * scale + 0.5), Math.floor(height * scale + 0.5)];
}

/**
 * [3, side, side] from RGBA pixels.
 * @param {Uint8ClampedArray} rgba
 * @param {number} width
 * @param {number} height
 * @param {number} side
 * @param {Pixels} about
 */
export function toModel(rgba, width, height, side, about) {
  const [wide, high] = fitted(about, side, width, height);
  const across = alongRows(rgba, width, height, taps(width, wide), wide);
  const resized = alongColumns(across, wide, taps(height, high), high);
  const values = new Float32Array(3 * side * side); // what the photo does not cover stays 0
  for (let y = 0; y < high; y++)
    for (let x = 0; x < wide; x++)
      for (let colour = 0; colour < 3; colour++) {
        let value = resized[(y * wide + x) * 3 + colour];
        if (about.fit === "letterbox") value = Math.floor(value + 0.5); // SAM resizes whole numbers
        value = (value / 255) * about.highest;
        values[(colour * side + y) * side + x] = (value - about.mean[colour]) / about.spread[colour];
      }
  return values;
}

/** @typedef {{first: number, weights: number[]}[]} Taps */

/**
 * Which of `from` values make each of `to`, and how much.
 * @param {number} from
 * @param {number} to
 * @returns {Taps}
 */
export function taps(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(from, Math.floor(centre + reach + 0.5));
    const weights = [];
    for (let place = first; place < last; place++)
      weights.push(Math.max(0, 1 - Math.abs((place + 0.5 - centre) / reach)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * @param {Uint8ClampedArray} rgba
 * @param {number} width
 * @param {number} height
 * @param {Taps} columns
 * @param {number} wide
 */
function alongRows(rgba, width, height, columns, wide) {
  const out = new Float32Array(height * wide * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < wide; x++) {
      const { first, weights } = columns[x];
      let [r, g, b] = [0, 0, 0];
      for (let i = 0, at = (y * width + first) * 4; i < weights.length; i++, at += 4) {
        r += weights[i] * rgba[at];
        g += weights[i] * rgba[at + 1];
        b += weights[i] * rgba[at + 2];
      }
      out.set([r, g, b], (y * wide + x) * 3);
    }
  return out;
}

/**
 * @param {Float32Array} rows
 * @param {number} wide
 * @param {Taps} lines
 * @param {number} high
 */
function alongColumns(rows, wide, lines, high) {
  const out = new Float32Array(high * wide * 3);
  for (let y = 0; y < high; y++) {
    const { first, weights } = lines[y];
    for (let i = 0; i < weights.length; i++) {
      const from = (first + i) * wide * 3;
      for (let x = 0; x < wide * 3; x++) out[y * wide * 3 + x] += weights[i] * rows[from + x];
    }
  }
  return out;
}
