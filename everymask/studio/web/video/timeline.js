// The timeline: play and step, track, a scrubber, and for each object a strip that says how sure the model is.

import { colourOf } from "../core/colours.js";
import { byId, h, list } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { get, set, viewStill } from "../core/store.js";
import { commandButton } from "../panels/bar.js";
import { DOUBT, goTo, isTracking, setClip, stopTracking } from "./clip.js";
import { playOrPause } from "./playback.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").Clip} Clip */

const ROW = 18;

/** Build the timeline. */
export function startTimeline() {
  const play = h("button", { class: "quiet", "aria-label": "Play", onclick: playOrPause }, icon("play"));
  const frame = h("output", { class: "number time" });
  const scrub = h("input", { type: "range", min: "0", step: "1", "aria-label": "Frame", class: "scrub", oninput: () => (setClip({ playing: false, follow: false }), goTo(Number(scrub.value))) });
  const stop = h("button", { class: "plain", onclick: stopTracking }, icon("stop"), h("span", {}, "Stop"));
  const progress = h("progress", { "aria-label": "Tracking" });
  const said = h("span", { class: "faint number" });
  const running = h("div", { class: "row start tracking" }, progress, said, stop);
  const idle = h("div", { class: "group" }, commandButton("trackBack", "", "quiet"), commandButton("trackOne", "One frame", "plain"), commandButton("trackOn", "Track", "primary"));
  const rows = h("div", { class: "strips" });
  byId("timeline").append(
    h("div", { class: "row start" }, h("div", { class: "group" }, commandButton("previousFrame"), play, commandButton("nextFrame"), commandButton("previousDoubt"), commandButton("nextDoubt")), frame, h("div", { class: "grow" }), running, idle),
    scrub,
    rows,
  );
  let drawn = { width: 0, key: "" };
  viewStill((state, before) => {
    const { clip } = state;
    document.body.classList.toggle("clip", clip !== null);
    byId("timeline").hidden = !clip;
    if (!clip) return;
    const tracking = isTracking();
    play.setAttribute("aria-label", clip.playing ? "Pause" : "Play");
    play.title = `${clip.playing ? "Pause" : "Play"} (K)`;
    if (clip.playing !== before.clip?.playing || !before.clip) play.replaceChildren(icon(clip.playing ? "pause" : "play"));
    frame.textContent = `${clip.frame + 1} / ${clip.length} · ${(clip.frame / clip.frames_per_second).toFixed(2)} s`;
    scrub.max = String(clip.length - 1);
    if (document.activeElement !== scrub || Number(scrub.value) !== clip.frame) scrub.value = String(clip.frame);
    scrub.setAttribute("aria-valuetext", `frame ${clip.frame + 1} of ${clip.length}`);
    running.hidden = !tracking;
    idle.hidden = tracking;
    if (clip.run && tracking) {
      progress.max = clip.run.total;
      progress.value = clip.run.done;
      said.textContent = `${clip.run.done} of ${clip.run.total}`;
    }
    list(rows, [...clip.objects.keys()], (id) => `${clip.id}-${id}`, makeRow, (row, id) => {
      row.classList.toggle("chosen", state.selected.has(id));
      const object = clip.objects.get(id);
      const name = object?.label ? `${object.label} ${id}` : `Object ${id}`;
      /** @type {HTMLElement} */ (row.querySelector(".who")).textContent = name;
    });
    const width = rows.clientWidth;
    const key = `${clip.id} ${clip.stamp} ${clip.frame} ${[...state.selected]} ${state.classes.map((each) => each.color)}`;
    if (width === drawn.width && key === drawn.key) return;
    drawn = { width, key };
    for (const row of /** @type {HTMLElement[]} */ ([...rows.children])) drawStrip(row, clip, state);
  });
}

/** @param {number} id */
function makeRow(id) {
  const canvas = h("canvas", { height: ROW, "aria-hidden": "true" });
  /** @param {PointerEvent} event */
  const seek = (event) => {
    const clip = get().clip;
    if (!clip) return;
    const box = canvas.getBoundingClientRect();
    setClip({ playing: false, follow: false });
    goTo(Math.floor(((event.clientX - box.left) / box.width) * clip.length));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    set({ selected: new Set([id]) });
    seek(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons & 1 && seek(event));
  return h("div", { class: "strip-row", "data-object": String(id) }, h("button", { class: "who", tabIndex: -1, onclick: () => set({ selected: new Set([id]) }) }), canvas);
}

/**
 * One object's strip: its colour where it is seen, paler where the model is unsure, a gap with a line where it is
 * lost, nothing where it was not tracked; a diamond where it was prompted; the frame that is shown as a line.
 * @param {HTMLElement} row
 * @param {Clip} clip
 * @param {State} state
 */
function drawStrip(row, clip, state) {
  const id = Number(row.dataset.object);
  const canvas = /** @type {HTMLCanvasElement} */ (row.querySelector("canvas"));
  const dpr = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * dpr);
  if (!width) return;
  [canvas.width, canvas.height] = [width, ROW * dpr];
  const on = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const strip = clip.strips.get(id);
  const colour = colourOf({ id, label: clip.objects.get(id)?.label ?? null }, state.classes);
  const middle = canvas.height / 2;
  for (let x = 0; x < width && strip; x++) {
    const value = least(strip, Math.floor((x * clip.length) / width), Math.floor(((x + 1) * clip.length - 1) / width));
    if (value < 0) continue;
    if (value === 0) {
      on.globalAlpha = 1;
      on.fillStyle = "#ff7480";
      on.fillRect(x, middle - dpr, 1, 2 * dpr);
      continue;
    }
    on.globalAlpha = value < DOUBT ? 0.35 : 0.95;
    on.fillStyle = colour;
    const high = Math.max(3, (canvas.height - 6 * dpr) * value);
    on.fillRect(x, middle - high / 2, 1, high);
  }
  on.globalAlpha = 1;
  const place = (/** @type {number} */ frame) => ((frame + 0.5) * width) / clip.length;
  for (const key of clip.prompts.keys()) {
    const [frame, object] = key.split("/").map(Number);
    if (object !== id) continue;
    const [x, r] = [place(frame), 4.5 * dpr];
    on.beginPath();
    on.moveTo(x, middle - r);
    on.lineTo(x + r, middle);
    on.lineTo(x, middle + r);
    on.lineTo(x - r, middle);
    on.closePath();
    on.fillStyle = "#fff";
    on.fill();
    on.lineWidth = dpr;
    on.strokeStyle = "#0e0f12";
    on.stroke();
  }
  on.fillStyle = "#fff";
  on.fillRect(Math.round(place(clip.frame)) - dpr / 2, 0, Math.max(1, dpr), canvas.height);
}

/**
 * The least of what is known on some frames; a lost frame is never hidden by its neighbours.
 * @param {Float32Array} strip
 * @param {number} first
 * @param {number} last
 */
function least(strip, first, last) {
  let found = -1;
  for (let frame = first; frame <= Math.max(first, last); frame++) {
    const value = strip[frame];
    if (value >= 0 && (found < 0 || value < found)) found = value;
  }
  return found;
}
