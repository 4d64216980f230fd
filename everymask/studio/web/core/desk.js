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
/** What is being opened: of several, photos and clips, the one asked for last. */
let opening = 0;
/** The photo that is being opened. @type {number | null} */
let heading = null;
/** Photos that are encoded, also those that were so before they were open here. @type {Set<number>} */
const encoded = new Set();

/** Begin: what there is, and the photo that was open last. */
export async function start() {
  const { photos, clips, clip, classes, formats, clip_formats: clipFormats, presets, preset, voice, photo, ...session } = await request("GET", "/api/session");
  set({ photos, clips, classes, formats, clipFormats, presets, preset, voice, session, activeClass: classes[0]?.name ?? null });
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
  const isNewest = newestOpening();
  heading = id;
  await idle();
  if (!isNewest()) return;
  set({ clip: null, ...(get().clip ? { photo: null } : {}), hover: null, pointed: null, beneath: null, selected: new Set(), pending: [], findings: null, thresholds: {}, rubber: null, stroke: null, strokes: [], ring: [] });
  await attempt(async () => {
    const facts = await request("GET", `/api/photos/${id}`).catch((error) => {
      if (isNewest() && error instanceof Refused) set({ photo: null, failed: { id, name: get().photos.find((row) => row.id === id)?.name ?? "", why: error.message } });
      else throw error;
    });
    if (!isNewest() || !facts) return;
    const photo = photoOf(facts, get().photo?.id === id ? get().photo : null);
    const same = get().photo?.id === id;
    set({ photo, failed: null, ...(same ? {} : { camera: fitting(photo.size, get().stage) }) });
  });
  if (isNewest()) heading = null;
}

/** A photo or clip is to be opened: whether none was asked for since. @returns {() => boolean} */
export function newestOpening() {
  const turn = ++opening;
  heading = null;
  return () => turn === opening;
}

/** The number of the photo that is open or being opened, or was to be. */
export function here() {
  return heading ?? get().photo?.id ?? get().failed?.id;
}

