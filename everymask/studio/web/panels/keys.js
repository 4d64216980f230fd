// All keys, and changing them.

import { COMMANDS, belongs } from "../core/commands.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { bind, keysOf, unbindAll, written } from "../input/keys.js";

const BY_HAND = [["Click", "include"], ["Right-click, Alt+click", "exclude"], ["Drag", "box"], ["Click on a point", "take it away"], ["Drag a point", "move it"], ["Wheel", "zoom, or brush size"], ["Space+drag", "move the photo"], [". and , with arrows", "include, exclude by keys"], ["Long press, pinch", "exclude, zoom by touch"]];

/** Open the dialog. */
export function openKeys() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  const groups = [...new Set(Object.entries(COMMANDS).filter(([name]) => belongs(name)).map(([, each]) => each.group))];
  const columns = groups.map((group) =>
    h("section", {}, h("h3", {}, group), ...Object.entries(COMMANDS).filter(([name, each]) => each.group === group && belongs(name)).map(([name, each]) => h("div", { class: "key row" }, h("span", {}, each.title), keyButton(name)))),
  );
  const hand = h("section", {}, h("h3", {}, "On the photo"), ...BY_HAND.map(([what, does]) => h("div", { class: "key row" }, h("span", {}, does), h("kbd", {}, what))), h("div", { class: "key row" }, h("span", {}, "answer, or class"), h("kbd", {}, "1 to 9")));
  dialog.replaceChildren(
    h("header", { class: "row" }, h("h2", {}, "Keys"), h("span", { class: "faint grow" }, "Press one to change it."), h("button", { class: "plain", onclick: () => (unbindAll(), openKeys()) }, "Reset all"), h("button", { class: "quiet", "aria-label": "Close", autofocus: true, onclick: () => dialog.close() }, icon("close"))),
    h("div", { class: "columns" }, hand, ...columns),
  );
  if (!dialog.open) dialog.showModal();
}

/** @param {string} name */
function keyButton(name) {
  const keys = keysOf(name).length ? keysOf(name) : ["none"];
  const button = h("button", { class: "bind", "aria-label": `${keys.join(" ")}, key for: ${COMMANDS[name].title}`, onclick: listen }, ...keys.flatMap((key, place) => (place ? [" ", h("kbd", {}, key)] : [h("kbd", {}, key)])));
  function listen() {
    button.replaceChildren(h("kbd", {}, "press a key"));
    button.addEventListener("keydown", heard);
  }
  /** @param {KeyboardEvent} event */
  function heard(event) {
    if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    button.removeEventListener("keydown", heard);
    if (event.key !== "Escape") bind(name, written(event));
    openKeys();
  }
  return button;
}
