// What the page does: open photos, send actions one after the other, apply what comes back.

import { fitting } from "./camera.js";
import { unpack } from "./runs.js";
import { Live, Refused, TAB, request } from "./server.js";
import { get, set, setPhoto } from "./store.js";
import { say } from "../panels/notices.js";

/** @typedef {import("./types.js").Photo} Photo */
/** @typedef {import("./types.js").MaskView} MaskView */

/** @type {Live} */
let live;
let opening = 0;
/** Photos that are encoded, also those that were so before they were open here. @type {Set<number>} */
const encoded = new Set();

/** Begin: what there is, and the photo that was open last. */
export async function start() {
  const { photos, clips, clip, classes, formats, clip_formats: clipFormats, presets, voice, photo, ...session } = await request("GET", "/api/session");
  set({ photos, clips, classes, formats, clipFormats, presets, voice, session, activeClass: classes[0]?.name ?? null });
  live = new Live(hear, (online) => {
    const back = online && !get().online;
    set({ online });
    if (back) restore();
  });
  if (clip === null && photo !== null) await open(photo);
  return /** @type {number | null} */ (clip);
}

/** @type {(() => Promise<boolean>) | null} */
let other = null;

/**
 * Who brings what is open up to date when the server is back, if it is no photo: it says whether it did.
 * @param {() => Promise<boolean>} bring
 */
export function onReconnect(bring) {
  other = bring;
}

async function restore() {
  if (!(await other?.())) await reload();
}

/**
 * Open a photo.
 * @param {number} id
 */
export async function open(id) {
  await idle();
  const turn = ++opening;
  set({ clip: null, ...(get().clip ? { photo: null } : {}), hover: null, pointed: null, selected: new Set(), pending: [], findings: null, thresholds: {}, rubber: null, stroke: null, ring: [] });
  await attempt(async () => {
    const facts = await request("GET", `/api/photos/${id}`).catch((error) => {
      if (turn === opening && error instanceof Refused) set({ photo: null, failed: { id, name: get().photos.find((row) => row.id === id)?.name ?? "", why: error.message } });
      else throw error;
    });
    if (turn !== opening || !facts) return;
    const photo = photoOf(facts, get().photo?.id === id ? get().photo : null);
    const same = get().photo?.id === id;
    set({ photo, failed: null, ...(same ? {} : { camera: fitting(photo.size, get().stage) }) });
  });
}

/** The number of the photo that is open, or was to be. */
export function here() {
  return get().photo?.id ?? get().failed?.id;
}

/** Bring the open photo up to date with the server. */
export async function reload() {
  const id = get().photo?.id;
  if (id === undefined) return;
  await attempt(async () => {
    const facts = await request("GET", `/api/photos/${id}`);
    if (get().photo?.id !== id) return;
    const photo = photoOf(facts, get().photo);
    set({ photo, pending: [], photos: counted(id, photo.masks.size) });
  });
}

/**
 * @param {any} facts
 * @param {Photo | null} before
 * @returns {Photo}
 */
function photoOf(facts, before) {
  const { document, reply, ...rest } = facts;
  const masks = new Map(document.masks.map((/** @type {any} */ mask) => [mask.id, maskOf(mask, document.size)]));
  return { ...rest, size: document.size, masks, draft: document.draft, reply: replyOf(reply), look: before ? before.look + 1 : 0, encoded: rest.encoded || encoded.has(rest.id) };
}

/**
 * @param {any} values
 * @param {[number, number]} size
 * @returns {MaskView}
 */
export function maskOf(values, size) {
  return { ...values, size, ends: unpack(values.counts) };
}

/** @param {any} reply */
function replyOf(reply) {
  if (!reply) return null;
  return { ...reply, candidates: reply.candidates.map((/** @type {any} */ each) => ({ ...each, ends: unpack(each.counts) })) };
}

// --- actions: one at a time, each for the version that the one before it made ---------------------------

/** @typedef {{act: (action: any) => Promise<boolean>, undo: () => Promise<boolean>, redo: () => Promise<boolean>}} Taker */

/** @type {Taker | null} */
let taker = null;

/**
 * Who takes actions while a clip is open.
 * @param {Taker} desk
 */
export function takeActions(desk) {
  taker = desk;
}

/** @type {Promise<unknown>} */
let last = Promise.resolve();

/** When everything that was asked is done. */
export function idle() {
  return last;
}

/**
 * Do something to the masks. Resolves to whether it was done.
 * @param {object} action
 * @returns {Promise<boolean>}
 */
export function act(action) {
  if (get().clip && taker) return taker.act(action);
  return enqueue((photo) => request("POST", `/api/photos/${photo.id}/actions`, { version: photo.version, action }));
}

export function undo() {
  if (get().clip && taker) return taker.undo();
  return enqueue((photo) => (photo.undo ? request("POST", `/api/photos/${photo.id}/undo`, { version: photo.version }) : null));
}

export function redo() {
  if (get().clip && taker) return taker.redo();
  return enqueue((photo) => (photo.redo ? request("POST", `/api/photos/${photo.id}/redo`, { version: photo.version }) : null));
}

/**
 * @param {(photo: Photo) => Promise<any> | null} send
 * @returns {Promise<boolean>}
 */
