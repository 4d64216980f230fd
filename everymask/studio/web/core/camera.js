// Where the photo lies on the stage. screen = (photo - origin) * scale.

/** @typedef {import("./types.js").Camera} Camera */

const LARGEST = 40;

/**
 * The photo as large as it fits, with a margin, in the middle.
 * @param {[number, number]} size height, width
 * @param {{width: number, height: number}} stage
 * @returns {Camera}
 */
export function fitting(size, stage) {
  const margin = Math.min(24, stage.width / 20);
  const scale = Math.max(1e-4, Math.min((stage.width - 2 * margin) / size[1], (stage.height - 2 * margin) / size[0], 4));
  return { scale, x: (size[1] - stage.width / scale) / 2, y: (size[0] - stage.height / scale) / 2, fits: true };
}

/**
 * @param {Camera} camera
 * @param {number} x on the stage
 * @param {number} y
 * @returns {[number, number]} in pixels of the photo
 */
export function toPhoto(camera, x, y) {
  return [x / camera.scale + camera.x, y / camera.scale + camera.y];
}

/**
 * @param {Camera} camera
 * @param {number} x in pixels of the photo
 * @param {number} y
 * @returns {[number, number]} on the stage
 */
export function toStage(camera, x, y) {
  return [(x - camera.x) * camera.scale, (y - camera.y) * camera.scale];
}

/**
 * Zoomed so that what lies at a place of the stage stays there.
 * @param {Camera} camera
 * @param {number} factor
 * @param {number} x
 * @param {number} y
 * @param {[number, number]} size
 * @returns {Camera}
 */
export function zoomed(camera, factor, x, y, size) {
  const smallest = 32 / Math.max(size[0], size[1]);
  const scale = Math.min(LARGEST, Math.max(Math.min(smallest, camera.scale), camera.scale * factor));
  const [photoX, photoY] = toPhoto(camera, x, y);
  return { scale, x: photoX - x / scale, y: photoY - y / scale };
}

/**
 * Moved by a way on the stage, with some of the photo kept in sight.
 * @param {Camera} camera
 * @param {number} dx
 * @param {number} dy
 * @param {[number, number]} size
 * @param {{width: number, height: number}} stage
 * @returns {Camera}
 */
export function panned(camera, dx, dy, size, stage) {
  const kept = 48 / camera.scale;
  const limit = (/** @type {number} */ value, /** @type {number} */ shown, /** @type {number} */ whole) => Math.min(whole - kept, Math.max(kept - shown, value));
  return {
    scale: camera.scale,
    x: limit(camera.x - dx / camera.scale, stage.width / camera.scale, size[1]),
    y: limit(camera.y - dy / camera.scale, stage.height / camera.scale, size[0]),
  };
}
