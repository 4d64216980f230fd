"""The audit itself: which differences between two sets it excuses, and which it does not."""

import pytest

from tests.everything.generators import flip_margin

OPTIONS = {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.9}
HW = (100, 100)


def mask(iou=0.9, stability=0.95, bbox=(10, 10, 20, 20), crop=(0, 0, 100, 100), point=(15, 15)):
    return {
        "predicted_iou": iou,
        "stability_score": stability,
        "bbox": list(bbox),
        "crop_box": list(crop),
        "point_coords": [list(point)],
    }


@pytest.mark.parametrize(
    ("one", "others", "margin"),
    [
        (mask(), [], 0.05),
        (mask(iou=0.80001), [], 1e-5),
        (mask(stability=0.90002), [], 2e-5),
        (mask(bbox=(20, 30, 5, 5), crop=(0, 0, 60, 100)), [], 0.05),  # the photo's own edge
        (mask(bbox=(20, 30, 20, 5), crop=(0, 0, 60, 100)), [], 0.0),  # 20 px from the crop's
        (mask(), [mask(iou=0.90001, bbox=(10, 10, 20, 19), point=(16, 15))], 1e-5),  # which of two is better
        (mask(), [mask(iou=0.87, bbox=(10, 10, 20, 14), point=(16, 15))], 1e-9),  # overlap 0.7 exactly
        (mask(), [mask(iou=0.90001, bbox=(60, 60, 20, 20), point=(70, 70))], 0.05),  # far away
    ],
)
def test_margin_is_the_least_of_all_filters(one, others, margin):
    assert flip_margin(one, [one, *others], OPTIONS, HW) == pytest.approx(margin, abs=1e-8)
