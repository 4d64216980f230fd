// A photo, clicks on it, and the mask that they mean. State is one object; draw() shows it.

const LARGEST = 2048; // the longer side, in pixels, that a photo is taken in at
const COLOUR = [30, 120, 255];

/** @typedef {{x: number, y: number, include: boolean}} Click */

const state = {
  /** @type {ImageData | null} */ photo: null,
  /** @type {Click[]} */ clicks: [],
  /** @type {Uint8Array | null} */ mask: null,
  /** @type {{x: number, y: number} | null} of the keys */ cross: null,
  asked: 0,
};

/** @type {<T extends HTMLElement>(id: string) => T} */
const element = (id) => /** @type {any} */ (document.getElementById(id));
const file = /** @type {HTMLInputElement} */ (element("file"));
const [photo, over] = [element("photo"), element("mask")].map((each) => /** @type {HTMLCanvasElement} */ (each));
const [undo, clear, save] = ["undo", "clear", "save"].map((id) => /** @type {HTMLButtonElement} */ (element(id)));

// --- the model, in a worker ---------------------------------------------------------------------

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
/** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let calls = 0;

worker.onmessage = ({ data: { id, answer, error } }) => {
  const call = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) call?.resolve(answer);
  else call?.reject(new Error(error));
};
worker.onerror = (event) => {
  for (const call of waiting.values()) call.reject(new Error(event.message || "the worker could not start"));
  waiting.clear();
};

/**
 * @param {"open" | "encode" | "ask"} task
 * @param {any} [about]
 * @returns {Promise<any>}
 */
function call(task, about) {
  const id = ++calls;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, task, about });
  });
}

// --- what can be done ---------------------------------------------------------------------------

/** @param {Blob} blob */
async function show(blob) {
  say("Looking at the photo…");
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  for (const canvas of [photo, over]) [canvas.width, canvas.height] = [width, height];
  const context = context2d(photo);
  context.drawImage(bitmap, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  Object.assign(state, { photo: null, clicks: [], mask: null, cross: null });
  draw();
  const began = performance.now();
  await call("encode", { rgba: pixels.data, width, height });
  state.photo = pixels;
  say(`Ready in ${seconds(began)}: click on an object.`);
}

/** Ask for the mask of the clicks as they are; an answer to older clicks is dropped. */
async function ask() {
  const asked = ++state.asked;
  draw();
  if (!state.clicks.length) {
    state.mask = null;
    say("Click on an object.");
    return draw();
  }
  const began = performance.now();
  const { mask, score } = await call("ask", { clicks: state.clicks });
  if (asked !== state.asked) return undefined;
  state.mask = mask;
  const area = mask.reduce((/** @type {number} */ sum, /** @type {number} */ value) => sum + value, 0);
  say(`${area} pixels, predicted IoU ${score.toFixed(2)}, ${seconds(began)}.`);
  return draw();
}

/** @param {Click} click */
function add(click) {
  if (!state.photo) return;
  state.clicks = [...state.clicks, click];
  attempt(ask());
}

/** @param {Promise<any>} promise */
function attempt(promise) {
  element("stage").classList.add("busy");
  promise.catch((error) => say(`That failed: ${error.message}`)).finally(() => element("stage").classList.remove("busy"));
}

// --- what is seen -------------------------------------------------------------------------------

function draw() {
  const context = context2d(over);
  const { width, height } = over;
  context.clearRect(0, 0, width, height);
  if (state.mask) context.putImageData(coloured(state.mask, width, height), 0, 0);
  const radius = Math.max(4, Math.round(Math.max(width, height) / 150));
  for (const { x, y, include } of state.clicks) dot(context, x, y, radius, include ? "#1a7f37" : "#cf222e");
  if (state.cross) dot(context, state.cross.x, state.cross.y, radius / 2, "#000");
  undo.disabled = clear.disabled = !state.clicks.length;
  save.disabled = !state.mask;
}

/**
 * @param {Uint8Array} mask
 * @param {number} width
 * @param {number} height
 */
function coloured(mask, width, height) {
  const image = new ImageData(width, height);
  mask.forEach((inside, index) => {
    if (inside) image.data.set([...COLOUR, 130], index * 4);
  });
  return image;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} colour
 */
function dot(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = radius / 3;
  context.strokeStyle = "#fff";
  context.stroke();
}

/** A black and white PNG of the mask, in the size that the photo was taken in at. */
function savePng() {
  const mask = state.mask;
  if (!mask) return;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [over.width, over.height];
  const image = new ImageData(over.width, over.height);
  mask.forEach((inside, index) => image.data.set([255 * inside, 255 * inside, 255 * inside, 255], index * 4));
  context2d(canvas).putImageData(image, 0, 0);
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = "mask.png";
  link.click();
}

/** @param {HTMLCanvasElement} canvas */
function context2d(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}

/** @param {string} text */
function say(text) {
  const status = element("status");
  status.textContent = text;
  status.dataset.said = String(Number(status.dataset.said ?? 0) + 1);
}

/** @param {number} began */
function seconds(began) {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}

// --- who asks for it ----------------------------------------------------------------------------

/** @param {MouseEvent} event */
function placeOf(event) {
  const box = over.getBoundingClientRect();
  const x = ((event.clientX - box.left) * over.width) / box.width;
  const y = ((event.clientY - box.top) * over.height) / box.height;
  return { x, y };
}

over.addEventListener("click", (event) => add({ ...placeOf(event), include: !event.shiftKey }));
over.addEventListener("contextmenu", (event) => {
  event.preventDefault();
  add({ ...placeOf(event), include: false });
});
over.addEventListener("keydown", (event) => {
  const step = Math.max(1, Math.round(over.width / 100));
  /** @type {Record<string, [number, number]>} */
  const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const cross = state.cross ?? { x: over.width / 2, y: over.height / 2 };
  const way = ways[event.key];
  if (way) {
    const within = (/** @type {number} */ value, /** @type {number} */ most) => Math.min(Math.max(value, 0), most);
    state.cross = { x: within(cross.x + way[0], over.width - 1), y: within(cross.y + way[1], over.height - 1) };
    draw();
  } else if (event.key === "Enter") add({ ...cross, include: !event.shiftKey });
  else return;
  event.preventDefault();
});
file.addEventListener("change", () => file.files?.[0] && attempt(show(file.files[0])));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const dropped = event.dataTransfer?.files[0];
  if (dropped) attempt(show(dropped));
});
undo.addEventListener("click", () => {
  state.clicks = state.clicks.slice(0, -1);
  attempt(ask());
});
clear.addEventListener("click", () => {
  state.clicks = [];
  attempt(ask());
});
save.addEventListener("click", savePng);

attempt(call("open").then(async () => show(await (await fetch("photo.jpg")).blob())));