function enqueue(send) {
  const id = get().photo?.id;
  const turn = last.then(async () => {
    const photo = get().photo;
    if (!photo || photo.id !== id) return false;
    set({ busy: get().busy + 1 });
    try {
      const outcome = await send(photo);
      if (outcome) apply(outcome);
      return outcome !== null;
    } catch (error) {
      await recover(error);
      return false;
    } finally {
      set({ busy: get().busy - 1 });
    }
  });
  last = turn;
  return turn;
}

/**
 * What changed, into the state.
 * @param {any} outcome
 */
function apply(outcome) {
  const photo = get().photo;
  if (!photo) return;
  const { patch } = outcome;
  const change = /** @type {Partial<Photo>} */ ({ version: outcome.version, undo: outcome.undo, redo: outcome.redo });
  if (patch.masks || patch.order) change.masks = mended(photo, patch);
  if ("draft" in patch) {
    change.draft = patch.draft;
    change.reply = replyOf(outcome.reply);
    if (outcome.reply_error) say(outcome.reply_error, "error");
  }
  const masks = change.masks ?? photo.masks;
  const selected = new Set([...get().selected].filter((id) => masks.has(id)));
  set({ photo: { ...photo, ...change }, pending: [], selected, ...("draft" in patch ? { hover: null } : {}), photos: counted(photo.id, masks.size) });
}

/**
 * @param {Photo} photo
 * @param {any} patch
 */
function mended(photo, patch) {
  const masks = new Map(photo.masks);
  for (const [id, values] of Object.entries(patch.masks ?? {})) {
    if (values === null) masks.delete(Number(id));
    else masks.set(Number(id), maskOf(values, photo.size));
  }
  const order = /** @type {number[] | undefined} */ (patch.order);
  return order ? new Map(order.map((id) => [id, /** @type {MaskView} */ (masks.get(id))])) : masks;
}

/**
 * @param {number} id
 * @param {number} masks
 */
function counted(id, masks) {
  const { photos } = get();
  return photos.some((row) => row.id === id && row.masks !== masks) ? photos.map((row) => (row.id === id ? { ...row, masks } : row)) : photos;
}

/** @param {unknown} error */
async function recover(error) {
  set({ pending: [] });
  if (error instanceof Refused && error.status === 409) {
    say("This photo was changed in another tab. It is up to date again; do it once more.", "warning");
    await reload();
  } else say(error instanceof Refused ? error.message : "The server does not answer. What you accepted is safe.", "error");
}

/**
 * Do something with the server; what it refuses is said.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>}
 */
export async function attempt(work) {
  set({ busy: get().busy + 1 });
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refused) say(error.message, "error");
    else if (error instanceof TypeError && /fetch/i.test(error.message)) say("The server does not answer. What you accepted is safe.", "error");
    else throw error;
  } finally {
    set({ busy: get().busy - 1 });
  }
}

// --- the live channel -----------------------------------------------------------------------------------

let hoverId = 0;

/** @type {((event: any) => void)[]} */
const ears = [];

/**
 * Hear every event of the live channel.
 * @param {(event: any) => void} ear
 */
export function onEvent(ear) {
  ears.push(ear);
}

/**
 * Ask for the mask under the pointer; only the newest answer counts.
 * @param {[number, number]} xy in pixels of the photo
 */
export function hover(xy) {
  const { photo, clip } = get();
  if (!photo?.encoded || photo.draft) return;
  if (clip && (clip.playing || clip.run?.state === "running")) return;
  performance.mark(`hover-${++hoverId}`);
  const frame = clip ? { clip: clip.id, frame: photo.frame } : {};
  live.send({ type: "hover", photo: photo.id, ...frame, x: xy[0], y: xy[1], id: hoverId });
}

/** No mask under the pointer is wanted any more. */
export function unhover() {
  hoverId++;
  if (get().hover) set({ hover: null });
}

/** @param {any} event */
function hear(event) {
  const photo = get().photo;
  if (event.type === "hover") {
    if (event.id === hoverId && event.photo === photo?.id && event.counts && !photo?.draft) {
      set({ hover: { score: event.score, size: event.size, counts: event.counts, ends: unpack(event.counts), xy: get().pointer ?? [0, 0] } });
    }
  } else if (event.type === "hello") {
    for (const id of event.encoded) encoded.add(id);
    if (photo && encoded.has(photo.id)) setPhoto({ encoded: true });
  } else if (event.type === "ready") {
    if (!event.error) encoded.add(event.photo);
    if (event.photo === photo?.id) {
      setPhoto({ encoded: !event.error });
      if (event.error) say(event.error, "error");
    }
  } else if (event.type === "changed") {
    if (event.by !== TAB && event.photo === photo?.id && event.version > (photo?.version ?? 0)) {
      say("Changed in another tab.", "info");
      reload();
    }
  } else if (event.type === "classes") {
    set({ classes: event.classes, activeClass: get().activeClass ?? event.classes[0]?.name ?? null });
  } else if (event.type === "files") {
    request("GET", "/api/session").then(({ photos, clips }) => set({ photos, clips }), () => undefined);
  } else if (event.type === "view") {
    encoded.delete(event.photo);
    if (event.photo === photo?.id && photo) setPhoto({ look: photo.look + 1, encoded: false });
  }
  for (const ear of ears) ear(event);
}
