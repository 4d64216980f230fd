// Which of a prompt's four masks to show: the rule of everymask.nn.choice.

/**
 * The place of the mask: the best of the last three where the prompt is ambiguous (one click), otherwise the
 * first, or, if that is unstable and the model says so, the best of the others after all.
 * @param {ArrayLike<number>} scores predicted IoU of the four
 * @param {Float32Array} logits of the four, one after the other
 * @param {number} clicks
 * @param {{offset: number, threshold: number} | null} fallback
 */
export function chosen(scores, logits, clicks, fallback) {
  if (clicks === 1) return best(scores);
  if (!fallback) return 0;
  return stability(logits.subarray(0, logits.length / 4), fallback.offset) >= fallback.threshold ? 0 : best(scores);
}

/** @param {ArrayLike<number>} scores */
function best(scores) {
  let place = 1;
  for (let index = 2; index < scores.length; index++) if (scores[index] > scores[place]) place = index;
  return place;
}

/**
 * @param {Float32Array} logits
 * @param {number} offset
 */
export function stability(logits, offset) {
  let inner = 0;
  let outer = 0;
  for (const logit of logits) {
    if (logit > offset) inner++;
    if (logit > -offset) outer++;
  }
  return outer ? inner / outer : 1;
}
