// Undo while a polygon is drawn: its corners go one by one, and come back.

import { get, set } from "./store.js";

/** @typedef {[number, number]} Corner */

/** What was taken back to come to these corners, the next one first; others have nothing to put back. @type {WeakMap<Corner[], Corner[]>} */
const taken = new WeakMap();

/** Whether there is a corner to take back (-1) or to put back (1). @param {-1 | 1} way */
export function canStep(way) {
  const { ring } = get();
  return (way < 0 ? ring : taken.get(ring) ?? []).length > 0;
}

/** Take the last corner back (-1), or put it back (1). @param {-1 | 1} way */
export function step(way) {
  const { ring } = get();
  const later = taken.get(ring) ?? [];
  const [now, rest] = way < 0 ? [ring.slice(0, -1), [ring[ring.length - 1], ...later]] : [[...ring, later[0]], later.slice(1)];
  taken.set(now, rest);
  set({ ring: now });
}
