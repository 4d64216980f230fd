// The filmstrip: all photos of the folder, done and to do; photos and videos dropped onto the page join it, masks join them.

import { attempt, idle, open, relist, reload, takeClasses } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { LongList } from "../core/long_list.js";
import { request } from "../core/server.js";
import { get, set, viewStill } from "../core/store.js";
import { openClip } from "../video/clip.js";
import { say } from "./notices.js";

/** @typedef {import("../core/types.js").PhotoRow} PhotoRow */

/** Build the strip, and take photos that are dropped. */
export function startFilm() {
  const strip = h("div", { class: "strip", role: "listbox", "aria-label": "Photos", "aria-orientation": "horizontal" });
  byId("film").append(strip);
  const frames = new LongList(strip, "x", (/** @type {PhotoRow} */ row) => row.id, makeFrame, updateFrame);
  let shown = -1;
  viewStill((state, before) => {
    const { photos, photo } = state;
    const same = photos === before.photos && state.clips === before.clips && state.failed === before.failed;
    if (same && photo?.id === before.photo?.id && strip.childElementCount) return;
    document.body.classList.toggle("single", photos.length + state.clips.length < 2);
    // A frame of a clip stands in the state under the negative number of the clip.
    const clips = state.clips.map((clip) => ({ id: -clip.id, name: clip.name, done: false, masks: 0 }));
    frames.show([...photos, ...clips]);
    if (photo && photo.id !== shown) {
      shown = photo.id;
      frames.reveal([...photos, ...clips].findIndex((row) => row.id === shown), true);
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
 * A photo, or under a negative number a clip.
 * @param {PhotoRow} row
 */
function makeFrame({ id, name }) {
  const picture = id < 0 ? `/api/clips/${-id}/frames/0/picture?side=192` : `/api/photos/${id}/thumbnail`;
  return h(
    "button",
    { class: "frame", role: "option", title: name, "aria-label": name, onclick: () => (id < 0 ? openClip(-id) : open(id)) },
    h("img", { src: picture, alt: "", loading: "lazy", draggable: false }),
    h("span", { class: "count number" }),
    h("span", { class: "tick" }, icon("check")),
    id < 0 ? h("span", { class: "film-mark" }, icon("play")) : null,
  );
}

/**
 * @param {HTMLElement} frame
 * @param {PhotoRow} row
 */
function updateFrame(frame, { id, name, masks, done }) {
  const { photo, failed } = get();
  frame.setAttribute("aria-selected", String(id === (photo?.id ?? failed?.id)));
  frame.classList.toggle("done", done);
  frame.setAttribute("aria-label", id < 0 ? `${name}, a clip` : `${name}, ${masks} masks${done ? ", done" : ""}`);
  /** @type {HTMLElement} */ (frame.querySelector(".count")).textContent = masks ? String(masks) : "";
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

/** Let a person choose photos, videos or files of masks. */
export function addFiles() {
  const input = h("input", { type: "file", accept: "image/*,.tif,.tiff,video/*,.mkv,.mts,.json,.geojson,.xml,.txt,.gpkg,.parquet", multiple: true, onchange: () => take([...(input.files ?? [])]) });
  input.click();
}

const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ogv|mts)$/i;

const MASKS = /\.(json|geojson|xml|txt|gpkg|parquet)$/i;

/** @param {File[]} files */
async function take(files) {
  const isOfMasks = (/** @type {File} */ file) => MASKS.test(file.name);
  await takePictures(files.filter((file) => !isOfMasks(file)));
  await takeMasks(files.filter(isOfMasks)); // which may be of a photo that came along
}

/** @param {File[]} files */
async function takeMasks(files) {
  for (const file of files) {
    await attempt(async () => {
      await idle();
      const { photos, classes } = await request("POST", `/api/masks?name=${encodeURIComponent(file.name)}`, file);
      const counts = /** @type {number[]} */ (Object.values(photos));
      const count = counts.reduce((sum, each) => sum + each, 0);
      say(`${count} mask${count === 1 ? "" : "s"} of ${file.name} on ${counts.length} photo${counts.length === 1 ? "" : "s"}.`, "info");
      takeClasses({ classes, renamed: null });
      relist();
      await reload();
    });
  }
}

/** @param {File[]} files */
async function takePictures(files) {
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
