// From keys to commands. Which key does what can be changed; changes are kept in the browser.

import { COMMANDS, able, asked, belongs, pick, run, useClass } from "../core/commands.js";
import { get, set } from "../core/store.js";

const KEPT = "everymask-keys";

/** @type {Record<string, string[]>} */
let changed = read();

/** @returns {Record<string, string[]>} */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([name, keys]) => name in COMMANDS && Array.isArray(keys)));
  } catch {
    return {};
  }
}

/** The keys of a command. @param {string} name */
export function keysOf(name) {
  return changed[name] ?? COMMANDS[name].keys;
}

/**
 * Give a command a key, and take it from whatever had it.
 * @param {string} name
 * @param {string} key
 */
export function bind(name, key) {
  for (const other of Object.keys(COMMANDS)) {
    const [one, two] = [COMMANDS[name].on, COMMANDS[other].on];
    const meet = !one || !two || one === two;
    if (meet && keysOf(other).includes(key)) changed[other] = keysOf(other).filter((each) => each !== key);
  }
  changed[name] = [key];
  localStorage.setItem(KEPT, JSON.stringify(changed));
}

/** All keys as they were made. */
export function unbindAll() {
  changed = {};
  localStorage.removeItem(KEPT);
}

/**
 * A key event as it is written: "Ctrl+Shift+Z".
 * @param {KeyboardEvent} event
 */
export function written(event) {
  const plain = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const letter = /^[A-Z]$/.test(plain);
  return [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && (letter || plain.length > 1) && "Shift", plain].filter(Boolean).join("+");
}

/** Begin to listen. */
export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.matches("input:not([type=range]), textarea, select")) return;
    if (event.key === " ") {
      if (target.matches("button, [role=option]")) return;
      document.body.classList.add("panning");
      event.preventDefault();
      return;
    }
    if (/^[1-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      number(Number(event.key) - 1);
      return;
    }
    if (arrows(event)) return;
    const key = written(event);
    const name = Object.keys(COMMANDS).find((each) => belongs(each) && keysOf(each).includes(key));
    // Tab leaves and Enter presses where there is nothing to choose or accept: the page stays usable by keys.
    if (!name || !able(name) || (event.key === "Enter" && target.matches("button, [role=option], summary, a"))) return;
    if (event.key.includes("Tab") && target !== document.body && target.id !== "canvas") return;
    event.preventDefault();
    run(name);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") document.body.classList.remove("panning");
  });
  window.addEventListener("blur", () => document.body.classList.remove("panning"));
}

/**
 * A number: one of the answers while there are several, else a class.
 * @param {number} place
 */
async function number(place) {
  await asked();
  const { photo, classes } = get();
  if (photo?.draft && (photo.reply?.candidates.length ?? 0) > 1 && place < 3) pick(place);
  else if (classes[place]) useClass(classes[place].name);
}

/**
 * With the canvas in focus arrows move a cross, and C-like clicks come from `.` and `,`: prompting by keys.
 * @param {KeyboardEvent} event
 */
function arrows(event) {
  if (!(event.target instanceof HTMLCanvasElement) || event.ctrlKey || event.altKey) return false;
  const photo = get().photo;
  if (!photo) return false;
  const step = (event.shiftKey ? 40 : 8) / get().camera.scale;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return false;
  const [x, y] = get().pointer ?? [photo.size[1] / 2, photo.size[0] / 2];
  const limit = (/** @type {number} */ value, /** @type {number} */ size) => Math.min(size - 1, Math.max(0, value));
  set({ pointer: [limit(x + way[0] * step, photo.size[1]), limit(y + way[1] * step, photo.size[0])] });
  document.dispatchEvent(new CustomEvent("cross"));
  event.preventDefault();
  return true;
}
