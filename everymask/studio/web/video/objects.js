// The objects of a clip: class, what is known of each on this frame, where it is lost, and what to do with it.

import { colourOf } from "../core/colours.js";
import { h, list } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { get, set } from "../core/store.js";
import { commandButton } from "../panels/bar.js";
import { areaText } from "../panels/masks.js";
import { DOUBT } from "./clip.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").Clip} Clip */

/** The list. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function objectsCard() {
  const title = h("h2", {});
  const actions = h("div", { class: "actions", role: "toolbar", "aria-label": "With the selected objects" }, commandButton("absent"), commandButton("lock"), commandButton("forgetOn"), commandButton("eraseFromClip"), commandButton("remove"));
  const fresh = commandButton("newObject", "New object", "plain wide-button");
  const rows = h("div", { class: "masks", role: "listbox", "aria-multiselectable": "true", "aria-label": "Objects", tabIndex: 0, onkeydown: keys });
  const empty = h("p", { class: "faint none" }, "No objects yet. Click on one in the frame, then track it.");
  const hint = h("p", { class: "faint" });
  const element = h("section", { class: "list", "aria-label": "Objects of the clip" }, h("div", { class: "row head" }, title, actions), hint, fresh, rows, empty);
  return {
    element,
    show(state, before) {
      const { clip, selected, classes } = state;
      element.hidden = !clip;
      if (!clip || (clip === before.clip && selected === before.selected && classes === before.classes && state.pointed === before.pointed)) return;
      const objects = [...clip.objects];
      title.textContent = objects.length === 1 ? "1 object" : `${objects.length} objects`;
      empty.hidden = objects.length > 0;
      rows.hidden = fresh.hidden = objects.length === 0;
      actions.hidden = selected.size === 0;
      hint.hidden = objects.length === 0;
      hint.textContent = selected.size === 1 ? "Clicks correct the selected object on this frame." : "A click makes a new object.";
      list(rows, objects, ([id]) => `${clip.id}-${id}`, ([id]) => makeRow(id), (row, [id, object]) => {
        row.setAttribute("aria-selected", String(selected.has(id)));
        row.classList.toggle("pointed", state.pointed === id);
        /** @type {HTMLElement} */ (row.querySelector(".swatch")).style.background = colourOf({ id, label: object.label }, classes);
        const label = /** @type {HTMLElement} */ (row.querySelector(".label"));
        label.textContent = object.label ? `${object.label} ${id}` : `Object ${id}`;
        label.classList.toggle("unnamed", object.label === null);
        const [text, kind] = known(clip, id);
        const facts = /** @type {HTMLElement} */ (row.querySelector(".facts"));
        facts.textContent = [text, lostText(clip, id)].filter(Boolean).join(" · ");
        facts.classList.toggle("lost", kind === "lost");
        facts.classList.toggle("doubt", kind === "doubt");
        /** @type {HTMLElement} */ (row.querySelector(".lock")).hidden = !object.locked;
      });
    },
  };
}

/**
 * What is known of an object on the frame that is shown.
 * @param {Clip} clip
 * @param {number} id
 * @returns {[string, "seen" | "doubt" | "lost" | "unknown"]}
 */
function known(clip, id) {
  const value = clip.masks.get(`${clip.frame}/${id}`);
  const prompted = clip.prompts.has(`${clip.frame}/${id}`);
  if (!value) return ["not tracked here", "unknown"];
  if (!value.area) return [prompted ? "not here, as you said" : "lost: not seen here", prompted ? "seen" : "lost"];
  const sure = `${Math.round(100 * value.score)}%${value.score < DOUBT ? ", unsure" : ""}`;
  return [`${prompted ? "prompted, " : ""}${sure} · ${areaText(value.area)}`, value.score < DOUBT ? "doubt" : "seen"];
}

/**
 * @param {Clip} clip
 * @param {number} id
 */
function lostText(clip, id) {
  const strip = clip.strips.get(id);
  if (!strip) return "";
  const lost = strip.reduce((count, value, frame) => count + (value === 0 && !clip.prompts.has(`${frame}/${id}`) ? 1 : 0), 0);
  return lost ? `lost on ${lost} frame${lost === 1 ? "" : "s"}` : "";
}

/** @param {number} id */
function makeRow(id) {
  return h(
    "div",
    {
      class: "mask",
      role: "option",
      tabIndex: -1,
      "data-object": String(id),
      onclick: (/** @type {MouseEvent} */ event) => select(id, event.ctrlKey || event.metaKey || event.shiftKey),
      onpointerenter: () => set({ pointed: id }),
      onpointerleave: () => set({ pointed: null }),
    },
    h("span", { class: "swatch" }),
    h("span", { class: "texts" }, h("span", { class: "label" }), h("span", { class: "facts number" })),
    h("span", { class: "lock", title: "Locked" }, icon("lock")),
  );
}

/**
 * @param {number} id
 * @param {boolean} more
 */
function select(id, more) {
  const { selected } = get();
  const next = new Set(more ? selected : []);
  if (selected.has(id) && (more || selected.size === 1)) next.delete(id);
  else next.add(id);
  set({ selected: next });
}

/** @param {KeyboardEvent} event */
function keys(event) {
  const clip = get().clip;
  if (!clip || event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  const ids = [...clip.objects.keys()];
  const place = ids.indexOf([...get().selected][0]) + (event.key === "ArrowUp" ? -1 : 1);
  const id = ids[Math.min(ids.length - 1, Math.max(0, place))];
  event.preventDefault();
  event.stopPropagation();
  set({ selected: new Set([id]) });
}
