// Everything mode: run it, then choose by sliders and clicks what to keep. The model is asked once; the
// server answers every position of the sliders from what the run found.

import { act, attempt, maskOf, onEvent } from "../core/desk.js";
import { byId, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { holds } from "../core/runs.js";
import { request } from "../core/server.js";
import { get, set, viewStill } from "../core/store.js";
import { say } from "./notices.js";
import { tipOf } from "../input/keys.js";
import { SIZES, SLIDERS, makeSlider } from "./sliders.js";

/** @typedef {import("../core/types.js").State} State */
/** @typedef {import("../core/types.js").MaskView} MaskView */
/** @typedef {import("../core/types.js").Findings} Findings */
/** @typedef {import("../core/types.js").Choice} Choice */

/** @type {Record<string, {title: string, options: Record<string, unknown>}>} */
const EFFORTS = {
  quick: { title: "Quick", options: { points_per_side: 16 } },
  normal: { title: "Normal", options: {} },
  thorough: { title: "Thorough", options: { crop_n_layers: 1 } },
};

// --- which masks ----------------------------------------------------------------------------------------

/**
 * @param {State} state
 * @param {Choice} choice
 * @returns {MaskView[]}
 */
function fitting(state, choice) {
  const { findings, sizes, photo } = state;
  if (!findings || !photo) return [];
  const whole = Math.max(2, photo.size[0] * photo.size[1]);
  const [least, most] = [whole ** sizes.smallest, whole ** sizes.largest];
  const masks = choice.numbers.map((number) => /** @type {MaskView} */ (findings.pool.get(number)));
  return masks.filter((mask) => mask.area >= Math.floor(least) && mask.area <= Math.ceil(most) && (sizes.level === null || Math.min(2, choice.levels.get(mask.id) ?? 0) === sizes.level));
}

/** The masks that sliders and clicks leave. @param {State} state @returns {MaskView[]} */
export function kept(state) {
  const { findings } = state;
  return findings ? fitting(state, findings.choice).filter((mask) => !findings.thrown.has(mask.id)) : [];
}

/** The masks they are compared with, if they are. @param {State} state */
export function keptPinned(state) {
  return state.findings?.pinned ? fitting(state, state.findings.pinned) : null;
}

// --- the run --------------------------------------------------------------------------------------------

/** Find everything on the open photo. */
export async function runEverything() {
  const photo = get().photo;
  if (!photo) return;
  const { effort, preset } = get();
  await attempt(async () => {
    const job = await request("POST", `/api/photos/${photo.id}/everything`, { ...EFFORTS[effort].options, ...(preset ? { preset } : {}) });
    if (get().photo?.id !== photo.id) return; // another one was opened meanwhile
    set({ findings: begun(job), thresholds: {}, hover: null });
    learn(await request("GET", `/api/jobs/${job.id}`)); // it may have ended before we could hear of it
  });
}

/** Whether a run is under way. */
export function isFinding() {
  return get().findings?.state === "running";
}

/** Whether there is a run whose findings are shown, or are about to be. */
export function hasFindings() {
  return isFinding() || get().findings?.state === "done";
}

/** End the run; nothing comes of it. */
export function stopFinding() {
  return attempt(() => request("DELETE", `/api/jobs/${get().findings?.job}`));
}

/** @param {any} job @returns {Findings} */
function begun(job) {
  return { job: job.id, state: job.state, done: 0, total: 1, found: 0, error: null, options: job.options, defaults: {}, histograms: null, pool: new Map(), choice: { thresholds: {}, numbers: [], levels: new Map() }, pinned: null, thrown: new Set(), why: null, past: [], future: [], last: null };
}

/** What the server says of the run. @param {any} job */
function learn(job) {
  const { findings } = get();
  if (!findings || findings.job !== job.id) return;
  const fresh = job.state === "done" && findings.state !== "done";
  set({ findings: { ...findings, state: job.state, done: job.done, total: job.total || 1, found: job.found, error: job.error, defaults: job.thresholds ?? {}, histograms: job.histograms ?? findings.histograms } });
  if (fresh) choose({});
}

/** Hear how far runs are. */
export function startFindings() {
  onEvent((event) => {
    if (event.type === "job") learn(event);
  });
  startWiper();
}

let asking = false;

/**
 * Move the sliders. While an answer is on its way the newest position waits, and the others are left out.
 * @param {Record<string, number>} thresholds
 */
export async function choose(thresholds) {
  set({ thresholds });
  if (asking) return;
  asking = true;
  try {
    for (let asked = null; asked !== get().thresholds; ) {
      asked = get().thresholds;
      await attempt(() => ask(asked));
    }
  } finally {
    asking = false;
  }
}

/** @param {Record<string, number>} thresholds */
async function ask(thresholds) {
  const { findings, photo, sizes } = get();
  if (findings?.state !== "done" || !photo) return;
  const answer = await request("POST", `/api/jobs/${findings.job}/masks`, { thresholds, known: findings.pool.size + 1, levels: sizes.level !== null });
  const now = get().findings;
  if (now?.job !== findings.job) return;
  const pool = new Map(now.pool);
  for (const values of answer.fresh) pool.set(values.id, maskOf({ ...values, label: null, locked: false, predicted_iou: null, stability_score: null }, photo.size));
  answer.numbers.forEach((/** @type {number} */ number, /** @type {number} */ place) => {
    const mask = /** @type {MaskView} */ (pool.get(number));
    [mask.predicted_iou, mask.stability_score] = answer.scores[place];
  });
  const levels = new Map(answer.levels ? answer.numbers.map((/** @type {number} */ number, /** @type {number} */ place) => [number, answer.levels[place]]) : []);
  set({ findings: { ...now, pool, choice: { thresholds, numbers: answer.numbers, levels } } });
}

// --- undo: what sliders and clicks chose, until it is taken ----------------------------------------------

/** Remember what is chosen now, before it changes. @param {string} by the slider, whose further moves are the same step */
function remember(by) {
  const { findings, thresholds, sizes } = get();
  if (!findings) return;
  const past = findings.last === by ? findings.past : [...findings.past, { thrown: findings.thrown, thresholds, sizes }];
  set({ findings: { ...findings, past, future: [], last: by } });
}

/** Whether there is a step to go back (-1) or on (1). @param {-1 | 1} way */
export function canTravel(way) {
  const { findings, panel } = get();
  return panel === "everything" && findings?.state === "done" && (way < 0 ? findings.past : findings.future).length > 0;
}

/** Undo (-1) or redo (1) a choice. @param {-1 | 1} way */
export function travel(way) {
  const { findings, thresholds, sizes } = get();
  if (!findings || !canTravel(way)) return undefined;
  const [from, onto] = way < 0 ? [findings.past, findings.future] : [findings.future, findings.past];
  const to = from[from.length - 1];
  const left = { [way < 0 ? "past" : "future"]: from.slice(0, -1), [way < 0 ? "future" : "past"]: [...onto, { thrown: findings.thrown, thresholds, sizes }] };
  set({ sizes: to.sizes, findings: { ...findings, ...left, thrown: to.thrown, last: null } });
  return choose(to.thresholds);
}

/** Sliders, sizes and what was thrown away, as they were after the run. */
export function defaults() {
  remember("defaults");
  const { findings } = get();
  set({ sizes: { smallest: 0, largest: 1, level: null }, findings: findings && { ...findings, thrown: new Set() } });
  return choose({});
}

/** Whatever the scores. */
export function showAll() {
  remember("all");
  return choose({ pred_iou_thresh: 0, stability_score_thresh: 0 });
}

/** Keep the present choice on the left of a line, or no longer. */
export function compare() {
  const { findings } = get();
  if (findings) set({ findings: { ...findings, pinned: findings.pinned ? null : findings.choice } });
}

// --- clicks on the photo --------------------------------------------------------------------------------

/**
 * The findings at a place of the photo, the smallest first.
 * @param {Findings} findings
 * @param {[number, number]} at
 */
function findingsAt(findings, at) {
  const { photo } = get();
  return photo ? fitting(get(), findings.choice).filter((mask) => holds(mask, photo.size, at[0], at[1])).sort((a, b) => a.area - b.area) : [];
}

/** What a click at a place of the photo would throw away. @param {[number, number]} at */
export function findingAt(at) {
  const { findings } = get();
  return findings?.state === "done" ? findingsAt(findings, at).find((mask) => !findings.thrown.has(mask.id)) ?? null : null;
}

/**
 * Throw away the finding at a place of the photo, or bring back the one that went last; where there is none to throw
 * away, the smallest comes back; where there is none at all, say why.
 * @param {[number, number]} at
 * @param {boolean} isBack
 */
export function toggleFinding(at, isBack) {
  const { findings, photo } = get();
  if (findings?.state !== "done" || !photo) return;
  const here = findingsAt(findings, at);
  const order = [...findings.thrown];
  const thrown = here.filter((each) => findings.thrown.has(each.id)).sort((a, b) => order.indexOf(b.id) - order.indexOf(a.id));
  if (isBack && here.length && !thrown.length) return;
  const mask = isBack ? thrown[0] : here.find((each) => !findings.thrown.has(each.id)) ?? here[0];
  if (!mask) {
    explain(at);
    return;
  }
  remember(`thrown ${mask.id}`);
  const left = new Set(findings.thrown);
  if (!left.delete(mask.id)) left.add(mask.id);
  set({ findings: { .../** @type {Findings} */ (get().findings), thrown: left, why: null, last: null } });
}

/** @param {[number, number]} at */
function explain(at) {
  const { findings, photo, thresholds } = get();
  if (!findings || !photo || at[0] < 0 || at[1] < 0 || at[0] >= photo.size[1] || at[1] >= photo.size[0]) return;
  attempt(async () => {
    const reasons = await request("POST", `/api/jobs/${findings.job}/why`, { x: at[0], y: at[1], thresholds });
    const now = get().findings;
    if (now?.job === findings.job) set({ findings: { ...now, why: { xy: at, reasons } }, sheet: true });
  });
}

/** Make what is kept masks of the photo. */
export async function takeFindings() {
  const { findings } = get();
  const masks = kept(get());
  if (findings?.state !== "done" || !masks.length) return;
  const values = masks.map((/** @type {any} */ mask) => ({ counts: mask.counts, label: null, predicted_iou: mask.predicted_iou, stability_score: mask.stability_score, points: mask.points ?? null }));
  set({ findings: { ...findings, state: "taken" } }); // a second Enter does not take them twice
  const did = await act({ type: "add", masks: values });
  if (get().findings?.job !== findings.job) return;
  if (did) set({ findings: null, thresholds: {}, panel: "masks" });
  else set({ findings });
}

// --- the same elsewhere ---------------------------------------------------------------------------------

const LEVELS = ["whole", "part", "subpart"];

/**
 * What leads to these masks anywhere else: how the photo is read, the generator's options, the level of the
 * hierarchy, the limits of areas.
 * @param {State} state
 */
function recipe({ findings, sizes, photo }) {
  if (!findings || !photo) return null;
  const whole = photo.size[0] * photo.size[1];
  const { page, range } = photo.view;
  return {
    path: photo.path ?? photo.name,
    reading: { ...(page === null ? {} : { page }), ...(range === "percentile" ? {} : { range }) },
    options: { ...findings.options, ...findings.choice.thresholds },
    level: sizes.level === null ? null : LEVELS[sizes.level],
    filters: { ...(sizes.smallest > 0 ? { min_area: Math.floor(whole ** sizes.smallest) } : {}), ...(sizes.largest < 1 ? { max_area: Math.ceil(whole ** sizes.largest) } : {}) },
  };
}

/** @param {State} state */
export function asCommand(state) {
  const what = recipe(state);
  if (!what) return "";
  const { page } = what.reading;
  const values = { ...what.reading, ...(page === undefined ? {} : { page: page + 1 }), ...what.options, ...(what.level ? { level: what.level } : {}), ...what.filters };
  const flags = Object.entries(values).map(([name, value]) => `--${name.replaceAll("_", "-")} ${shellQuoted(String(value))}`);
  return ["everymask segment", shellQuoted(what.path), `--model ${shellQuoted(state.session.model)}`, ...flags].join(" ");
}

/** @param {State} state */
export function asPython(state) {
  const what = recipe(state);
  if (!what) return "";
  const level = what.level ? `.level(${python(what.level)})` : "";
  const filter = Object.keys(what.filters).length ? `.filter(${named(what.filters)})` : "";
  return [
    "import everymask as em",
    "",
    `photo = em.read_photo(${[python(what.path), named(what.reading)].filter(Boolean).join(", ")})`,
    `model = em.load(${python(state.session.model)})`,
    `generator = em.AutomaticMaskGenerator(${["model", named(what.options)].filter(Boolean).join(", ")})`,
    `masks = generator.generate(photo)${level}${filter}`,
  ].join("\n");
}

/** @param {Record<string, unknown>} values */
function named(values) {
  return Object.entries(values).map(([name, value]) => `${name}=${python(value)}`).join(", ");
}

/**
 * A value as Python writes it. JSON's strings and numbers are Python's too.
 * @param {unknown} value
 * @returns {string}
 */
function python(value) {
  if (Array.isArray(value)) return `(${value.map(python).join(", ")},)`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}

/** @param {string} text */
function shellQuoted(text) {
  return /^[\w./,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Copy what leads to these masks on the command line. */
export function copyCommand() {
  return copy(asCommand(get()));
}

/** Copy what leads to these masks in Python. */
export function copyPython() {
  return copy(asPython(get()));
}

/** @param {string} text */
async function copy(text) {
  const thrown = get().findings?.thrown.size ?? 0;
  const but = thrown ? ` What you threw away by hand (${thrown}) is not in it.` : "";
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied.${but}`, thrown ? "warning" : "info");
  } catch {
    say(text, "warning"); // without the right to the clipboard: to be copied by hand
  }
}

// --- the wiper ------------------------------------------------------------------------------------------

function startWiper() {
  const handle = h("div", { class: "wiper", role: "slider", tabIndex: 0, "aria-label": "Where the comparison is divided", "aria-valuemin": "0", "aria-valuemax": "100" }, h("span", { class: "then" }, "before"), h("span", { class: "now" }, "now"));
  const to = (/** @type {number} */ share) => set({ wiper: Math.min(1, Math.max(0, share)) });
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    const box = byId("stage").getBoundingClientRect();
    if (handle.hasPointerCapture(event.pointerId)) to((event.clientX - box.left) / box.width);
  });
  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (way) to(get().wiper + way);
  });
  byId("stage").append(handle);
  viewStill((state) => {
    handle.hidden = !(state.panel === "everything" && state.findings?.pinned);
    handle.style.left = `${100 * state.wiper}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(100 * state.wiper)));
  });
}

