// The list of masks: thumbnail, class, area, score; pointing, selecting, and what to do with the selected.

import { colourOf } from "../core/colours.js";
import { featherOf } from "../core/commands.js";
import { act } from "../core/desk.js";
import { h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { LongList } from "../core/long_list.js";
import { get, set } from "../core/store.js";
import { commandButton } from "./bar.js";
import { drawThumbnail } from "./thumbnails.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").MaskView} MaskView */

/** @param {number} pixels */
export function areaText(pixels) {
  return pixels >= 1e6 ? `${(pixels / 1e6).toFixed(1)} M px` : pixels >= 1e4 ? `${(pixels / 1e3).toFixed(0)} k px` : `${pixels} px`;
}

let anchor = -1;

/**
 * Select by a click in the list: one, with Ctrl more, with Shift all between.
 * @param {number} id
 * @param {MouseEvent | KeyboardEvent} event
 */
function select(id, event) {
  const ids = [...(get().photo?.masks.keys() ?? [])];
  const { selected } = get();
  if (event.shiftKey && ids.includes(anchor)) {
    const [a, b] = [ids.indexOf(anchor), ids.indexOf(id)].sort((x, y) => x - y);
    set({ selected: new Set([...(event.ctrlKey ? selected : []), ...ids.slice(a, b + 1)]) });
    return;
  }
  anchor = id;
  const next = new Set(event.ctrlKey || event.metaKey ? selected : []);
  if (selected.has(id) && (event.ctrlKey || event.metaKey || selected.size === 1)) next.delete(id);
  else next.add(id);
  set({ selected: next });
}

/** One more, or one less. @param {number} id */
function selectMore(id) {
  const next = new Set(get().selected);
  if (!next.delete(id)) next.add(id);
  set({ selected: next });
}

/** What can be done to the pixels of the selected masks. */
function repairs() {
  const detail = h("input", { type: "range", min: "0", max: "5", step: "0.05", "aria-label": "Detail of the outline", oninput: () => set({ detail: Math.round(10 * (2 ** Number(detail.value) - 1)) / 10 }) });
  const value = h("output", { class: "number" });
  const feather = h("input", { type: "number", min: "0", max: "200", step: "any", "aria-label": "Soft edge in cut-outs, in pixels", onchange: () => act({ type: "feather", masks: [...get().selected], px: Math.min(200, Math.max(0, Number(feather.value))) }) });
  const soft = h("label", { class: "row soft", title: "When they are cut out" }, h("span", { class: "grow" }, "Soft edge"), feather, "px");
  const corners = h("label", { class: "slider" }, h("span", { class: "row" }, h("span", {}, "Corners at most off by"), value), detail);
  const element = h("div", { class: "repairs" }, h("div", { class: "row start" }, ...[["fillHoles", "Fill holes"], ["dropIslands", "Largest part"], ["grow", "Grow"], ["shrink", "Shrink"]].map(([name, text]) => commandButton(name, text, "plain"))), soft, corners);
  return {
    element,
    /** @param {State} state */
    show(state) {
      element.hidden = state.selected.size === 0;
      corners.hidden = !state.outline;
      const own = String(featherOf(state.photo?.masks.get([...state.selected][0])));
      if (document.activeElement !== feather && feather.value !== own) feather.value = own;
      const count = state.outline?.rings.reduce((sum, ring) => sum + ring.length, 0) ?? 0;
      value.textContent = `${state.detail} px, ${count} corners`;
      const place = String(Math.log2(1 + state.detail));
      if (Math.abs(Number(detail.value) - Number(place)) > 0.06) detail.value = place;
    },
  };
}

