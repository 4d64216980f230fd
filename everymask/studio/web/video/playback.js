// Playing: frame after frame at the clip's rate, no faster than the pictures come.

import { get } from "../core/store.js";
import { goTo, setClip, wantedFrame } from "./clip.js";
import { isHere } from "./pictures.js";

let due = 0;

/** Play, or stop playing. From the last frame it begins anew. */
export async function playOrPause() {
  const clip = get().clip;
  if (!clip) return;
  if (clip.playing) {
    setClip({ playing: false });
    return;
  }
  setClip({ playing: true, follow: false });
  if (clip.frame >= clip.length - 1) await goTo(0);
  due = performance.now();
  requestAnimationFrame(tick);
}

/** @param {number} now */
function tick(now) {
  const clip = get().clip;
  if (!clip?.playing) return;
  const next = clip.frame + 1;
  if (next >= clip.length) {
    setClip({ playing: false });
    return;
  }
  const step = 1000 / clip.frames_per_second;
  if (now >= due && (isHere(clip, next) || wantedFrame() !== next)) {
    due = Math.max(due + step, now); // late frames are not made up for by a rush
    goTo(next);
  }
  requestAnimationFrame(tick);
}