// --- the panel ------------------------------------------------------------------------------------------

/** The panel, and what keeps it up to date. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function findingsPanel() {
  const efforts = segments("Effort", Object.entries(EFFORTS).map(([name, { title }]) => [name, title]), (effort) => set({ effort }));
  const preset = h("select", { "aria-label": "Preset", onchange: () => set({ preset: preset.value || null }) });
  const purpose = h("p", { class: "faint" });
  const presets = h("div", { class: "preset" }, h("label", { class: "row" }, "Preset", preset), purpose);
  const beginText = h("span", {});
  const begin = h("button", { onclick: runEverything }, icon("everything"), beginText);
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const progressText = h("span", { class: "number" });
  const stop = h("button", { class: "plain", title: tipOf("cancel", "Stop"), onclick: stopFinding }, icon("stop"), h("span", {}, "Stop"));
  const running = h("div", { class: "running" }, h("div", { class: "row" }, progressText, stop), bar);
  const failed = h("p", { class: "trouble" });
  const sliders = SLIDERS.map((slider) => makeSlider(slider, (value) => (remember(slider.name), choose({ ...get().thresholds, [slider.name]: value }))));
  const sizes = SIZES.map((slider) => makeSlider(slider, (value) => (remember(slider.name), set({ sizes: { ...get().sizes, [slider.name]: value } }))));
  const levels = segments("Levels of the hierarchy", [["all", "All"], ["0", "Wholes"], ["1", "Parts"], ["2", "Subparts"]], (name) => {
    remember(`level ${name}`);
    set({ sizes: { ...get().sizes, level: name === "all" ? null : Number(name) } });
    choose({ ...get().thresholds });
  });
  const counts = h("p", { class: "number faint" });
  const why = h("div", { class: "why" });
  const take = h("button", { class: "primary wide-button", onclick: takeFindings });
  const reset = h("button", { class: "plain", onclick: defaults }, "Defaults");
  const all = h("button", { class: "plain", onclick: showAll }, "Show all");
  const comparing = h("button", { class: "plain", onclick: compare }, "Compare");
  const copies = h("div", { class: "row start" }, h("button", { class: "link", onclick: copyCommand }, icon("copy"), "as command"), h("button", { class: "link", onclick: copyPython }, icon("copy"), "as Python"));
  const results = h("div", { class: "results" }, ...sliders.map((each) => each.element), ...sizes.map((each) => each.element), levels.element, h("div", { class: "row start" }, reset, all, comparing), counts, why, copies);
  const foot = h("div", { class: "foot" }, take);
  const element = h("section", { class: "findings", "aria-label": "Everything" }, efforts.element, presets, begin, running, failed, results, foot);
  return {
    element,
    show(state, before) {
      const same = /** @type {const} */ (["findings", "thresholds", "sizes", "photo", "effort", "preset", "presets"]).every((name) => state[name] === before[name]);
      if (same) return;
      const { findings } = state;
      efforts.show(state.effort);
      if (state.presets !== before.presets) preset.replaceChildren(h("option", { value: "" }, "none"), ...state.presets.map(({ name }) => h("option", { value: name }, name)));
      preset.value = state.preset ?? "";
      purpose.textContent = state.presets.find((each) => each.name === state.preset)?.purpose ?? "the model's own thresholds";
      const done = findings?.state === "done";
      running.hidden = findings?.state !== "running";
      begin.hidden = findings?.state === "running";
      results.hidden = foot.hidden = !done;
      begin.className = done ? "plain wide-button" : "primary wide-button";
      beginText.textContent = done ? "Find again" : "Find everything";
      failed.hidden = !(findings?.state === "failed" || findings?.state === "cancelled");
      failed.textContent = findings?.state === "cancelled" ? "Stopped. Nothing was changed." : findings?.error ?? "";
      bar.value = findings ? findings.done / findings.total : 0;
      progressText.textContent = findings ? `${findings.done} of ${findings.total} points, ${findings.found} candidates` : "";
      if (!findings || !done) return;
      const masks = kept(state);
      for (const each of [...sliders, ...sizes]) each.show(state);
      levels.show(state.sizes.level === null ? "all" : String(state.sizes.level));
      comparing.setAttribute("aria-pressed", String(findings.pinned !== null));
      counts.textContent = `${masks.length} of ${findings.found} candidates. Click a mask to throw it away, right-click to have it back; click a bare place to ask why.`;
      take.textContent = masks.length === 1 ? "Keep 1 mask" : `Keep ${masks.length} masks`;
      take.disabled = masks.length === 0;
      why.replaceChildren(...reasons(findings));
      if (findings.why && findings.why !== before.findings?.why) why.scrollIntoView({ block: "nearest" });
    },
  };
}

