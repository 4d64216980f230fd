// The rail of tools, and how the photo is looked at.

import { look } from "../core/commands.js";
import { byId, h } from "../core/dom.js";
import { set, viewStill } from "../core/store.js";
import { commandButton } from "./bar.js";

/** @typedef {import("../core/types.js").Tool} Tool */

/** @type {Tool[]} */
const TOOLS = ["click", "select", "brush", "erase", "polygon", "hand"];

/** Build the rail. */
export function startTools() {
  const buttons = TOOLS.map((tool) => commandButton(tool, "", "tool"));
  const everything = commandButton("everything", "", "tool");
  const opacity = h("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": "Opacity of masks", title: "Opacity of masks", class: "upright", value: "0.45", oninput: () => look({ opacity: Number(opacity.value) }) });
  const size = h("input", { type: "range", min: "0", max: "11", step: "0.05", "aria-label": "Size of the brush", oninput: () => set({ brush: Math.min(2000, 2 ** Number(size.value)) }) });
  const width = h("output", { class: "number" });
  const brush = h("label", { class: "brush-size" }, "Size", size, width);
  byId("stage").append(brush);
  byId("tools").append(...buttons, h("hr"), everything, h("hr"), commandButton("outlines", "", "tool"), commandButton("isolate", "", "tool"), commandButton("checker", "", "tool"), h("div", { class: "opacity" }, opacity), h("div", { class: "small-only" }, h("hr"), ...["fit", "done", "add"].map((name) => commandButton(name, "", "tool"))));
  viewStill((state, before) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.command === state.tool));
    everything.setAttribute("aria-pressed", String(state.panel === "everything"));
    for (const name of /** @type {("outlines" | "isolate" | "checker")[]} */ (["outlines", "isolate", "checker"])) byId("tools").querySelector(`[data-command=${name}]`)?.setAttribute("aria-pressed", String(state.look[name]));
    if (state.look !== before.look) opacity.value = String(state.look.opacity);
    byId("stage").dataset.tool = state.tool;
    brush.hidden = !state.photo || (state.tool !== "brush" && state.tool !== "erase");
    if (Math.abs(2 ** Number(size.value) / state.brush - 1) > 0.05) size.value = String(Math.log2(state.brush));
    width.textContent = `${Math.round(2 * state.brush)} px`;
  });
}
