"""Overlays and cutouts: what is tinted, what is not, and which colour belongs to which mask."""

import numpy as np
import pytest

from everymask.errors import InputError, OptionError
from everymask.maskset import Mask, MaskSet
from everymask.media.colours import PALETTES, colours_of, distance, read_colour, touching_masks
from everymask.media.draw import colour_map, colour_of, colour_of_identity, cut_out, draw_overlay

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
        (np.zeros((6, 8, 3), np.uint8), {}, r"mask 1 is of \(60, 80\) pixels .* the photo of \(6, 8\)"),
        (grey(), {"opacity": 2}, "opacity must be between 0 and 1, got 2"),
        (grey(), {"style": "dots"}, "style must be one of both, fill, outline, got 'dots'"),
        (grey(), {"background": "fog"}, "background must be keep, dim, blur, gray, or a colour such as"),
        (grey(), {"palette": "pale"}, "palette must be one of vivid, safe, got 'pale'"),
        (grey(), {"colors": []}, "colors must have one entry a mask, 1; got 0"),
        (grey(), {"identities": [1, 2]}, "identities must have one entry a mask, 1; got 2"),
    ],
)
def test_what_does_not_fit_is_refused(photo, options, message):
    with pytest.raises((InputError, OptionError), match=message):
        draw_overlay(photo, MaskSet([square(5, 5, 5)]), **options)


def test_touching_masks_never_look_alike():
    """A board of 12 x 16 squares, whose own colours would often meet their like."""
    squares = [square(5 * y, 5 * x, 5) for y in range(12) for x in range(16)]
    for palette, least in (("vivid", 130), ("safe", 100)):
        chosen = colours_of(squares, palette)
        pairs = [(a, b) for a, near in enumerate(touching_masks(squares)) for b in near]
        assert len(pairs) == 2 * (15 * 12 + 11 * 16)
        assert min(distance(chosen[a], chosen[b]) for a, b in pairs) > least
        assert set(chosen) <= set(PALETTES[palette])


def test_masks_that_nothing_touches_keep_their_own_colour():
    masks = [square(0, 0, 9), square(40, 40, 9)]
    assert colours_of(masks) == [colour_of(mask) for mask in masks]


@pytest.mark.parametrize(
    ("style", "inside_changes", "edge_changes"),
    [("fill", True, True), ("outline", False, True), ("both", True, True)],
)
def test_styles_fill_outline_or_both(style, inside_changes, edge_changes):
    drawn = draw_overlay(grey(), MaskSet([square(20, 20, 20)]), style=style)
    assert bool((drawn[30, 30] != grey()[30, 30]).any()) == inside_changes
    assert bool((drawn[20, 20] != grey()[20, 20]).any()) == edge_changes
    if style == "fill":
        assert (drawn[20, 20] == drawn[30, 30]).all(), "no line"


def test_backgrounds_change_only_what_no_mask_covers():
    photo = np.random.default_rng(0).integers(0, 255, (*HW, 3), np.uint8)
    mask = square(20, 20, 20)
    for background in ("dim", "blur", "gray", "white", "#102030"):
        drawn = draw_overlay(photo, MaskSet([mask]), style="fill", opacity=0, background=background)
        assert (drawn[mask.segmentation] == photo[mask.segmentation]).all()
        assert (drawn[~mask.segmentation] != photo[~mask.segmentation]).any()
    assert drawn[0, 0].tolist() == [16, 32, 48]


def test_labels_are_written_with_or_without_numbers_from_one():
    masks = MaskSet([square(5, 5, 50, label="dog")])
    plain, both = draw_overlay(grey(), masks, labels=True), draw_overlay(grey(), masks, labels=True, ids=True)
    bare = draw_overlay(grey(), masks)
    assert (plain != bare).any()
    assert (both != bare).any(axis=2).sum() > (plain != bare).any(axis=2).sum()
    unnamed = MaskSet([square(5, 5, 50)])
    assert np.array_equal(draw_overlay(grey(), unnamed, labels=True), draw_overlay(grey(), unnamed))


def test_letters_beyond_ascii_are_written():
    masks = MaskSet([square(5, 5, 50, label="\u00e9")])
    assert (draw_overlay(grey(), masks, labels=True) != draw_overlay(grey(), masks)).any()


def test_a_colour_map_is_flat_and_black_where_nothing_is():
    picture = colour_map(MaskSet([square(0, 0, 40), square(10, 10, 10)]))
    assert picture[50, 70].tolist() == [0, 0, 0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 3


def test_a_feathered_cutout_fades_inwards_and_not_at_the_photos_border():
    pixels = np.zeros(HW, bool)
    pixels[:, :10] = True  # touches three sides of the photo
    alpha = cut_out(grey(), Mask.from_segmentation(pixels), feather=4)[..., 3]
    assert alpha[30].tolist() == [255, 255, 255, 255, 255, 255, 223, 159, 96, 32]
    assert (alpha == alpha[:1]).all()
    with pytest.raises(OptionError, match="feather must be 0 pixels or more"):
        cut_out(grey(), Mask.from_segmentation(pixels), feather=-1)


def test_a_cutout_on_a_colour_has_no_hole():
    pixels = np.zeros(HW, bool)
    pixels[3, 4] = pixels[4, 5] = True
    cut = cut_out(grey(100), Mask.from_segmentation(pixels), background=read_colour("white"))
    assert cut.tolist() == [[[100] * 3, [255] * 3], [[255] * 3, [100] * 3]]


def test_clicks_and_boxes_are_marked_where_they_were():
    from everymask.media.marks import with_marks

    picture = with_marks(grey(), [(20, 20, 1), (60, 40, 0)], [(5, 5, 75, 55)])
    changed = (picture != grey()).any(axis=2)
    assert changed[5, 40]
    assert not changed[30, 40]
    red, green = (picture[..., channel].astype(int) for channel in (0, 1))
    assert (green - red)[15:25, 15:25].max() > 80, "on the object"
    assert (red - green)[35:45, 55:65].max() > 80, "off it"


def test_pictures_side_by_side_keep_their_shape():
    from everymask.media.captions import side_by_side

    sheet = side_by_side([grey(), grey(), grey()], ["1", "2", "3"])
    assert sheet.shape[1] > 3 * HW[1]
    small = side_by_side([np.zeros((4000, 3000, 3), np.uint8)] * 2, ["1", "2"])
    assert 1000 < small.shape[0] < 1120
    assert 1500 < small.shape[1] < 1600
