// Everything mode: run it, see how far it is, choose by sliders and clicks what to keep.

import { act, attempt, maskOf, onEvent } from "../core/desk.js";
import { h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { holds } from "../core/runs.js";
import { request } from "../core/server.js";
import { get, set } from "../core/store.js";
import { say } from "./notices.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").MaskView} MaskView */
/** @typedef {{name: string, title: string, low: (masks: MaskView[], state: State) => number, high: (masks: MaskView[], state: State) => number, of: (mask: MaskView, state: State) => number, text: (value: number) => string}} Slider */

const BINS = 40;

/** @type {Slider[]} */
const SLIDERS = [
  { name: "iou", title: "Predicted IoU at least", low: () => 0, high: () => 1, of: (mask) => mask.predicted_iou ?? 1, text: (value) => value.toFixed(2) },
  { name: "stability", title: "Stability at least", low: () => 0, high: () => 1, of: (mask) => mask.stability_score ?? 1, text: (value) => value.toFixed(2) },
  { name: "smallest", title: "Area at least", low: () => 0, high: () => 1, of: (mask, state) => areaShare(mask, state), text: areaText },
  { name: "largest", title: "Area at most", low: () => 0, high: () => 1, of: (mask, state) => areaShare(mask, state), text: areaText },
];

/** @type {Record<string, {title: string, options: Record<string, unknown>}>} */
const EFFORTS = {
  quick: { title: "Quick", options: { points_per_side: 16 } },
  normal: { title: "Normal", options: {} },
  thorough: { title: "Thorough", options: { crop_n_layers: 1 } },
};
let effort = "normal";

/** @param {MaskView} mask @param {State} state on a logarithmic scale from one pixel to the photo */
function areaShare(mask, state) {
  const [height, width] = state.photo?.size ?? [1, 1];
  return Math.log(Math.max(1, mask.area)) / Math.log(Math.max(2, height * width));
}

/** @param {number} value */
function areaText(value) {
  const [height, width] = get().photo?.size ?? [1, 1];
  const pixels = Math.round((height * width) ** value);
  return pixels >= 1e6 ? `${(pixels / 1e6).toFixed(1)} M px` : pixels >= 1e4 ? `${Math.round(pixels / 1e3)} k px` : `${pixels} px`;
}

/** The masks that sliders and clicks leave. @param {State} state @returns {MaskView[]} */
export function kept(state) {
  const { findings, thresholds } = state;
  if (!findings) return [];
  return findings.masks.filter((mask) => !findings.thrown.has(mask.id) && passes(mask, thresholds, state));
}

/** @param {MaskView} mask @param {Record<string, number>} thresholds @param {State} state */
function passes(mask, thresholds, state) {
  return SLIDERS.every(({ name, of }) => {
    const limit = thresholds[name];
    return limit === undefined || (name === "largest" ? of(mask, state) <= limit : of(mask, state) >= limit);
  });
}

/** Find everything on the open photo. */
export async function runEverything() {
  const photo = get().photo;
  if (!photo) return;
  await attempt(async () => {
    const job = await request("POST", `/api/photos/${photo.id}/everything`, EFFORTS[effort].options);
    set({ findings: { job: job.id, state: "running", done: 0, total: 1, found: 0, error: null, masks: [], thrown: new Set() }, hover: null });
    await follow(job.id);
  });
}

/** What the run has come to by now; the live channel tells the rest. @param {number} id */
async function follow(id) {
  const job = await request("GET", `/api/jobs/${id}`);
  const { findings, photo } = get();
  if (!findings || findings.job !== id || !photo) return;
  const masks = (job.masks ?? []).map((/** @type {any} */ mask, /** @type {number} */ place) => maskOf({ ...mask, id: place + 1, label: null, locked: false, counts: mask.segmentation.counts, bbox: mask.bbox }, photo.size));
  set({ findings: { ...findings, state: job.state, done: job.done, total: job.total || 1, found: job.found, error: job.error, masks } });
}

/** Hear how far runs are. */
export function startFindings() {
  onEvent((event) => {
    const { findings } = get();
    if (event.type !== "job" || !findings || event.id !== findings.job) return;
    if (event.state === "done") attempt(() => follow(event.id));
    else set({ findings: { ...findings, state: event.state, done: event.done, total: event.total || 1, found: event.found, error: event.error } });
  });
}

/** Throw away or keep the finding at a place of the photo. @param {[number, number]} at */
export function toggleFinding(at) {
  const { findings, photo, thresholds } = get();
  if (!findings || !photo) return;
  const here = findings.masks.filter((mask) => passes(mask, thresholds, get()) && holds(mask, photo.size, at[0], at[1])).sort((a, b) => a.area - b.area);
  const mask = here.find((each) => !findings.thrown.has(each.id)) ?? here[0];
  if (!mask) {
    say("No mask here under these settings.", "info");
    return;
  }
  const thrown = new Set(findings.thrown);
  if (!thrown.delete(mask.id)) thrown.add(mask.id);
  set({ findings: { ...findings, thrown } });
}

