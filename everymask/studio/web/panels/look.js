// How the photo is looked at: opacity, outlines, and for files of more than 8 bits or one page, contrast and page.

import { look } from "../core/commands.js";
import { attempt } from "../core/desk.js";
import { h } from "../core/dom.js";
import { request } from "../core/server.js";
import { get, setPhoto } from "../core/store.js";

/** @typedef {import("../core/types.js").State} State */

/** @type {any} */
let depth = null;

/**
 * Look at the photo with another page or contrast.
 * @param {{page?: number, range?: string | [number, number]}} change
 * @returns {Promise<boolean>} whether it was done
 */
async function see(change) {
  const photo = get().photo;
  if (!photo) return false;
  const view = { ...photo.view, ...change };
  const did = await attempt(async () => {
    await request("PUT", `/api/photos/${photo.id}/view`, view);
    setPhoto({ view });
    return true;
  });
  return did === true;
}

/** Turn the pages of a file. @param {number} way */
export async function turnPage(way) {
  const photo = get().photo;
  const page = photo?.view.page ?? null;
  if (!photo || page === null) return; // one page
  const { pages } = await request("GET", `/api/photos/${photo.id}/depth`);
  const to = Math.min(pages - 1, Math.max(0, page + way));
  if (to !== page && (await see({ page: to })) && get().panel === "view") turned();
}

/** The panel shows what a key changed. */
let turned = () => {};

/** The panel. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function viewPanel() {
  const opacity = h("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": "Opacity", oninput: () => look({ opacity: Number(opacity.value) }) });
  const value = h("output", { class: "number" });
  const checks = /** @type {[keyof State["look"], string][]} */ ([["outlines", "Outlines only"], ["isolate", "Hide the others"], ["checker", "Checkerboard behind the masks"]]).map(([name, title]) => {
    const box = h("input", { type: "checkbox", onchange: () => look({ [name]: box.checked }) });
    return { name, box, element: h("label", { class: "check" }, box, title) };
  });
  const chart = h("canvas", { width: 256, height: 48, class: "histogram", "aria-hidden": "true" });
  const low = h("input", { type: "number", step: "any", "aria-label": "Value shown as black" });
  const high = h("input", { type: "number", step: "any", "aria-label": "Value shown as white" });
  const apply = h("form", { class: "row", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), write({ range: /** @type {[number, number]} */ ([Number(low.value), Number(high.value)].sort((a, b) => a - b)) })) }, low, high, h("button", { class: "plain" }, "Apply"));
  const auto = h("div", { class: "row" }, ...["percentile", "minmax", "dtype"].map((range) => h("button", { class: "plain", onclick: () => write({ range }) }, { percentile: "Auto", minmax: "Full", dtype: "Whole type" }[range] ?? range)));
  const contrast = h("div", { class: "contrast" }, h("h2", {}, "Contrast"), chart, apply, auto);
  const page = h("input", { type: "number", min: "1", "aria-label": "Page", onchange: () => write({ page: Math.min(Number(page.max), Math.max(1, Math.round(Number(page.value)))) - 1 }) });
  const count = h("span", { class: "faint number grow" });
  const pages = h("label", { class: "row" }, "Page", page, count);
  const nodata = h("p", { class: "faint" });
  const element = h("section", { class: "look", "aria-label": "View" }, h("label", { class: "slider" }, h("span", { class: "row" }, "Opacity of masks", value), opacity), ...checks.map((each) => each.element), pages, nodata, contrast);

  /** @param {{page?: number, range?: string | [number, number]}} change */
  async function write(change) {
    const photo = get().photo;
    if (!photo) return;
    if (await see(change)) await attempt(() => learn(photo.id));
    else draw(); // what was refused does not stay in the fields
  }

  /** @param {number} id */
  async function learn(id) {
    depth = await request("GET", `/api/photos/${id}/depth`);
    if (get().photo?.id === id) draw();
  }

  turned = () => attempt(() => learn(get().photo?.id ?? 0));

  function draw() {
    const photo = get().photo;
    pages.hidden = !(depth?.pages > 1);
    page.max = String(depth?.pages ?? 1);
    count.textContent = `of ${page.max}`;
    page.value = String((photo?.view.page ?? 0) + 1);
    nodata.hidden = !depth?.nodata;
    nodata.textContent = `${(100 * (depth?.nodata ?? 0)).toFixed(1)}% of the pixels have no data. They are hatched, and masks leave them out.`;
    contrast.hidden = !depth?.histogram;
    if (!depth?.histogram) return;
    const range = photo?.view.range;
    [low.value, high.value] = Array.isArray(range) ? range.map(String) : [String(depth.low), String(depth.high)];
    const canvas = /** @type {CanvasRenderingContext2D} */ (chart.getContext("2d"));
    canvas.clearRect(0, 0, 256, 48);
    const most = Math.max(...depth.histogram, 1);
    canvas.fillStyle = "#7cc4ff";
    depth.histogram.forEach((/** @type {number} */ count, /** @type {number} */ bin) => {
      const height = 46 * Math.sqrt(count / most);
      canvas.fillRect(bin * 4, 48 - height, 3, height);
    });
  }

  return {
    element,
    show(state, before) {
      opacity.value = String(state.look.opacity);
      value.textContent = `${Math.round(100 * state.look.opacity)}%`;
      for (const { name, box } of checks) box.checked = Boolean(state.look[name]);
      const id = state.photo?.id;
      if (state.clip) {
        depth = null;
        if (before.clip === null || before.clip === undefined) draw();
      } else if (state.panel === "view" && id !== undefined && (id !== before.photo?.id || before.panel !== "view")) {
        depth = null;
        draw();
        attempt(() => learn(id));
      }
    },
  };
}
