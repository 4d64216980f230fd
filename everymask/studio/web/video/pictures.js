// Frames as pictures: fetched once, kept while they are near, the next ones ahead.

import { Refused } from "../core/server.js";

/** @typedef {import("../core/types.js").Clip} Clip */

const KEPT = 48;
const AHEAD = 6;
const SIDE = 1280;

/** @type {Map<string, Promise<HTMLImageElement>>} */
const pictures = new Map();
/** Frames whose picture is here. @type {Set<string>} */
const here = new Set();

/** Forget all pictures: another clip is opened. */
export function forgetPictures() {
  pictures.clear();
  here.clear();
}

/**
 * The picture of a frame.
 * @param {Clip} clip
 * @param {number} frame
 */
export function picture(clip, frame) {
  const key = `${clip.id}/${frame}`;
  let known = pictures.get(key);
  if (known) pictures.delete(key); // the least recently used comes first
  else known = fetched(`/api/clips/${clip.id}/frames/${frame}/picture?side=${SIDE}`, key);
  pictures.set(key, known);
  while (pictures.size > KEPT) {
    const [oldest] = pictures.keys();
    pictures.delete(oldest);
    here.delete(oldest);
  }
  return known;
}

/**
 * Whether a frame can be shown at once.
 * @param {Clip} clip
 * @param {number} frame
 */
export function isHere(clip, frame) {
  return here.has(`${clip.id}/${frame}`);
}

/**
 * Fetch the frames that come next.
 * @param {Clip} clip
 * @param {number} frame
 * @param {number} way
 */
export function ahead(clip, frame, way) {
  for (let step = 1; step <= (clip.playing ? AHEAD : 2); step++) {
    const next = frame + way * step;
    if (next >= 0 && next < clip.length) picture(clip, next).catch(() => undefined);
  }
}

/**
 * @param {string} url
 * @param {string} key
 * @returns {Promise<HTMLImageElement>}
 */
async function fetched(url, key) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    pictures.delete(key);
    throw new Refused(422, `Frame ${Number(key.split("/")[1]) + 1} cannot be read.`);
  }
  here.add(key);
  return image;
}