/** Make what is kept masks of the photo. */
export async function takeFindings() {
  const { findings, activeClass } = get();
  const masks = kept(get());
  if (findings?.state !== "done" || !masks.length) return;
  const values = masks.map((/** @type {any} */ mask) => ({ counts: mask.counts, label: activeClass, predicted_iou: mask.predicted_iou, stability_score: mask.stability_score, points: mask.point_coords?.length ? mask.point_coords : null }));
  if (await act({ type: "add", masks: values })) set({ findings: null, panel: "masks" });
}

// --- the panel ------------------------------------------------------------------------------------------

/** The panel, and what keeps it up to date. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function findingsPanel() {
  const efforts = h("div", { class: "segments", role: "radiogroup", "aria-label": "Effort" });
  for (const [name, { title }] of Object.entries(EFFORTS)) {
    const choice = h("button", { role: "radio", "aria-checked": String(name === effort), onclick: () => choose(name) }, title);
    choice.dataset.name = name;
    efforts.append(choice);
  }
  const choose = (/** @type {string} */ name) => {
    effort = name;
    for (const child of /** @type {HTMLElement[]} */ ([...efforts.children])) child.setAttribute("aria-checked", String(child.dataset.name === name));
  };
  const begin = h("button", { class: "primary wide-button", onclick: runEverything }, icon("everything"), h("span", {}, "Find everything"));
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const progressText = h("span", { class: "number" });
  const stop = h("button", { class: "plain", onclick: () => attempt(() => request("DELETE", `/api/jobs/${get().findings?.job}`)) }, icon("stop"), h("span", {}, "Stop"));
  const running = h("div", { class: "running" }, h("div", { class: "row" }, progressText, stop), bar);
  const sliders = SLIDERS.map(makeSlider);
  const take = h("button", { class: "primary wide-button", onclick: takeFindings });
  const again = h("button", { class: "plain", onclick: () => set({ findings: { .../** @type {any} */ (get().findings), thrown: new Set() }, thresholds: {} }) }, "Reset");
  const counts = h("p", { class: "number faint" });
  const results = h("div", { class: "results" }, ...sliders.map((each) => each.element), counts, h("div", { class: "row" }, again, take));
  const failed = h("p", { class: "trouble" });
  const element = h("section", { class: "findings", "aria-label": "Everything" }, efforts, begin, running, failed, results);
  return {
    element,
    show(state, before) {
      if (state.findings === before.findings && state.thresholds === before.thresholds && state.photo === before.photo) return;
      const { findings } = state;
      const busy = findings?.state === "running";
      running.hidden = !busy;
      begin.hidden = busy;
      results.hidden = findings?.state !== "done";
      begin.className = findings?.state === "done" ? "plain wide-button" : "primary wide-button";
      /** @type {HTMLElement} */ (begin.lastChild).textContent = findings?.state === "done" ? "Find again" : "Find everything";
      failed.hidden = !(findings?.state === "failed" || findings?.state === "cancelled");
      failed.textContent = findings?.state === "cancelled" ? "Stopped. Nothing was changed." : findings?.error ?? "";
      bar.value = findings ? findings.done / findings.total : 0;
      progressText.textContent = findings ? `${findings.done} of ${findings.total} points, ${findings.found} candidates` : "";
      if (findings?.state !== "done") return;
      const masks = kept(state);
      for (const slider of sliders) slider.show(state);
      counts.textContent = `${masks.length} of ${findings.masks.length} masks kept. Click one on the photo to throw it away.`;
      take.textContent = masks.length === 1 ? "Keep 1 mask" : `Keep ${masks.length} masks`;
      take.disabled = masks.length === 0;
    },
  };
}

/** @param {Slider} slider */
function makeSlider(slider) {
  const upper = slider.name === "largest";
  const chart = h("canvas", { width: BINS * 6, height: 36, class: "histogram", "aria-hidden": "true" });
  const value = h("output", { class: "number" });
  const input = h("input", { type: "range", min: "0", max: "1", step: "0.005", "aria-label": slider.title, oninput: () => set({ thresholds: { ...get().thresholds, [slider.name]: Number(input.value) } }) });
  const element = h("label", { class: "slider" }, h("span", { class: "row" }, h("span", {}, slider.title), value), chart, input);
  return {
    element,
    /** @param {State} state */
    show(state) {
      const limit = state.thresholds[slider.name] ?? (upper ? 1 : 0);
      input.value = String(limit);
      value.textContent = slider.text(limit);
      const counts = new Array(BINS).fill(0);
      for (const mask of state.findings?.masks ?? []) counts[Math.min(BINS - 1, Math.max(0, Math.floor(slider.of(mask, state) * BINS)))]++;
      const most = Math.max(1, ...counts);
      const canvas = /** @type {CanvasRenderingContext2D} */ (chart.getContext("2d"));
      canvas.clearRect(0, 0, chart.width, chart.height);
      counts.forEach((count, bin) => {
        const middle = (bin + 0.5) / BINS;
        canvas.fillStyle = (upper ? middle <= limit : middle >= limit) ? "#7cc4ff" : "#3c4149";
        const height = count ? Math.max(2, (count / most) * 34) : 0;
        canvas.fillRect(bin * 6, 36 - height, 5, height);
      });
    },
  };
}
