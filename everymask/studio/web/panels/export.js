// Export: choose formats, see what each cannot hold, then take the files.

import { attempt, idle, onEvent } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get } from "../core/store.js";

/** Open the dialog. */
export function openExport() {
  if (get().clip) {
    openClipExport();
    return;
  }
  const dialog = /** @type {HTMLDialogElement} */ (byId("export"));
  const { formats, photo, photos } = get();
  const boxes = formatBoxes(formats, ["coco"]);
  const overlay = h("input", { type: "checkbox" });
  const cutouts = h("input", { type: "checkbox" });
  const feather = h("input", { type: "number", min: "0", max: "200", step: "0.5", value: "1", "aria-label": "Soft edge in pixels" });
  const overlap = select("Overlaps", [["keep", "keep where the format can"], ["disjoint", "each pixel to the smallest mask"], ["nested", "within or beside each other"]]);
  const rings = select("YOLO outlines", [["bridge", "all parts, joined by a seam"], ["largest", "the largest part"]]);
  const val = select("YOLO validation", [["0", "the same photos"], ["0.1", "a tenth, kept apart"], ["0.2", "a fifth, kept apart"], ["0.3", "three tenths, kept apart"]]);
  const withMasks = photos.filter((row) => row.masks).length;
  const scope = select("Photos", [["photo", "this photo"], ["all", withMasks === 1 ? "the one with masks" : `all ${withMasks} with masks`]]);
  scope.input.value = photos.length > 1 ? "all" : "photo";
  const outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const prepare = h("button", { class: "primary" }, "Prepare files");
  const form = h(
    "form",
    { method: "dialog", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), make()), onchange: () => outcome.replaceChildren() },
    h("fieldset", {}, h("legend", {}, "Formats"), h("div", { class: "formats" }, ...boxes.map((each) => each.element))),
    h("fieldset", {}, h("legend", {}, "Pictures"), h("div", { class: "row start" }, h("label", { class: "check" }, overlay, "Overlay"), h("label", { class: "check" }, cutouts, "Cut-outs"), h("label", { class: "check" }, "soft edge", feather, "px"))),
    h("fieldset", { class: "selects" }, h("legend", {}, "How"), scope.element, overlap.element, rings.element, val.element),
    outcome,
    h("div", { class: "row end" }, prepare),
  );
  dialog.replaceChildren(h("header", { class: "row" }, h("h2", {}, "Export"), h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))), form);
  dialog.showModal();

  async function make() {
    prepare.disabled = true;
    await idle();
    const made = await attempt(() =>
      request("POST", "/api/exports", {
        photos: scope.input.value === "photo" && photo ? [photo.id] : null,
        formats: boxes.filter((each) => each.box.checked).map((each) => each.box.value),
        overlay: overlay.checked,
        cutouts: cutouts.checked,
        feather_px: Number(feather.value) || 0,
        overlap: overlap.input.value,
        rings: rings.input.value,
        val: Number(val.input.value),
      }),
    );
    prepare.disabled = false;
    if (made) tell(outcome, made);
  }
}

/**
 * @param {import("../core/types.js").FormatRow[]} formats
 * @param {string[]} chosen
 */
function formatBoxes(formats, chosen) {
  return formats.map((format) => {
    const box = h("input", { type: "checkbox", value: format.name, checked: chosen.includes(format.name) });
    return { box, element: h("label", { class: "format" }, box, h("span", { class: "texts" }, h("span", {}, format.name), h("span", { class: "faint" }, format.for))) };
  });
}

/** The dialog for a clip: its own formats; videos take a while, which is told. */
function openClipExport() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("export"));
  const { clipFormats, clip } = get();
  const boxes = formatBoxes(clipFormats, ["coco-vis", "overlay"]);
  const outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const prepare = h("button", { class: "primary" }, "Prepare files");
  const progress = h("progress", { "aria-label": "Drawing the clip", hidden: true });
  hearExport = (event) => {
    if (event.clip !== clip?.id) return;
    [progress.max, progress.value] = [event.total, event.done];
  };
  const form = h(
    "form",
    { method: "dialog", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), make()), onchange: () => outcome.replaceChildren() },
    h("fieldset", {}, h("legend", {}, "Formats"), h("div", { class: "formats" }, ...boxes.map((each) => each.element))),
    progress,
    outcome,
    h("div", { class: "row end" }, prepare),
  );
  dialog.replaceChildren(h("header", { class: "row" }, h("h2", {}, "Export the clip"), h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))), form);
  dialog.showModal();

  async function make() {
    prepare.disabled = true;
    await idle();
    progress.hidden = false;
    const formats = boxes.filter((each) => each.box.checked).map((each) => each.box.value);
    const made = await attempt(() => request("POST", `/api/clips/${clip?.id}/exports`, { formats }));
    progress.hidden = true;
    prepare.disabled = false;
    if (made) tell(outcome, made);
  }
}

/** @type {(event: any) => void} */
let hearExport = () => undefined;

/** Begin to hear how far an export is. */
export function startExport() {
  onEvent((event) => event.type === "export" && hearExport(event));
}

/**
 * Say what was made and what is lost, where it is seen.
 * @param {HTMLElement} outcome
 * @param {any} made
 */
function tell(outcome, made) {
  outcome.replaceChildren(...report(made));
  outcome.scrollIntoView({ block: "end" });
}

/** @param {any} made */
function report(made) {
  const losses = Object.entries(made.losses).flatMap(([format, items]) => /** @type {any[]} */ (items).map((item) => h("li", {}, h("strong", {}, format), ` ${item.text}`)));
  const size = made.bytes > 1e6 ? `${(made.bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(made.bytes / 1e3)} kB`;
  const place = h("p", { class: "faint" });
  const save = h("button", { class: "plain", type: "button", onclick: async () => {
    const kept = await attempt(() => request("POST", `/api/exports/${made.id}/save`));
    if (kept) place.textContent = `Saved in the folder ${kept.folder}, beside the project.`;
  } }, "Save beside the project");
  return [
    h("h3", {}, losses.length ? "What these formats cannot hold" : "Nothing is lost"),
    losses.length ? h("ul", { class: "losses" }, ...losses) : null,
    h("p", { class: "faint" }, `${made.files.length} file${made.files.length === 1 ? "" : "s"}, ${size}: ${made.files.slice(0, 4).join(", ")}${made.files.length > 4 ? ", ..." : ""}`),
    h("div", { class: "row end" }, save, h("a", { class: "button primary", href: `/api/exports/${made.id}.zip`, download: "everymask-export.zip" }, "Download")),
    place,
  ].filter((each) => each !== null);
}

/**
 * @param {string} title
 * @param {[string, string][]} choices
 */
function select(title, choices) {
  const input = h("select", {}, ...choices.map(([value, text]) => h("option", { value }, text)));
  return { input, element: h("label", {}, h("span", {}, title), input) };
}
