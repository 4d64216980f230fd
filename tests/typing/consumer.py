"""A program that uses the public names as a reader of the docs would: ``mypy --strict`` must be content.

Not run, only checked (``make lint``): ``assert_type`` fails where a name has lost its type.
"""

from typing import Any, assert_type

import numpy as np

import everymask as em


def every_object(path: str) -> list[dict[str, Any]]:
    masks = em.segment(path, progress=True)
    assert_type(masks, em.MaskSet)
    assert_type(em.segment([path, path]), list[em.MaskSet])
    large = (masks + masks).filter(min_area=500).sorted_by("area")
    assert_type(large, em.MaskSet)
    assert_type(large[0], em.Mask)
    assert_type(large[:2], em.MaskSet)
    assert_type(large[0].area, int)
    assert_type(large[0].predicted_iou, float | None)
    large.save("out.json", format="coco")
    return large.to_dicts("coco_rle")


def one_object(path: str) -> float:
    model = em.load("nano", device="cpu")
    assert_type(model, em.PromptableModel)
    predictor = em.ImagePredictor(model)
    predictor.set_image(path)
    answer = predictor.predict(points=[(300, 60)], labels=[1])
    best = answer.best().to_mask_set()
    assert_type(best, em.MaskSet)
    return float(answer.scores.max())


def generated(photo: "np.ndarray[Any, Any]") -> em.MaskSet:
    generator = em.AutomaticMaskGenerator(em.load("nano"), points_per_side=16)
    return generator.generate(photo, progress=lambda state: print(state.points_done))


def followed(path: str) -> None:
    tracker = em.VideoTracker(em.load("nano"))
    session = tracker.open(path)
    session.add_prompt(frame=0, object_id=1, points=[(210, 350)], labels=[1])
    for frame in session.propagate():
        assert_type(frame.object_ids, tuple[int, ...])
        assert_type(frame.mask_set(), em.MaskSet)


def errors() -> None:
    try:
        em.read_photo("nothing.jpg")
    except em.EverymaskError as error:
        raise SystemExit(str(error)) from error
