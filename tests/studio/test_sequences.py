"""Random sequences of actions: the server, a plain model of it, undo and the project file always agree."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from everymask.masks import rle
from everymask.studio.project import Project
from tests.fakes import FakeModel
from tests.studio.harness import running

HEIGHT, WIDTH = 12, 16


class Plain:
    """What the server should do, written to be read: masks as arrays, undo as a list of whole documents."""

    def __init__(self) -> None:
        self.past: list[dict[str, Any]] = [{"masks": {}, "order": [], "steps": None}]
        self.at = 0
        self.next_id = 1

    @property
    def now(self) -> dict[str, Any]:
        return self.past[self.at]

    def do(self, kind: str, first: int, second: int, box: tuple[int, int, int, int]) -> dict[str, Any] | None:
        """The action to send, with its effect here; None where it would be refused (``refused`` says so)."""
        after = copy.deepcopy(self.now)
        masks, order = after["masks"], after["order"]
        ids = [order[n % len(order)] for n in (first, second)] if order else []
        x0, y0, x1, y1 = box
        self.refused = False
        if kind == "polygon":
            pixels = np.zeros((HEIGHT, WIDTH), bool)
            pixels[y0:y1, x0:x1] = True
            masks[self.next_id] = {"pixels": pixels, "label": None, "locked": False}
            order.append(self.next_id)
            action = {"type": kind, "rings": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]]}
        elif kind == "click":
            after["steps"] = [*(after["steps"] or []), ("point", [float(x0), float(y0)], bool(first % 2))]
            action = {"type": kind, "x": x0, "y": y0, "include": bool(first % 2)}
        elif kind == "cancel":
            self.refused = after["steps"] is None
            after["steps"] = None
            action = {"type": kind}
        elif not ids:
            return None
        elif kind == "delete":
            self.refused = masks[ids[0]]["locked"]
            del masks[ids[0]]
            order.remove(ids[0])
            action = {"type": kind, "masks": ids[:1]}
        elif kind == "label":
            self.refused = masks[ids[0]]["locked"]
            masks[ids[0]]["label"] = f"class {second % 3}"
            action = {"type": kind, "masks": ids[:1], "label": f"class {second % 3}"}
        elif kind == "lock":
            masks[ids[0]]["locked"] = bool(second % 2)
            action = {"type": kind, "masks": ids[:1], "locked": bool(second % 2)}
        elif kind == "reorder":
            order.remove(ids[0])
            order.insert(min(second, len(order)), ids[0])
            action = {"type": kind, "masks": ids[:1], "to": second}
        elif ids[0] == ids[1]:
            return None
        elif kind == "merge":
            self.refused = masks[ids[0]]["locked"] or masks[ids[1]]["locked"]
            masks[ids[0]]["pixels"] = masks[ids[0]]["pixels"] | masks[ids[1]]["pixels"]
            del masks[ids[1]]
            order.remove(ids[1])
            action = {"type": kind, "masks": ids}
        else:
            rest = masks[ids[0]]["pixels"] & ~masks[ids[1]]["pixels"]
            self.refused = masks[ids[0]]["locked"] or not rest.any()
            masks[ids[0]]["pixels"] = rest
            action = {"type": "subtract", "masks": ids}
        if not self.refused:
            self._take(after)
        return action

    def _take(self, after: dict[str, Any]) -> None:
        if same(after, self.now):
            return  # what changes nothing makes no history
        self.past = [*self.past[: self.at + 1], after]
        self.at += 1
        self.next_id = max([self.next_id, *(id + 1 for id in after["masks"])])


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return plain(one) == plain(other)


def plain(document: dict[str, Any]) -> Any:
    masks = {
        id: (mask["pixels"].tobytes(), mask["label"], mask["locked"])
        for id, mask in document["masks"].items()
    }
    return masks, document["order"], document["steps"]


def of_server(document: dict[str, Any]) -> Any:
    masks, order = {}, []
    for mask in document["masks"]:
        pixels = np.ascontiguousarray(rle.decode(rle.from_coco({"size": [HEIGHT, WIDTH], **mask})))
        masks[mask["id"]] = {"pixels": pixels, "label": mask["label"], "locked": mask["locked"]}
        order.append(mask["id"])
    draft = document["draft"]
    steps = (
        None if draft is None else [(step["kind"], step["xy"], step["include"]) for step in draft["steps"]]
    )
    return plain({"masks": masks, "order": order, "steps": steps})


KINDS = (
    *("polygon", "polygon", "click", "cancel", "delete", "label", "lock", "reorder", "merge", "subtract"),
    *("undo", "undo", "redo", "stale"),
)
BOXES = st.tuples(st.integers(0, 11), st.integers(0, 8), st.integers(1, 4), st.integers(1, 3))
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5), BOXES), max_size=25)


def run_sequence(studio, photo: int, steps) -> None:
    """Do a sequence on a photo that nobody touched yet."""
    model = Plain()
    version = studio.get(f"/api/photos/{photo}")["version"]
    for kind, first, second, (x, y, width, height) in steps:
        path, body = f"/api/photos/{photo}/actions", {"version": version}
        if kind in ("undo", "redo"):
            path = f"/api/photos/{photo}/{kind}"
            to = model.at + (1 if kind == "redo" else -1)
            expected = 200 if 0 <= to < len(model.past) else 422
            model.at = to if expected == 200 else model.at
        elif kind == "stale":
            body = {"version": version - 1, "action": {"type": "click", "x": 1, "y": 1}}
            expected = 409
        else:
            action = model.do(kind, first, second, (x, y, x + width, y + height))
            if action is None:
                continue
            body["action"] = action
            expected = 422 if model.refused else 200
        answer = studio.client.post(path, json=body)
        assert answer.status_code == expected, (kind, answer.text)
        version = answer.json()["version"] if expected == 200 else version
        facts = studio.get(f"/api/photos/{photo}")
        assert facts["version"] == version
        assert of_server(facts["document"]) == plain(model.now)
        assert (facts["undo"] is None) == (model.at == 0)
        assert (facts["redo"] is None) == (model.at == len(model.past) - 1)


def check(tmp_path, examples: int) -> None:
    """Many sequences, each on a photo of its own; then the file is read without the server."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2 * examples + 40):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), number % 256, np.uint8)).save(photos / f"{number:04}.png")
    with running(photos, FakeModel("sam2")) as studio:
        fresh = iter(range(1, 2 * examples + 41))

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(STEPS)
        def sequences(steps):
            run_sequence(studio, next(fresh), steps)

        sequences()
        last = next(fresh)
        before = {n: studio.get(f"/api/photos/{n}")["document"] for n in range(1, min(last, 30))}
    project = Project(photos / "everymask-studio.db")
    for number, document in before.items():
        assert project.state(number).document.to_json() == document
    project.close()


def test_sequences_of_actions_agree_with_a_plain_model(tmp_path):
    check(tmp_path, 25)


@pytest.mark.full
def test_many_sequences_of_actions_agree_with_a_plain_model(tmp_path):
    check(tmp_path, 200)
