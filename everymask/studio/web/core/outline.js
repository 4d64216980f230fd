// The polygon view: the corners of the selected mask, fetched at the detail that is wanted.

import { act, attempt, unsettled } from "./desk.js";
import { request } from "./server.js";
import { get, set, view } from "./store.js";

/** @typedef {[number, number]} Corner */

let wanted = "";
let held = false;

/**
 * While a corner is held, answers about the mask as it was before do not take it out of the hand.
 * @param {boolean} isHeld
 */
export function holdOutline(isHeld) {
  if (held && !isHeld) wanted = ""; // look again
  held = isHeld;
}

/** Begin to follow the tool, the selection and the slider. */
export function startOutline() {
  view((state) => {
    const { tool, selected, photo, detail, outline } = state;
    const mask = tool === "polygon" && selected.size === 1 ? photo?.masks.get([...selected][0]) : undefined;
    const key = mask && photo ? `${photo.id} ${photo.frame} ${photo.version} ${mask.id} ${detail}` : "";
    if (key === wanted || held || unsettled()) return;
    wanted = key;
    if (!mask || !photo) {
      if (outline) set({ outline: null });
      return;
    }
    attempt(async () => {
      const rings = await request("GET", `${photo.base ?? `/api/photos/${photo.id}`}/masks/${mask.id}/outline?detail=${detail}`);
      if (wanted !== key) return;
      if (held || unsettled()) wanted = ""; // corners were moved meanwhile: look again
      else set({ outline: { mask, rings } });
    });
  });
}

/**
 * The corner near a place of the photo: which ring, which corner of it.
 * @param {Corner} at
 * @param {number} reach in pixels of the photo
 * @returns {[number, number] | null}
 */
export function cornerAt(at, reach) {
  let found = null;
  let nearest = reach;
  get().outline?.rings.forEach((ring, r) =>
    ring.forEach(([x, y], c) => {
      const distance = Math.hypot(x - at[0], y - at[1]);
      if (distance <= nearest) [found, nearest] = [/** @type {[number, number]} */ ([r, c]), distance];
    }),
  );
  return found;
}

/**
 * A new corner where an edge passes near a place: which ring, which corner it becomes.
 * @param {Corner} at
 * @param {number} reach
 * @returns {[number, number] | null}
 */
export function splitEdgeAt(at, reach) {
  const { outline } = get();
  if (!outline) return null;
  for (const [r, ring] of outline.rings.entries()) {
    for (const [c, [x0, y0]] of ring.entries()) {
      const [x1, y1] = ring[(c + 1) % ring.length];
      const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
      const share = length ? ((at[0] - x0) * (x1 - x0) + (at[1] - y0) * (y1 - y0)) / length : 0;
      if (share <= 0 || share >= 1) continue;
      if (Math.hypot(x0 + share * (x1 - x0) - at[0], y0 + share * (y1 - y0) - at[1]) > reach) continue;
      change(r, [...ring.slice(0, c + 1), at, ...ring.slice(c + 1)]);
      return [r, c + 1];
    }
  }
  return null;
}

/**
 * @param {[number, number]} which ring, corner
 * @param {Corner} at
 */
export function moveCorner([r, c], at) {
  const ring = get().outline?.rings[r];
  if (ring) change(r, ring.map((corner, place) => (place === c ? at : corner)));
}

/** Take a corner away; a ring of three goes whole, unless it is the only one. @param {[number, number]} which */
export function dropCorner([r, c]) {
  const { outline } = get();
  if (!outline) return;
  const ring = outline.rings[r];
  if (ring.length > 3) change(r, ring.filter((_, place) => place !== c));
  else if (outline.rings.length > 1) set({ outline: { ...outline, rings: outline.rings.filter((_, place) => place !== r) } });
  keepOutline();
}

/** Give the mask the pixels within its corners as they are now. */
export function keepOutline() {
  const { outline } = get();
  if (outline) act({ type: "polygon", mask: outline.mask.id, rings: outline.rings });
}

/**
 * @param {number} r
 * @param {Corner[]} ring
 */
function change(r, ring) {
  const { outline } = get();
  if (outline) set({ outline: { ...outline, rings: outline.rings.map((other, place) => (place === r ? ring : other)) } });
}
