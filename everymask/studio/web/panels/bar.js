// The bar: which photo, undo and redo, zoom, export.

import { COMMANDS, able, run } from "../core/commands.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { view, viewStill } from "../core/store.js";
import { tipOf } from "../input/keys.js";

/**
 * A button for a command.
 * @param {string} name
 * @param {string} [text]
 * @param {string} [look]
 */
export function commandButton(name, text = "", look = "quiet") {
  const { title } = COMMANDS[name];
  return h("button", { class: look, "data-command": name, "aria-label": title, title: tipOf(name), onclick: () => run(name) }, ICON[name] ? icon(ICON[name]) : null, text ? h("span", {}, text) : null);
}

/** @type {Record<string, string>} */
const ICON = { click: "click", select: "select", brush: "brush", erase: "erase", polygon: "polygon", hand: "hand", add: "plus", listen: "microphone", undo: "undo", redo: "redo", previousPhoto: "previous", nextPhoto: "next", export: "export", keys: "keys", fit: "fit", remove: "trash", merge: "merge", subtract: "subtract", lock: "lock", reopen: "edit", outlines: "outline", isolate: "isolate", checker: "checker", everything: "everything", accept: "check", cancel: "close", done: "check", eraseFromPhoto: "wand", eraseFromClip: "wand", previousFrame: "previous", nextFrame: "next", trackOn: "track", trackBack: "trackBack", previousDoubt: "doubtBack", nextDoubt: "doubt", newObject: "plus", absent: "absent", forgetOn: "forget" };

/** Build the bar. */
export function startBar() {
  const name = h("span", { class: "name" });
  const place = h("span", { class: "place" });
  const zoomed = h("button", { class: "quiet number", "data-command": "actual", title: tipOf("actual"), onclick: () => run("actual") });
  const saved = h("span", { class: "saved" });
  const done = commandButton("done", "Done", "plain");
  byId("bar").append(
    h("span", { class: "mark", "aria-hidden": "true" }, h("img", { src: "/favicon.svg", alt: "", width: 22, height: 22 })),
    h("h1", { class: "title" }, "everymask"),
    h("div", { class: "group stepping" }, commandButton("previousPhoto"), h("div", { class: "where" }, name, place), commandButton("nextPhoto")),
    h("div", { class: "grow" }),
    saved,
    h("div", { class: "group" }, commandButton("undo"), commandButton("redo")),
    h("div", { class: "group wide" }, zoomed, commandButton("fit")),
    h("div", { class: "group wide" }, commandButton("add"), commandButton("keys")),
    done,
    commandButton("export", "Export", "primary"),
  );
  view(({ camera }, before) => {
    if (camera.scale === before.camera.scale && zoomed.textContent) return;
    zoomed.textContent = `${Math.round(camera.scale * 100)}%`;
    zoomed.setAttribute("aria-label", `${zoomed.textContent}, show actual pixels`);
  });
  viewStill((state) => {
    const { photo, photos, busy, online, clip } = state;
    const row = photos.findIndex((each) => each.id === (photo?.id ?? state.failed?.id));
    name.textContent = name.title = photo?.name ?? state.failed?.name ?? "No photo";
    place.textContent = clip ? `frame ${clip.frame + 1} of ${clip.length}` : photos.length > 1 ? `${row + 1} of ${photos.length}` : "";
    saved.textContent = !online ? "Server away" : busy ? "Saving" : photo ? "Saved" : "";
    saved.className = `saved ${online ? (busy ? "busy" : "") : "away"}`;
    done.setAttribute("aria-pressed", String(Boolean(photos[row]?.done)));
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-command]"))) button.disabled = !able(button.dataset.command ?? "");
  });
}
