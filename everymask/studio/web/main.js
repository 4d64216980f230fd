// The page: every part is started once, then the session is asked for.

import { attempt, start } from "./core/desk.js";
import { startOutline } from "./core/outline.js";
import { startStage } from "./draw/stage.js";
import { startKeys } from "./input/keys.js";
import { startPointer } from "./input/pointer.js";
import { startBar } from "./panels/bar.js";
import { startFilm } from "./panels/film.js";
import { startFindings } from "./panels/findings.js";
import { startHint } from "./panels/hint.js";
import { startSide } from "./panels/side.js";
import { startTools } from "./panels/tools.js";

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
attempt(start);
