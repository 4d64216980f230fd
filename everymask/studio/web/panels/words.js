// Words: a field that finds what they name, and a photo without what the selected masks cover.

import { act, attempt } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set } from "../core/store.js";
import { say } from "./notices.js";

/** @typedef {import("../core/types.js").State} State */

/** The search field. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function wordsCard() {
  const words = h("input", { type: "search", placeholder: "Find by words: cup . dog", "aria-label": "Words for what to find", maxLength: 500 });
  const go = h("button", { class: "plain square", "aria-label": "Find by words", title: "Find by words" }, icon("search"));
  const form = h("form", { class: "row words", onsubmit: find }, words, go);
  const element = h("section", { class: "words", "aria-label": "Find by words" }, form);
  /** @param {Event} event */
  async function find(event) {
    event.preventDefault();
    const photo = get().photo;
    const asked = words.value.trim();
    if (!photo || !asked || go.disabled) return;
    go.disabled = true;
    say("Looking …", "info");
    const found = await attempt(() => request("POST", `/api/photos/${photo.id}/find`, { words: asked }));
    go.disabled = false;
    if (!found || get().photo?.id !== photo.id) return;
    if (!found.length) {
      say(`Nothing here is known as ${asked}.`, "warning");
      return;
    }
    const known = new Set(get().photo?.masks.keys());
    if (await act({ type: "add", masks: found })) {
      set({ selected: new Set([...(get().photo?.masks.keys() ?? [])].filter((id) => !known.has(id))) });
      words.value = "";
    }
  }
  return {
    element,
    show(state) {
      element.hidden = state.clip !== null;
    },
  };
}

/** Show the photo without the selected masks, to be downloaded. The masks and the photo stay as they are. */
export async function eraseSelected() {
  const { photo, selected } = get();
  if (!photo) return;
  const dialog = /** @type {HTMLDialogElement} */ (byId("erased"));
  const place = h("p", { class: "faint" }, "Painting over …");
  const close = h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(h("header", { class: "row" }, h("h2", {}, "Erased"), close), h("div", { class: "erased" }, place));
  dialog.showModal();
  const made = await attempt(() => request("POST", `/api/photos/${photo.id}/erase`, { masks: [...selected] }));
  if (!made) {
    dialog.close();
    return;
  }
  place.replaceWith(
    h("img", { src: `/api/erased/${made.id}/preview`, alt: "The photo without what the selected masks cover" }),
    h("div", { class: "row end" }, h("span", { class: "faint grow" }, "Your photo stays as it is."), h("a", { class: "button primary", href: `/api/erased/${made.id}`, download: made.name }, "Download")),
  );
}
