// The panel at the side: the object being prompted on top, then classes and masks, or everything mode.

import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { get, set, viewStill } from "../core/store.js";
import { classesCard } from "./classes.js";
import { draftCard } from "./draft.js";
import { findingsPanel } from "./findings.js";
import { masksCard } from "./masks.js";
import { viewPanel } from "./look.js";
import { wordsCard } from "./words.js";
import { objectsCard } from "../video/objects.js";

/** @typedef {import("../core/types.js").State["panel"]} Panel */

/** @type {[Panel, string][]} */
const TABS = [["masks", "Masks"], ["everything", "Everything"], ["view", "View"]];

/** Build the panel. */
export function startSide() {
  const tabs = TABS.map(([panel, title]) => h("button", { role: "tab", id: `tab-${panel}`, "aria-controls": `panel-${panel}`, onclick: () => set({ panel, sheet: true, hover: null }) }, title));
  const grip = h("button", { class: "grip", "aria-label": "Open or close the panel", onclick: () => set({ sheet: !get().sheet }) }, icon("panel"));
  const draft = draftCard();
  const parts = { masks: [wordsCard(), classesCard(), masksCard(), objectsCard()], everything: [findingsPanel()], view: [viewPanel()] };
  const panels = TABS.map(([panel]) => h("div", { class: "panel", role: "tabpanel", id: `panel-${panel}`, "aria-labelledby": `tab-${panel}` }, ...parts[panel].map((part) => part.element)));
  byId("side").append(h("div", { class: "tabs" }, h("div", { class: "tablist", role: "tablist", "aria-label": "Panels" }, ...tabs), grip), draft.element, ...panels);
  let first = true;
  viewStill((state, before) => {
    TABS.forEach(([panel], place) => {
      tabs[place].hidden = panel === "everything" && state.clip !== null;
      if (panel === "masks") tabs[place].textContent = state.clip ? "Objects" : "Masks";
      tabs[place].setAttribute("aria-selected", String(state.panel === panel));
      panels[place].hidden = state.panel !== panel;
    });
    document.body.classList.toggle("sheet", state.sheet);
    const earlier = first ? /** @type {any} */ ({}) : before;
    first = false;
    draft.show(state, earlier);
    for (const [panel] of TABS) for (const part of parts[panel]) part.show(state, earlier);
  });
}
