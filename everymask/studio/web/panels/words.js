// Words: a field that finds what they name, and a photo without what the selected masks cover.

import { act, attempt } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set } from "../core/store.js";
import { say } from "./notices.js";
import { voiceButton } from "./voice.js";

/** @typedef {import("../core/types.js").State} State */

const words = h("input", { type: "search", placeholder: "Find by words: cup . dog", "aria-label": "Words for what to find", maxLength: 500 });
const go = h("button", { class: "plain square", "aria-label": "Find by words", title: "Find by words" }, icon("search"));

/** The search field. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function wordsCard() {
  const form = h("form", { class: "row words", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), search()) }, words, go, voiceButton());
  const element = h("section", { class: "words", "aria-label": "Find by words" }, form);
  return {
    element,
    show(state) {
      element.hidden = state.clip !== null;
    },
  };
}

async function search() {
  const asked = words.value.trim();
  if (asked && (await findWords(asked))) words.value = "";
}

/** To the search field. */
export function askWords() {
  set({ panel: "masks", sheet: true });
  requestAnimationFrame(() => requestAnimationFrame(() => words.focus()));
}

/**
 * Make masks of what words name and select them; whether there were any.
 * @param {string} asked
 */
export async function findWords(asked) {
  const photo = get().photo;
  if (!photo || go.disabled) return false;
  go.disabled = true;
  say(`Looking for ${asked} …`, "info");
  const found = await attempt(() => request("POST", `/api/photos/${photo.id}/find`, { words: asked }));
  go.disabled = false;
  if (!found || get().photo?.id !== photo.id) return false;
  if (!found.length) {
    say(`Nothing here is known as ${asked}.`, "warning");
    return false;
  }
  const known = new Set(get().photo?.masks.keys());
  if (!(await act({ type: "add", masks: found }))) return false;
  set({ selected: new Set([...(get().photo?.masks.keys() ?? [])].filter((id) => !known.has(id))) });
  return true;
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
