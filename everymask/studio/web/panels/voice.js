// Spoken commands: "find the dog", "remove the bottle", "undo", "next photo". The sound goes to the server on this
// machine and nowhere else.

import { run } from "../core/commands.js";
import { attempt } from "../core/desk.js";
import { h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { request } from "../core/server.js";
import { get, set, viewStill } from "../core/store.js";
import { say } from "./notices.js";
import { erase } from "./erasing.js";
import { findWords } from "./words.js";

const LONGEST_MS = 8000;
const PIECE_MS = 250;
const SAYABLE = "Say “find the dog”, “remove the bottle”, “undo” or “next photo”.";

/** @type {MediaRecorder | null} */
let recorder = null;

/** The button; where something is missing it says what. */
export function voiceButton() {
  const button = h("button", { type: "button", class: "plain square microphone", onclick: listen }, icon("microphone"));
  viewStill((state) => {
    const doing = { off: "Speak a command", on: `Listening for ${Math.floor((state.heard * PIECE_MS) / 1000)} s: click when you are done`, thinking: "Understanding" }[state.listening];
    button.setAttribute("aria-label", doing);
    button.setAttribute("aria-pressed", String(state.listening === "on"));
    button.disabled = state.listening === "thinking";
    button.title = state.voice ?? (state.listening === "off" ? `${doing}. ${SAYABLE}` : doing);
  });
  return button;
}

/** Begin to listen; called again, understand what was said. */
export async function listen() {
  const { voice } = get();
  if (voice) return say(voice, "warning");
  if (recorder) return recorder.stop();
  if (!navigator.mediaDevices?.getUserMedia) return say("Browsers give the microphone only to pages of this machine (127.0.0.1) or over https.", "warning");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return say(`The browser gives no microphone: ${/** @type {Error} */ (error).message}.`, "error");
  }
  /** @type {Blob[]} */
  const pieces = [];
  const recording = new MediaRecorder(stream);
  recorder = recording;
  recording.ondataavailable = (event) => set({ heard: pieces.push(event.data) });
  recording.onstop = () => {
    recorder = null;
    for (const track of stream.getTracks()) track.stop();
    understand(new Blob(pieces, { type: recording.mimeType }));
  };
  recording.start(PIECE_MS);
  set({ listening: "on", heard: 0 });
  setTimeout(() => recording.state === "recording" && recording.stop(), LONGEST_MS);
  return say(`Listening. ${SAYABLE}`, "info");
}

/** Do what a recording says. @param {Blob} sound */
export async function understand(sound) {
  set({ listening: "thinking" });
  const heard = await attempt(() => request("POST", "/api/heard", sound));
  set({ listening: "off" });
  if (!heard) return;
  say(`Heard “${heard.text}”.`, "info");
  if (heard.action === "undo" || heard.action === "redo") run(heard.action);
  else if (heard.action === "next" || heard.action === "previous") run(`${heard.action}Photo`);
  else {
    const found = await findWords(heard.words.join(" . "));
    if (found.length && heard.action === "erase") erase(found);
  }
}
