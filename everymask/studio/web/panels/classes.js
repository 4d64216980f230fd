// Classes: names, colours, number keys.

import { useClass } from "../core/commands.js";
import { act, attempt } from "../core/desk.js";
import { byId, h, list } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set } from "../core/store.js";
import { say } from "./notices.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").ClassRow} ClassRow */

const COLOURS = ["#4cc9f0", "#f9a03f", "#7bd88f", "#ef6f9b", "#b79cff", "#ffd166", "#5ad1b8", "#ff7b5f", "#8fb8ff", "#d8e06a", "#e58fe0", "#9fd3a0"];

/**
 * Change the list as a step that can be undone in the photo or clip that is open; where none is, as it is.
 * @param {{type: string, [name: string]: any}} action
 * @param {ClassRow[]} classes as they are then
 */
async function change(action, classes) {
  if (get().photo) return act(action);
  set({ classes });
  return attempt(() => request("PUT", "/api/classes", classes));
}

/** @param {ClassRow} row */
function put(row) {
  const { classes } = get();
  const isKnown = classes.some((each) => each.name === row.name);
  return change({ type: "class", ...row }, isKnown ? classes.map((each) => (each.name === row.name ? row : each)) : [...classes, row]);
}

/**
 * @param {string} name
 * @param {string} to
 */
function rename(name, to) {
  return change({ type: "rename_class", name, to }, get().classes.map((each) => (each.name === name ? { ...each, name: to } : each)));
}

const name = h("input", { type: "text", placeholder: "New class", "aria-label": "Name of a new class", maxLength: 200 });

/** To the field for a new class. */
export function nameClass() {
  set({ panel: "masks", sheet: true });
  byId("panel-masks").hidden = false; // with the next frame it is there; the next key may come before
  name.focus();
}

/** The list of classes. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function classesCard() {
  const chips = h("div", { class: "chips", role: "radiogroup", "aria-label": "Class of new masks" });
  const form = h("form", { class: "row", onsubmit: add }, name, h("button", { class: "plain square", "aria-label": "Add the class", title: "Add the class" }, icon("plus")));
  const element = h("section", { class: "classes", "aria-label": "Classes" }, h("h2", {}, "Classes"), chips, form);

  /** @param {Event} event */
  function add(event) {
    event.preventDefault();
    const text = name.value.trim();
    const { classes } = get();
    if (!text) return;
    if (!classes.some((each) => each.name === text)) put({ name: text, color: COLOURS[classes.length % COLOURS.length] });
    useClass(text);
    name.value = "";
  }

  /** @param {string} gone */
  function remove(gone) {
    const { classes, photo } = get();
    const used = [...(photo?.masks.values() ?? [])].filter((mask) => mask.label === gone).length;
    change({ type: "class", name: gone, color: null }, classes.filter((each) => each.name !== gone));
    if (used) say(`${used} mask${used === 1 ? " keeps" : "s keep"} the name ${gone}.`, "info");
  }

  /**
   * Let a person type another name in the place of the present one.
   * @param {string} name
   * @param {HTMLElement} pick
   */
  function retitle(name, pick) {
    const field = h("input", { type: "text", class: "retitle", value: name, "aria-label": `New name of the class ${name}`, maxLength: 200, onkeydown: typed, onblur: () => end(true) });
    let isOpen = true;
    pick.hidden = true;
    pick.before(field);
    field.select();
    field.focus();

    /** @param {KeyboardEvent} event */
    function typed(event) {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      end(event.key === "Enter");
    }

    /** @param {boolean} isWanted */
    function end(isWanted) {
      if (!isOpen) return;
      isOpen = false;
      const text = field.value.trim();
      field.remove();
      pick.hidden = false;
      if (isWanted && text && text !== name) rename(name, text);
    }
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
          const color = each.name ? h("input", { type: "color", value: each.color, "aria-label": `Colour of ${each.name}`, onchange: (/** @type {any} */ event) => put({ name: each.name, color: event.target.value }) }) : null;
          const pick = h("button", { class: "pick", role: "radio", onclick: () => (each.name ? useClass(each.name) : set({ activeClass: null })) }, h("span", { class: "text" }), h("kbd", {}));
          const edit = each.name ? h("button", { class: "quiet away", "aria-label": `Rename the class ${each.name}`, title: "Rename, on all masks", onclick: () => retitle(each.name, pick) }, icon("edit")) : null;
          const away = each.name ? h("button", { class: "quiet away", "aria-label": `Take the class ${each.name} off the list`, title: "Off the list; masks keep the name", onclick: () => remove(each.name) }, icon("close")) : null;
          return h("div", { class: "chip" }, color ?? h("span", { class: "nocolor" }), pick, edit, away);
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
