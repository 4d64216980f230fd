// One line under the photo: what a click does now. And the score of the mask under the pointer.

import { byId } from "../core/dom.js";
import { view, viewStill } from "../core/store.js";

/** @type {Record<import("../core/types.js").Tool, string>} */
const HINTS = {
  click: "Click an object · drag a box · right-click excludes",
  select: "Click a mask · Ctrl for more · double-click to correct it",
  brush: "Paint into the selected mask, or a new one · wheel changes the size",
  erase: "Erase from the selected mask · wheel changes the size",
  polygon: "Click corners, the first one again closes",
  hand: "Drag to move · wheel to zoom",
};

/** What is said otherwise, or not at all, where there are fingers and no keys. @type {[string | RegExp, string][]} */
const BY_FINGER = [
  ["Click", "Tap"],
  ["right-click", "long press"],
  ["double-click", "double tap"],
  ["a click stops", "a tap stops"],
  [" · wheel to zoom", " · two fingers to zoom"],
  ["drag a box · ", ""],
  [/ · (then )?X tracks (on|it)/, ""],
  [/ · (Enter accepts · Esc cancels|Enter: a new object|Esc stops|Enter keeps the rest|wheel changes the size|Ctrl for more)/, ""],
];

/** Build the line. */
export function startHint() {
  const touch = matchMedia("(pointer: coarse)").matches;
  viewStill((state) => {
    const { photo, tool, panel, findings } = state;
    let text = photo ? toolHint(state) : "";
    if (photo && !photo.encoded && tool === "click") text = "Reading the photo …";
    else if (state.clip) text = clipHint(state);
    else if (photo?.draft?.steps.length) text = "Click adds · right-click takes away · Enter accepts · Esc cancels";
    else if (photo?.draft) text = "Click what is missing · right-click what is too much";
    else if (panel === "everything" && findings?.state === "done") text = "Click a mask to throw it away · right-click brings it back · Enter keeps the rest";
    if (touch) for (const [mouse, finger] of BY_FINGER) text = text.replace(mouse, finger);
    byId("hint").textContent = text;
    byId("hint").hidden = !text;
  });
  view(({ hover, photo }, before) => {
    if (hover !== before.hover || photo !== before.photo) byId("hud").textContent = hover && !photo?.draft ? `${Math.round(100 * hover.score)}%` : "";
  });
}

/** @param {import("../core/types.js").State} state */
function toolHint({ tool, outline }) {
  return tool === "polygon" && outline ? "Drag corners or edges · right-click takes a corner away · elsewhere a new one begins" : HINTS[tool];
}

/** @param {import("../core/types.js").State} state */
function clipHint(state) {
  const { clip, tool, selected } = state;
  if (clip?.run?.state === "running") return "Tracking · a click stops it and corrects · Esc stops";
  if (tool !== "click") return toolHint(state);
  if (selected.size === 1) return "Click adds · right-click takes away · X tracks on · Enter: a new object";
  return clip?.objects.size ? "Click a new object, or select one to correct it · X tracks on" : "Click an object · drag a box · then X tracks it";
}
