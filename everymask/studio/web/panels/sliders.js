// Sliders with a histogram above: how many masks lie where, and which of them stay.

import { h } from "../core/dom.js";
import { areaText } from "./masks.js";

/** @typedef {import("../core/types.js").State} State */

/**
 * @typedef {object} Slider
 * @property {string} name
 * @property {string} title
 * @property {boolean} upper whether what lies below the limit stays, rather than above
 * @property {(state: State) => number} limit where it stands
 * @property {number} [most] the upper end; 1
 * @property {(state: State) => boolean} [there] whether it has an effect
 * @property {(state: State) => number[] | null} counts the histogram; null: none
 * @property {(value: number, state: State) => string} text
 */

const BINS = 40;

/**
 * A threshold of the generator.
 * @param {string} name
 * @param {string} title
 * @param {boolean} upper
 * @param {Partial<Slider>} [more]
 * @returns {Slider}
 */
function threshold(name, title, upper, more = {}) {
  return {
    name,
    title,
    upper,
    limit: (state) => state.thresholds[name] ?? state.findings?.defaults[name] ?? 0,
    counts: (state) => state.findings?.histograms?.[name] ?? null,
    text: (value) => value.toFixed(2),
    ...more,
  };
}

export const SLIDERS = [
  threshold("pred_iou_thresh", "Predicted IoU above", false),
  threshold("stability_score_thresh", "Stability at least", false),
  threshold("stability_score_offset", "Stability is tried with logits moved by", true, { most: 4 }),
  threshold("box_nms_thresh", "Overlap allowed", true),
  threshold("crop_nms_thresh", "Overlap allowed between crops", true, { there: (state) => (state.findings?.defaults.crop_n_layers ?? 0) > 0 }),
];

/**
 * A limit of areas, on a logarithmic scale from one pixel to the whole photo.
 * @param {"smallest" | "largest"} name
 * @param {string} title
 * @returns {Slider}
 */
function size(name, title) {
  const whole = (/** @type {State} */ state) => (state.photo ? state.photo.size[0] * state.photo.size[1] : 2);
  return {
    name,
    title,
    upper: name === "largest",
    limit: (state) => state.sizes[name],
    counts: (state) => {
      const counts = new Array(BINS).fill(0);
      for (const number of state.findings?.choice.numbers ?? []) {
        const area = state.findings?.pool.get(number)?.area ?? 1;
        counts[Math.min(BINS - 1, Math.floor((Math.log(Math.max(1, area)) / Math.log(whole(state))) * BINS))]++;
      }
      return counts;
    },
    text: (value, state) => areaText(Math.round(whole(state) ** value)),
  };
}

export const SIZES = [size("smallest", "Area at least"), size("largest", "Area at most")];

/**
 * @param {Slider} slider
 * @param {(value: number) => void} move
 */
export function makeSlider(slider, move) {
  const chart = h("canvas", { width: BINS * 6, height: 30, class: "histogram", "aria-hidden": "true" });
  const value = h("output", { class: "number" });
  const input = h("input", { type: "range", min: "0", max: String(slider.most ?? 1), step: "0.005", "aria-label": slider.title, oninput: () => move(Number(input.value)) });
  const element = h("label", { class: "slider" }, h("span", { class: "row" }, h("span", {}, slider.title), value), chart, input);
  return {
    element,
    /** @param {State} state */
    show(state) {
      element.hidden = !(slider.there?.(state) ?? true);
      const limit = slider.limit(state);
      if (Number(input.value) !== limit) input.value = String(limit);
      value.textContent = slider.text(limit, state);
      const counts = slider.counts(state);
      chart.hidden = counts === null;
      if (counts) bars(chart, counts, (middle) => (slider.upper ? middle <= limit : middle >= limit));
    },
  };
}

/**
 * @param {HTMLCanvasElement} chart
 * @param {number[]} counts
 * @param {(middle: number) => boolean} stays
 */
function bars(chart, counts, stays) {
  const canvas = /** @type {CanvasRenderingContext2D} */ (chart.getContext("2d"));
  const most = Math.max(1, ...counts);
  canvas.clearRect(0, 0, chart.width, chart.height);
  counts.forEach((count, bin) => {
    canvas.fillStyle = stays((bin + 0.5) / counts.length) ? "#7cc4ff" : "#4a505a";
    const height = count ? Math.max(2, Math.sqrt(count / most) * (chart.height - 2)) : 0;
    canvas.fillRect(bin * 6, chart.height - height, 5, height);
  });
}
