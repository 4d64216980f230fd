// Classes: names, colours, number keys.

import { useClass } from "../core/commands.js";
import { attempt } from "../core/desk.js";
import { h, list } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set } from "../core/store.js";
import { say } from "./notices.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").ClassRow} ClassRow */

const COLOURS = ["#4cc9f0", "#f9a03f", "#7bd88f", "#ef6f9b", "#b79cff", "#ffd166", "#5ad1b8", "#ff7b5f", "#8fb8ff", "#d8e06a", "#e58fe0", "#9fd3a0"];

/** @param {ClassRow[]} classes */
function write(classes) {
  set({ classes });
  return attempt(() => request("PUT", "/api/classes", classes));
}

/** The list of classes. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function classesCard() {
  const chips = h("div", { class: "chips", role: "radiogroup", "aria-label": "Class of new masks" });
  const name = h("input", { type: "text", placeholder: "New class", "aria-label": "Name of a new class", maxLength: 200 });
  const form = h("form", { class: "row", onsubmit: add }, name, h("button", { class: "plain square", "aria-label": "Add the class", title: "Add the class" }, icon("plus")));
  const element = h("section", { class: "classes", "aria-label": "Classes" }, h("h2", {}, "Classes"), chips, form);

  /** @param {Event} event */
  function add(event) {
    event.preventDefault();
    const text = name.value.trim();
    const { classes } = get();
    if (!text) return;
    if (!classes.some((each) => each.name === text)) write([...classes, { name: text, color: COLOURS[classes.length % COLOURS.length] }]);
    useClass(text);
    name.value = "";
  }

  /** @param {string} gone */
  function remove(gone) {
    const { classes, activeClass, photo } = get();
    const used = [...(photo?.masks.values() ?? [])].filter((mask) => mask.label === gone).length;
    write(classes.filter((each) => each.name !== gone));
    if (activeClass === gone) set({ activeClass: null });
    if (used) say(`${used} mask${used === 1 ? " keeps" : "s keep"} the name ${gone}.`, "info");
  }

  return {
    element,
    show(state, before) {
      if (state.classes === before.classes && state.activeClass === before.activeClass && chips.childElementCount) return;
      const none = { name: "", color: "" };
      list(
        chips,
        [none, ...state.classes],
        (each) => each.name,
        (each) => {
          const color = each.name ? h("input", { type: "color", value: each.color, "aria-label": `Colour of ${each.name}`, onchange: (/** @type {any} */ event) => write(get().classes.map((row) => (row.name === each.name ? { ...row, color: event.target.value } : row))) }) : null;
          const pick = h("button", { class: "pick", role: "radio", onclick: () => (each.name ? useClass(each.name) : set({ activeClass: null })) }, h("span", { class: "text" }), h("kbd", {}));
          const away = each.name ? h("button", { class: "quiet away", "aria-label": `Take the class ${each.name} off the list`, title: "Off the list; masks keep the name", onclick: () => remove(each.name) }, icon("close")) : null;
          return h("div", { class: "chip" }, color ?? h("span", { class: "nocolor" }), pick, ...(away ? [away] : []));
        },
        (chip, each) => {
          const place = state.classes.indexOf(each);
          const pick = /** @type {HTMLElement} */ (chip.querySelector(".pick"));
          pick.setAttribute("aria-checked", String((each.name || null) === state.activeClass));
          /** @type {HTMLElement} */ (chip.querySelector(".text")).textContent = each.name || "No class";
          /** @type {HTMLElement} */ (chip.querySelector("kbd")).textContent = place >= 0 && place < 9 ? String(place + 1) : "";
          const color = /** @type {HTMLInputElement | null} */ (chip.querySelector("input"));
          if (color && color.value !== each.color) color.value = each.color;
        },
      );
    },
  };
}
