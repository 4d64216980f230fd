// The object being prompted: its answers with scores, accept and cancel.

import { pick } from "../core/commands.js";
import { h, list } from "../core/dom.js";
import { commandButton } from "./bar.js";
import { drawThumbnail } from "./thumbnails.js";

/** @typedef {import("../core/types.js").State} State */

/** The card. @returns {{element: HTMLElement, show: (state: State, before: State) => void}} */
export function draftCard() {
  const title = h("h2", {});
  const answers = h("div", { class: "answers", role: "radiogroup", "aria-label": "Answers" });
  const note = h("p", { class: "faint" });
  const [next, add, takeAway] = matchMedia("(pointer: coarse)").matches ? ["Tap another answer", "Tap", "press long"] : ["Tab for the next answer", "Click", "right-click"];
  const element = h("section", { class: "draft", "aria-label": "Object being prompted" }, title, answers, note, h("div", { class: "row" }, commandButton("cancel", "Cancel", "plain"), commandButton("accept", "Accept", "primary")));
  return {
    element,
    show(state, before) {
      if (state.photo === before.photo && state.activeClass === before.activeClass) return;
      const { photo } = state;
      element.hidden = !photo?.draft || state.clip !== null; // in a clip the list of objects says it
      if (!photo?.draft || state.clip) return;
      const { draft, reply } = photo;
      title.textContent = draft.target === null ? "New mask" : `Correcting mask ${draft.target}`;
      const candidates = (reply?.candidates ?? []).map((candidate, place) => ({ candidate, place }));
      list(
        answers,
        candidates,
        ({ place }) => `${place}${photo.version}`,
        ({ place, candidate }) => {
          const canvas = h("canvas", { width: 84, height: 60, "aria-hidden": "true" });
          drawThumbnail(canvas, candidate, [0, 0, photo.size[1] - 1, photo.size[0] - 1], photo.size, "#4da3ff");
          return h("button", { class: "answer", role: "radio", onclick: () => pick(place) }, canvas, h("span", { class: "number" }));
        },
        (button, { candidate, place }) => {
          button.setAttribute("aria-checked", String(place === reply?.chosen));
          const score = Math.round(100 * candidate.score);
          const key = candidates.length > 1 ? `${place + 1} · ` : "";
          /** @type {HTMLElement} */ (button.lastChild).textContent = `${key}${score}%`;
          button.title = `Answer ${place + 1}, the model expects an IoU of ${score}%`;
        },
      );
      const disobeyed = reply?.disobeyed ?? 0;
      note.classList.toggle("trouble", disobeyed > 0);
      note.textContent = disobeyed ? `The model does not follow ${disobeyed === 1 ? "one click" : `${disobeyed} clicks`}. Click again near it, or use brush and eraser.` : candidates.length > 1 ? `${next}. ${add} again to correct.` : draft.steps.length ? `${add} where something is missing, ${takeAway} where it is too much.` : `${add} what is missing, ${takeAway} what is too much.`;
    },
  };
}