/** The list. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function masksCard() {
  const title = h("h2", {});
  const follow = (/** @type {KeyboardEvent} */ event) => {
    const place = keys(event);
    if (place !== null) shown.reveal(place);
  };
  const rows = h("div", { class: "masks", role: "listbox", "aria-multiselectable": "true", "aria-label": "Masks", tabIndex: 0, onkeydown: follow });
  const shown = new LongList(rows, "y", (/** @type {MaskView} */ mask) => `${get().photo?.id}-${mask.id}`, makeRow, updateRow);
  const actions = h("div", { class: "actions", role: "toolbar", "aria-label": "With the selected masks" }, commandButton("reopen"), commandButton("merge"), commandButton("subtract"), commandButton("lock"), commandButton("eraseFromPhoto"), commandButton("remove"));
  const repair = repairs();
  const empty = h("p", { class: "faint none" }, "No masks yet. Click on an object in the photo.");
  const element = h("section", { class: "list", "aria-label": "Masks of the photo" }, h("div", { class: "row head" }, title, actions), repair.element, rows, empty);
  return {
    element,
    show(state, before) {
      const { photo, selected, pointed, beneath, classes } = state;
      element.hidden = state.clip !== null;
      if (state.clip) return;
      repair.show(state);
      if (photo === before.photo && selected === before.selected && pointed === before.pointed && beneath === before.beneath && classes === before.classes) return;
      const masks = [...(photo?.masks.values() ?? [])];
      title.textContent = selected.size > 1 ? `${selected.size} of ${masks.length} selected` : masks.length === 1 ? "1 mask" : `${masks.length} masks`;
      empty.hidden = masks.length > 0;
      rows.hidden = masks.length === 0;
      actions.hidden = selected.size === 0;
      shown.show(masks);
      if (selected.size === 1 && selected !== before.selected) shown.reveal(masks.findIndex((mask) => selected.has(mask.id)));
    },
  };
}

/**
 * @param {HTMLElement} row
 * @param {MaskView} mask
 */
function updateRow(row, mask) {
  const { photo, selected, pointed, beneath, classes } = get();
  const color = colourOf(mask, classes);
  const stamp = `${mask.counts.length} ${mask.area} ${color}`;
  if (row.dataset.stamp !== stamp && photo) {
    row.dataset.stamp = stamp;
    drawThumbnail(/** @type {HTMLCanvasElement} */ (row.querySelector("canvas")), mask, mask.bbox, photo.size, color);
  }
  row.setAttribute("aria-selected", String(selected.has(mask.id)));
  row.classList.toggle("pointed", (pointed ?? beneath) === mask.id);
  const [label, facts] = /** @type {HTMLElement[]} */ ([row.querySelector(".label"), row.querySelector(".facts")]);
  label.textContent = mask.label ?? `Mask ${mask.id}`;
  label.classList.toggle("unnamed", mask.label === null);
  facts.textContent = [areaText(mask.area), mask.predicted_iou === null ? "by hand" : `${Math.round(100 * mask.predicted_iou)}%`, ...(featherOf(mask) ? [`soft ${featherOf(mask)} px`] : [])].join(" · ");
  const lock = /** @type {HTMLElement} */ (row.querySelector(".lock"));
  lock.hidden = !mask.locked;
}

/** @param {MaskView} mask */
function makeRow(mask) {
  return h(
    "div",
    {
      class: "mask",
      role: "option",
      tabIndex: -1,
      "data-mask": String(mask.id),
      onclick: (/** @type {MouseEvent} */ event) => select(mask.id, event),
      oncontextmenu: (/** @type {MouseEvent} */ event) => (event.preventDefault(), selectMore(mask.id)), // a long press, too
      ondblclick: () => (set({ tool: "click" }), act({ type: "reopen", mask: mask.id })),
      onpointerenter: () => set({ pointed: mask.id }),
      onpointerleave: () => set({ pointed: null }),
    },
    h("canvas", { width: 44, height: 34, "aria-hidden": "true" }),
    h("span", { class: "texts" }, h("span", { class: "label" }), h("span", { class: "facts number" })),
    h("span", { class: "lock", title: "Locked" }, icon("lock")),
  );
}

/**
 * Select by keys.
 * @param {KeyboardEvent} event
 * @returns {number | null} the place in the list that was come to
 */
function keys(event) {
  if (event.altKey || !["ArrowUp", "ArrowDown", "Home", "End", " "].includes(event.key)) return null;
  const ids = [...(get().photo?.masks.keys() ?? [])];
  const current = ids.indexOf(anchor);
  const place = { ArrowUp: current - 1, ArrowDown: current + 1, Home: 0, End: ids.length - 1, " ": current }[event.key] ?? 0;
  const limited = Math.min(ids.length - 1, Math.max(0, place));
  event.preventDefault();
  event.stopPropagation();
  select(ids[limited], event);
  return limited;
}
