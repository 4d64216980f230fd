// Which colour a mask has: that of its class, or one of its number.

import { colourOfNumber } from "../draw/paint.js";

/**
 * @param {{id: number, label: string | null}} mask
 * @param {import("./types.js").ClassRow[]} classes
 * @returns {string} "#rrggbb"
 */
export function colourOf(mask, classes) {
  const row = mask.label === null ? undefined : classes.find((each) => each.name === mask.label);
  return row?.color ?? colourOfNumber(mask.id);
}
