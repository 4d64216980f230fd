// A photo, or a clip, without what the selected masks cover: shown, to be downloaded. Masks and originals stay.

import { attempt, onEvent } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get } from "../core/store.js";
import { say } from "./notices.js";

/** Erase what is selected. */
export function eraseSelected() {
  return erase([...get().selected]);
}

/**
 * Erase what some masks, or objects of the clip, cover.
 * @param {number[]} ids
 */
export async function erase(ids) {
  const { photo, clip } = get();
  if (clip) await eraseFromClip(clip, ids);
  else if (photo) await eraseFromPhoto(photo.id, ids);
}

/** @param {() => void} [closed] */
function opened(closed = () => undefined) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("erased"));
  const body = h("div", { class: "erased" }, h("p", { class: "faint" }, "Painting over …"));
  const close = h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  dialog.replaceChildren(h("header", { class: "row" }, h("h2", {}, "Erased"), close), body);
  dialog.addEventListener("close", closed, { once: true });
  dialog.showModal();
  return { dialog, body };
}

/**
 * @param {number} photo
 * @param {number[]} masks
 */
async function eraseFromPhoto(photo, masks) {
  const { dialog, body } = opened();
  const made = await attempt(() => request("POST", `/api/photos/${photo}/erase`, { masks }));
  if (!made) {
    dialog.close();
    return;
  }
  body.replaceChildren(
    h("img", { src: `/api/erased/${made.id}/preview`, alt: "The photo without what the selected masks cover" }),
    h("div", { class: "row end" }, h("span", { class: "faint grow" }, "Your photo stays as it is."), h("a", { class: "button primary", href: `/api/erased/${made.id}`, download: made.name }, "Download")),
  );
}

/** Who hears how far an erasing is. @type {((event: any) => void) | null} */
let ear = null;
onEvent((event) => {
  if (event.type === "erase") ear?.(event);
});

/**
 * @param {import("../core/types.js").Clip} clip
 * @param {number[]} objects
 */
async function eraseFromClip(clip, objects) {
  let id = -1;
  let isOver = false;
  const { dialog, body } = opened(() => {
    ear = null;
    if (id >= 0 && !isOver) attempt(() => request("DELETE", `/api/erased-clips/${id}`));
  });
  const bar = h("progress", { "aria-label": "Frames read or filled" });
  const said = h("p", { class: "faint number" }, "Looking for what is behind …");
  body.replaceChildren(bar, said);

  /** @param {any} job */
  function learn(job) {
    if (job.id !== id || isOver) return;
    [bar.max, bar.value] = [job.total || 1, job.done];
    said.textContent = `${job.done} of ${job.total} frames read or filled. Closing this stops it.`;
    isOver = job.state !== "running";
    if (job.state === "failed") {
      dialog.close();
      say(job.error, "error");
    } else if (job.state === "done") {
      const bare = job.untracked ? `${job.untracked} of ${clip.length} frames have no mask of it: they stay as they were. ` : "";
      body.replaceChildren(
        h("video", { src: `/api/erased-clips/${id}/video`, controls: true, loop: true, "aria-label": "The clip without what the selected objects cover" }),
        h("div", { class: "row end" }, h("span", { class: "faint grow" }, `${bare}Your clip stays as it is.`), h("a", { class: "button primary", href: `/api/erased-clips/${id}/video`, download: job.name }, "Download")),
      );
    }
  }

  /** Told before the number was known. @type {any[]} */
  const early = [];
  ear = (event) => (id < 0 ? early.push(event) : learn(event));
  const begun = await attempt(() => request("POST", `/api/clips/${clip.id}/erase`, { objects }));
  if (!begun) {
    dialog.close();
    return;
  }
  id = begun.id;
  if (!dialog.open) attempt(() => request("DELETE", `/api/erased-clips/${id}`)); // closed before it began
  else for (const event of [...early, begun]) learn(event);
}
