// Words: a field that finds what they name, on the photo or on the frame that is shown.

import { attempt, make } from "../core/desk.js";
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
    show() {},
  };
}

async function search() {
  const asked = words.value.trim();
  if (asked && (await findWords(asked)).length) words.value = "";
}

/** To the search field. */
export function askWords() {
  set({ panel: "masks", sheet: true });
  byId("panel-masks").hidden = false; // with the next frame it is there; the next key may come before
  words.focus();
}

/**
 * Make masks of what words name and select them: which they are.
 * @param {string} asked
 * @returns {Promise<number[]>}
 */
export async function findWords(asked) {
  const { photo, clip } = get();
  if (!photo || go.disabled) return [];
  go.disabled = true;
  say(`Looking for ${asked} …`, "info");
  const place = clip ? `/api/clips/${clip.id}/frames/${photo.frame}` : `/api/photos/${photo.id}`;
  const found = await attempt(() => request("POST", `${place}/find`, { words: asked }));
  go.disabled = false;
  if (!found || get().photo?.id !== photo.id) return [];
  if (!found.length) {
    say(`Nothing here is known as ${asked}.`, "warning");
    return [];
  }
  return make({ type: "add", masks: found, ...(clip ? { frame: photo.frame } : {}) });
}
