"""Overlays and cutouts: what is tinted, what is not, and which colour belongs to which mask."""

import numpy as np
import pytest

from everymask.errors import InputError, OptionError
from everymask.maskset import Mask, MaskSet
from everymask.media.draw import colour_of, colour_of_identity, cut_out, draw_overlay

HW = (60, 80)


def square(top: int, left: int, side: int, **known) -> Mask:
    pixels = np.zeros(HW, dtype=bool)
    pixels[top : top + side, left : left + side] = True
    return Mask.from_segmentation(pixels, **known)


def grey(value: int = 128) -> np.ndarray:
    return np.full((*HW, 3), value, dtype=np.uint8)


def test_no_masks_leave_the_photo_as_it_is():
    photo = grey()
    assert np.array_equal(draw_overlay(photo, MaskSet([], HW)), photo)


def test_the_photo_given_is_not_changed():
    photo = grey()
    draw_overlay(photo, MaskSet([square(5, 5, 20)]), ids=True)
    assert (photo == 128).all()


def test_pixels_far_from_a_mask_keep_their_colour():
    mask = square(20, 20, 20)
    drawn = draw_overlay(grey(), MaskSet([mask]))
    near = np.zeros(HW, dtype=bool)
    near[17:43, 17:43] = True
    assert (drawn[~near] == 128).all()
    assert (drawn[mask.segmentation] != 128).any(axis=1).all()


def test_inside_is_half_the_photo_and_half_the_colour():
    drawn = draw_overlay(grey(100), MaskSet([square(20, 20, 20)]), colors=[(200, 0, 50)], line=0)
    assert drawn[30, 30].tolist() == [150, 50, 75]


def test_opacity_zero_leaves_outlines_only():
    mask = square(20, 20, 20)
    drawn = draw_overlay(grey(), MaskSet([mask]), opacity=0)
    assert (drawn[25:35, 25:35] == 128).all()
    assert (drawn[20, 25:35] != 128).any()


def test_the_smaller_mask_lies_on_top_in_any_order():
    large, small = square(10, 10, 40), square(20, 20, 10)
    one = draw_overlay(grey(), MaskSet([large, small]), line=0)
    other = draw_overlay(grey(), MaskSet([small, large]), line=0)
    assert np.array_equal(one, other)
    assert one[25, 25].tolist() != one[12, 12].tolist()


@pytest.mark.parametrize("value", [0, 255])
def test_an_outline_stands_out_on_black_and_on_white(value):
    drawn = draw_overlay(grey(value), MaskSet([square(20, 20, 20)]), opacity=0).astype(int)
    differs = np.abs(drawn - value).max(axis=2)
    assert differs[18:42, 18:42].max() > 100


def test_a_mask_hides_the_lines_of_larger_ones_under_it():
    large, small = square(10, 10, 30), square(25, 25, 20)  # the corner of the large one is under the small
    drawn = draw_overlay(grey(), MaskSet([large, small]), opacity=0)
    assert (drawn[39, 12:22] != 128).any(axis=1).all()
    assert (drawn[39, 28:42] == 128).all()
    assert (drawn[28:42, 39:41] == 128).all()


def test_no_outline_runs_along_the_border_of_the_photo():
    whole = Mask.from_segmentation(np.ones(HW))
    drawn = draw_overlay(grey(), MaskSet([whole]), opacity=0)
    assert (drawn == 128).all()


def test_a_colour_does_not_depend_on_order_or_scores():
    masks = MaskSet([square(0, 0, 10), square(30, 30, 10), square(10, 50, 20)])
    drawn = draw_overlay(grey(), masks)
    assert np.array_equal(drawn, draw_overlay(grey(), masks[[2, 0, 1]]))
    assert colour_of(masks[0]) == colour_of(masks[0].replace(predicted_iou=0.5, label="cat"))


def test_a_mask_keeps_its_colour_when_its_edge_moves_a_little():
    known = {"point_coords": [(12.0, 12.0)]}
    assert colour_of(square(5, 5, 14, **known)) == colour_of(square(5, 5, 15, **known))


def test_identities_give_the_same_colour_wherever_the_object_is():
    first = draw_overlay(grey(), [square(0, 0, 9).segmentation], identities=[7], line=0)
    later = draw_overlay(grey(), [square(40, 40, 9).segmentation], identities=[7], line=0)
    assert first[4, 4].tolist() == later[44, 44].tolist()
    assert len({colour_of_identity(number) for number in range(12)}) >= 9


def test_ids_are_written_within_the_mask():
    masks = MaskSet([square(10, 10, 40)])
    plain, numbered = draw_overlay(grey(), masks), draw_overlay(grey(), masks, ids=True)
    changed = (plain != numbered).any(axis=2)
    assert changed.any()
    assert not changed[~masks[0].segmentation].any()


def test_an_id_stands_where_its_mask_is_seen():
    large, middle = square(0, 0, 59), square(15, 15, 30)  # the large one's middle is under the other
    masks = MaskSet([large, middle])
    changed = (draw_overlay(grey(), masks) != draw_overlay(grey(), masks, ids=True)).any(axis=2)
    assert changed[~middle.segmentation].any(), "the large one's number is beside the other"
    assert changed[25:35, 25:35].any()


def test_a_covered_mask_has_no_number_to_mislead():
    left, right = np.zeros(HW), np.zeros(HW)
    left[:, :40], right[:, 40:] = 1, 1
    masks = MaskSet([Mask.from_segmentation(each) for each in (left, right, left + right)])
    changed = (draw_overlay(grey(), masks) != draw_overlay(grey(), masks, ids=True)).any(axis=2)
    assert not changed[:, 34:46].any()


def test_an_empty_mask_and_one_pixel_are_drawn_without_fuss():
    masks = MaskSet([Mask.from_segmentation(np.zeros(HW)), square(0, 0, 1)])
    drawn = draw_overlay(grey(), masks, ids=True)
    assert drawn.shape == (*HW, 3)


def test_boolean_arrays_are_taken_too():
    mask = square(10, 10, 20)
    assert np.array_equal(
        draw_overlay(grey(), mask.segmentation[None]), draw_overlay(grey(), MaskSet([mask]))
    )


def test_a_cutout_is_the_object_alone():
    photo = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)
    pixels = np.zeros(HW, dtype=bool)
    pixels[3, 4] = pixels[4, 5] = True
    cut = cut_out(photo, Mask.from_segmentation(pixels))
    assert cut[..., 3].tolist() == [[255, 0], [0, 255]]
    assert cut[0, 0, :3].tolist() == photo[3, 4].tolist()
    assert cut[0, 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("photo", "options", "message"),
    [
        (np.zeros((60, 80)), {}, r"a photo must be RGB uint8 of shape \(H, W, 3\), got float64 \(60, 80\)"),
        (np.zeros((6, 8, 3), np.uint8), {}, r"mask 0 is of \(60, 80\) pixels .* the photo of \(6, 8\)"),
        (grey(), {"opacity": 2}, "opacity must be between 0 and 1, got 2"),
        (grey(), {"colors": []}, "colors must have one entry a mask, 1; got 0"),
        (grey(), {"identities": [1, 2]}, "identities must have one entry a mask, 1; got 2"),
    ],
)
def test_what_does_not_fit_is_refused(photo, options, message):
    with pytest.raises((InputError, OptionError), match=message):
        draw_overlay(photo, MaskSet([square(5, 5, 5)]), **options)
