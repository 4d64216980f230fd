// From keys to commands. Which key does what can be changed; changes are kept in the browser.

import { COMMANDS, able, asked, belongs, pick, run, useClass } from "../core/commands.js";
import { byId } from "../core/dom.js";
import { get, set } from "../core/store.js";

const KEPT = "everymask-keys";
const FIELDS = "input:not([type=range]), textarea, select";

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
  tellKeys();
}

/** All keys as they were made. */
export function unbindAll() {
  changed = {};
  localStorage.removeItem(KEPT);
  tellKeys();
}

/** What hovering over the button of a command says. @param {string} name @param {string} [title] */
export function tipOf(name, title = COMMANDS[name].title) {
  return `${title} (${keysOf(name)[0] ?? "no key"})`;
}

/** Have all buttons say their keys as they are now. */
function tellKeys() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-command]"))) button.title = tipOf(button.dataset.command ?? "");
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
  // Captured, before a list or a button takes the key for itself.
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !isForThePhoto(/** @type {HTMLElement} */ (event.target))) return;
    document.body.classList.add("panning");
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.matches(FIELDS) && !isLeft(event)) return;
    const key = written(event);
    const name = Object.keys(COMMANDS).find((each) => belongs(each) && keysOf(each).includes(key));
    if (!name && /^[1-9]$/.test(key)) {
      number(Number(key) - 1);
      return;
    }
    if (!name && arrows(event)) return;
    // Tab leaves and Enter presses where there is nothing to choose or accept: the page stays usable by keys.
    if (!name || !able(name) || (event.key === "Enter" && target.matches("button, summary, a"))) return;
    if (event.key.includes("Tab") && target !== document.body && target.id !== "canvas") return;
    event.preventDefault();
    run(name);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") document.body.classList.remove("panning");
  });
  window.addEventListener("blur", () => document.body.classList.remove("panning"));
  // A button that was pressed with the mouse does not keep the keys.
  document.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    if (event.detail && button && button === document.activeElement && !button.closest("dialog")) toThePhoto();
  });
}

function toThePhoto() {
  byId("canvas").focus({ preventScroll: true });
}

/**
 * Whether the space bar moves the photo: everywhere but where it types, or presses a button that keys came to; in a
 * list it selects, unless the mouse is over the photo.
 * @param {HTMLElement} target
 */
function isForThePhoto(target) {
  if (document.querySelector("dialog[open]") || target.matches(`button, summary, ${FIELDS}`)) return false;
  return !target.matches("[role=listbox], [role=option]") || byId("canvas").matches(":hover");
}

/**
 * Escape leaves a field. So does Enter where it has nothing to send: in a number it takes what is typed; where nothing
 * is typed it means what it means elsewhere.
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key is a command now
 */
function isLeft(event) {
  const field = /** @type {HTMLInputElement} */ (event.target);
  const isEmpty = field.matches("[type=text], [type=search]") && field.value === "";
  const isAlone = field.matches("[type=number]") && !field.form;
  const isEnd = event.key === "Escape" || (event.key === "Enter" && (isEmpty || isAlone));
  if (!isEnd || event.defaultPrevented || event.isComposing) return false;
  toThePhoto();
  return event.key === "Enter" && isEmpty;
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