/**
 * Why there is no mask at a place, and what would bring one.
 * @param {Findings} findings
 */
function reasons(findings) {
  if (!findings.why) return [];
  const { xy, reasons: told } = findings.why;
  const title = h("h3", {}, `At ${Math.round(xy[0])}, ${Math.round(xy[1])}`);
  if (!told.length) return [title, h("p", { class: "faint" }, "The model saw nothing here. Find again with more effort, or click it by hand.")];
  return [
    title,
    ...told.slice(0, 3).map((reason) =>
      h("div", { class: "reason" }, h("p", {}, reason.text), reason.changes ? h("button", { class: "plain", title: reason.remedy, onclick: () => (remember("why"), choose({ ...get().thresholds, ...reason.changes })) }, Object.entries(reason.changes).map(([name, value]) => `${SLIDERS.find((each) => each.name === name)?.title ?? name} ${Number(value).toPrecision(3)}`).join(", ")) : null),
    ),
  ];
}

/**
 * A row of choices of which one is taken.
 * @param {string} title
 * @param {[string, string][]} choices
 * @param {(name: string) => void} take
 */
function segments(title, choices, take) {
  const element = h("div", { class: "segments", role: "radiogroup", "aria-label": title }, ...choices.map(([name, text]) => h("button", { role: "radio", "data-name": name, onclick: () => take(name) }, text)));
  return {
    element,
    /** @param {string} name */
    show(name) {
      for (const child of /** @type {HTMLElement[]} */ ([...element.children])) child.setAttribute("aria-checked", String(child.dataset.name === name));
    },
  };
}