/** Bring the open photo up to date with the server. */
export async function reload() {
  const id = get().photo?.id;
  if (id === undefined) return;
  await attempt(async () => {
    const facts = await request("GET", `/api/photos/${id}`);
    const now = get().photo;
    if (now?.id !== id || facts.version < now.version) return; // what was answered meanwhile is newer
    const photo = photoOf(facts, now);
    set({ photo, pending: [], photos: noted(id, { masks: photo.masks.size }) });
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

/** @typedef {import("./types.js").Action} Action */
/** @typedef {{act: (action: Action) => Promise<boolean>, make: (action: Action) => Promise<number[]>, undo: () => Promise<boolean>, redo: () => Promise<boolean>}} Taker */

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
let waiting = 0;

/** When everything that was asked is done. */
export function idle() {
  return last;
}

/** Whether something that was asked is not answered yet, so that what is shown is about to change. */
export function unsettled() {
  return waiting > 0;
}

/**
 * Work after all that was asked before it, one at a time.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export function queued(work) {
  waiting++;
  const turn = last.then(work).finally(() => waiting--);
  last = turn.catch(() => undefined);
  return turn;
}

/**
 * Do something to the masks. Resolves to whether it was done. An action that depends on what those before it lead
 * to is given as a function of the photo; it may find that there is nothing to do.
 * @param {Action} action
 * @returns {Promise<boolean>}
 */
export function act(action) {
  if (get().clip && taker) return taker.act(action);
  return enqueue((photo) => post(photo, action)).then(Boolean);
}

/**
 * @param {Photo} photo
 * @param {Action} action
 */
function post(photo, action) {
  const said = typeof action === "function" ? action(photo) : action;
  return said && request("POST", `/api/photos/${photo.id}/actions`, { version: photo.version, action: said });
}

/**
 * Masks that are on their way and will be selected, unless a person selects something else before.
 * @type {{since: Set<number>, made: number[]} | null}
 */
let coming = null;

/**
 * Something is asked for that makes or changes masks, which are to be selected then: say which they are while it is
 * its turn, and that it is over. What a person has selected meanwhile stays.
 */
export function making() {
  const mine = (coming = { since: get().selected, made: /** @type {number[]} */ ([]) });
  return {
    /** @param {number[]} ids */
    are(ids) {
      mine.made = ids;
    },
    over() {
      if (mine.made.length && get().selected === mine.since) set({ selected: new Set(mine.made) });
      if (coming === mine) coming = null;
      return mine.made;
    },
  };
}

/**
 * Do something that makes or changes masks, and select them. Resolves to their numbers.
 * @param {Action} action
 * @returns {Promise<number[]>}
 */
export async function make(action) {
  if (get().clip && taker) return taker.make(action);
  const masks = making();
  await enqueue(async (photo) => {
    const outcome = await post(photo, action);
    masks.are(Object.entries(outcome?.patch.masks ?? {}).filter(([, values]) => values).map(([id]) => Number(id)));
    return outcome;
  });
  return masks.over();
}

/**
 * The one mask that is selected, or will be: what a gesture made now is about, asked for when it is its turn.
 * @returns {() => number | null}
 */
export function target() {
  const { selected } = get();
  const awaited = coming?.since === selected ? coming : null;
  return () => {
    const ids = awaited?.made.length ? awaited.made : [...selected];
    return ids.length === 1 ? ids[0] : null;
  };
}

export function undo() {
  if (get().clip && taker) return taker.undo();
  return enqueue((photo) => (photo.undo ? request("POST", `/api/photos/${photo.id}/undo`, { version: photo.version }) : null)).then(Boolean);
}

export function redo() {
  if (get().clip && taker) return taker.redo();
  return enqueue((photo) => (photo.redo ? request("POST", `/api/photos/${photo.id}/redo`, { version: photo.version }) : null)).then(Boolean);
}

/**
 * @param {(photo: Photo) => Promise<any> | null} send
 * @returns {Promise<any>} the outcome, null where there is none
 */
function enqueue(send) {
  const id = get().photo?.id;
  return queued(async () => {
    const photo = get().photo;
    if (!photo || photo.id !== id) return null;
    set({ busy: get().busy + 1 });
    try {
      const outcome = await send(photo);
      if (outcome) apply(outcome, photo.id);
      return outcome;
    } catch (error) {
      await recover(error);
      return null;
    } finally {
      set({ busy: get().busy - 1 });
    }
  });
}

/**
 * What changed, into the state.
 * @param {any} outcome
 * @param {number} id of the photo that it is about: another one may be open by now
 */
function apply(outcome, id) {
  const { patch } = outcome;
  if (outcome.classes) takeClasses(outcome);
  if ("done" in patch) set({ photos: noted(id, { done: patch.done }) });
  const photo = get().photo;
  if (photo?.id !== id) {
    if (patch.masks) relist();
    return;
  }
  const change = /** @type {Partial<Photo>} */ ({ version: outcome.version, undo: outcome.undo, redo: outcome.redo });
  if (patch.masks || patch.order) change.masks = mended(photo, patch);
  if ("draft" in patch) {
    change.draft = patch.draft;
    change.reply = replyOf(outcome.reply);
    if (outcome.reply_error) say(outcome.reply_error, "error");
  }
  const masks = change.masks ?? photo.masks;
  set({ photo: { ...photo, ...change }, pending: [], selected: only(get().selected, masks), ...("draft" in patch ? { hover: null } : {}), photos: noted(photo.id, { masks: masks.size }) });
}

/**
 * What is selected, without what is gone: the same set where nothing is.
 * @param {Set<number>} selected
 * @param {{has: (id: number) => boolean}} there
 */
export function only(selected, there) {
  const left = [...selected].filter((id) => there.has(id));
  return left.length === selected.size ? selected : new Set(left);
}

/**
 * Another list of classes, or other names.
 * @param {{classes: import("./types.js").ClassRow[], renamed: [string, string] | null}} news
 */
export function takeClasses({ classes, renamed }) {
  const before = get();
  const active = renamed && before.activeClass === renamed[0] ? renamed[1] : before.activeClass;
  const isListed = (/** @type {import("./types.js").ClassRow[]} */ rows) => rows.some((row) => row.name === before.activeClass);
  const isGone = active === before.activeClass && isListed(before.classes) && !isListed(classes);
  set({ classes, activeClass: isGone ? null : active });
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

/** Have the lists of photos and clips anew. */
export function relist() {
  request("GET", "/api/session").then(({ photos, clips }) => set({ photos, clips }), () => undefined);
}

/**
 * The list of photos, with something known of one.
 * @param {number} id
 * @param {Partial<import("./types.js").PhotoRow>} facts
 */
export function noted(id, facts) {
  const { photos } = get();
  const row = /** @type {any} */ (photos.find((each) => each.id === id));
  const isNews = row && Object.entries(facts).some(([name, value]) => row[name] !== value);
  return isNews ? photos.map((each) => (each === row ? { ...each, ...facts } : each)) : photos;
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
    if (event.by === TAB) return; // it came with the answer, and others may have been answered since
    if ("done" in event.patch) set({ photos: noted(event.photo, { done: event.patch.done }) });
    if (event.photo === photo?.id && event.version > (photo?.version ?? 0)) {
      say("Changed in another tab.", "info");
      reload();
    } else if (event.photo !== photo?.id && event.patch.masks) relist();
  } else if (event.type === "classes") {
    if (event.by !== TAB) takeClasses(event); // to the tab that asked it came with the answer
    if (event.by !== TAB && event.renamed) restore(); // masks that are open here may be called after it
  } else if (event.type === "files") {
    relist();
  } else if (event.type === "view") {
    encoded.delete(event.photo);
    if (event.photo === photo?.id && photo) setPhoto({ look: photo.look + 1, encoded: false });
  }
  for (const ear of ears) ear(event);
}
