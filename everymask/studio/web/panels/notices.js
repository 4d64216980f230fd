// Short messages that go away by themselves; errors stay until they are closed.

import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";

const SECONDS = { info: 3, warning: 6, error: 12 };

/**
 * Say something.
 * @param {string} text
 * @param {"info" | "warning" | "error"} [kind]
 */
export function say(text, kind = "info") {
  const place = byId("notices");
  for (const other of [...place.children]) if (other.textContent === text) other.remove();
  const close = h("button", { class: "quiet", "aria-label": "Close this message", onclick: () => note.remove() }, icon("close"));
  const note = h("div", { class: `notice ${kind}` }, h("span", {}, text), close);
  place.append(note);
  while (place.children.length > 3) place.firstElementChild?.remove();
  setTimeout(() => note.remove(), 1000 * SECONDS[kind]);
}
