// The page: every part is started once, then the session is asked for.

import { attempt, start } from "./core/desk.js";
import { startOutline } from "./core/outline.js";
import { startStage } from "./draw/stage.js";
import { startKeys } from "./input/keys.js";
import { startPointer } from "./input/pointer.js";
import { startBar } from "./panels/bar.js";
import { startExport } from "./panels/export.js";
import { startFilm } from "./panels/film.js";
import { startFindings } from "./panels/findings.js";
import { startHint } from "./panels/hint.js";
import { startSide } from "./panels/side.js";
import { startTools } from "./panels/tools.js";
import { openClip, startClips } from "./video/clip.js";
import { startTimeline } from "./video/timeline.js";

startStage();
startBar();
startTools();
startSide();
startFilm();
startHint();
startFindings();
startOutline();
startPointer();
startKeys();
startExport();
startClips();
startTimeline();
attempt(start).then((clip) => (typeof clip === "number" ? openClip(clip) : undefined));
