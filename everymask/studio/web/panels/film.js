// The filmstrip: all photos of the folder, done and to do; photos and videos dropped onto the page join it.

import { attempt, open } from "../core/desk.js";
import { byId, h, list } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set, view } from "../core/store.js";
import { openClip } from "../video/clip.js";
import { say } from "./notices.js";

/** Build the strip, and take photos that are dropped. */
export function startFilm() {
  const strip = h("div", { class: "strip", role: "listbox", "aria-label": "Photos", "aria-orientation": "horizontal" });
  byId("film").append(strip);
  let shown = -1;
  view((state, before) => {
    const { photos, photo } = state;
    const same = photos === before.photos && state.clips === before.clips && state.failed === before.failed;
    if (same && photo?.id === before.photo?.id && strip.childElementCount) return;
    document.body.classList.toggle("single", photos.length + state.clips.length < 2);
    // A frame of a clip stands in the state under the negative number of the clip.
    const clips = state.clips.map((clip) => ({ id: -clip.id, name: clip.name, done: false, masks: 0 }));
    list(
      strip,
      [...photos, ...clips],
      (row) => row.id,
      (row) => h("button", { class: "frame", role: "option", title: row.name, "aria-label": row.name, onclick: () => (row.id < 0 ? openClip(-row.id) : open(row.id)) }, h("img", { src: row.id < 0 ? `/api/clips/${-row.id}/frames/0/picture?side=192` : `/api/photos/${row.id}/thumbnail`, alt: "", loading: "lazy", draggable: false }), h("span", { class: "count number" }), h("span", { class: "tick" }, icon("check")), row.id < 0 ? h("span", { class: "film-mark" }, icon("play")) : null),
      (frame, row) => {
        frame.setAttribute("aria-selected", String(row.id === (photo?.id ?? state.failed?.id)));
        frame.classList.toggle("done", row.done);
        frame.setAttribute("aria-label", row.id < 0 ? `${row.name}, a clip` : `${row.name}, ${row.masks} masks${row.done ? ", done" : ""}`);
        /** @type {HTMLElement} */ (frame.querySelector(".count")).textContent = row.masks ? String(row.masks) : "";
      },
    );
    if (photo && photo.id !== shown) {
      shown = photo.id;
      strip.querySelector(`[data-key="${photo.id}"]`)?.scrollIntoView({ block: "nearest", inline: "center" });
    }
    if (state.failed) trouble(state.failed);
    else empty(photos.length + clips.length === 0);
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/**
 * In the place of the photo: why it is not there.
 * @param {{name: string, why: string}} failed
 */
function trouble({ name, why }) {
  const place = byId("empty");
  place.hidden = false;
  place.replaceChildren(h("h2", {}, `${name} cannot be shown`), h("p", { class: "faint why-not" }, why));
}

/** @param {boolean} there */
function empty(there) {
  const place = byId("empty");
  place.hidden = !there;
  if (there) place.replaceChildren(h("h2", {}, "Drop photos or a video here"), h("p", { class: "faint" }, "They stay on this machine."), h("button", { class: "primary", onclick: addFiles }, "Choose files"));
}

/** Let a person choose photos or videos. */
export function addFiles() {
  const input = h("input", { type: "file", accept: "image/*,.tif,.tiff,video/*,.mkv,.mts", multiple: true, onchange: () => take([...(input.files ?? [])]) });
  input.click();
}

const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ogv|mts)$/i;

/** @param {File[]} files */
async function take(files) {
  for (const file of files) {
    const isVideo = file.type.startsWith("video/") || VIDEO.test(file.name);
    say(`Taking ${file.name} …`, "info");
    await attempt(async () => {
      const row = await request("POST", `/api/${isVideo ? "clips" : "photos"}?name=${encodeURIComponent(file.name)}`, file);
      const known = isVideo ? get().clips : get().photos;
      if (!known.some((each) => each.id === row.id)) set(isVideo ? { clips: [...get().clips, row] } : { photos: [...get().photos, row] });
      await (isVideo ? openClip(row.id) : open(row.id));
    });
  }
}
