"""Scenes in tiles: the same objects as in one piece, where they are no larger than the overlap."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from everymask.errors import OptionError
from everymask.everything.grid import Crop
from everymask.everything.scene import segment_scene
from everymask.everything.seams import resolve
from everymask.everything.tiles import Tiling, whole_mask
from everymask.formats.outlines import outlines_of
from everymask.maskset import Mask, MaskSet
from everymask.media.rasters import Pixels
from everymask.media.scenes import PhotoScene


def blobs(photo, valid=None):
    """A stand-in for the model: every connected bright place is an object."""
    count, numbers = cv2.connectedComponents((photo[..., 0] > 100).astype(np.uint8), connectivity=4)
    masks = [
        Mask.from_segmentation(numbers == n, predicted_iou=0.9, stability_score=0.95, crop_box=(0, 0, 1, 1))
        for n in range(1, count)
    ]
    return MaskSet(masks, photo.shape[:2])


def scene_of(*shapes, hw=(200, 300)):
    """A dark scene with bright rectangles (x0, y0, x1, y1)."""
    pixels = np.full((*hw, 3), 20, np.uint8)
    for x0, y0, x1, y1 in shapes:
        pixels[y0:y1, x0:x1] = 200
    return pixels


def in_tiles(pixels, folder, tiling=Tiling(64, 24), segment=blobs, valid=None):
    return segment_scene(PhotoScene(Pixels(pixels, valid)), segment, folder, tiling)


def shapes_of(masks):
    return sorted(mask.segmentation.tobytes() for mask in masks)


@pytest.mark.parametrize(
    ("hw", "side", "overlap"), [((200, 300), 64, 16), ((65, 64), 64, 0), ((40, 50), 64, 8)]
)
def test_tiles_cover_the_scene_and_share_at_least_the_overlap(hw, side, overlap):
    tiles = Tiling(side, overlap).tiles(hw)
    seen = np.zeros(hw, int)
    for tile in tiles:
        seen[tile.y0 : tile.y1, tile.x0 : tile.x1] += 1
        assert tile.hw == (min(side, hw[0]), min(side, hw[1]))
    assert seen.min() >= 1
    lefts = sorted({tile.x0 for tile in tiles})
    assert all(b - a <= side - overlap for a, b in pairwise(lefts))


@pytest.mark.parametrize(("side", "overlap", "message"), [
    (16, 0, "a tile must be at least 32 pixels a side, got 16"),
    (64, 33, "tiles of 64 pixels may overlap by 0 to 32 pixels, got 33"),
    (64, -1, "tiles of 64 pixels may overlap by 0 to 32 pixels, got -1"),
])  # fmt: skip
def test_tiles_that_leave_no_room_are_refused(side, overlap, message):
    with pytest.raises(OptionError, match=message):
        Tiling(side, overlap)


def test_objects_no_larger_than_the_overlap_are_those_of_the_whole_scene(tmp_path):
    random = np.random.default_rng(0)
    pixels = scene_of()
    for _ in range(60):
        x, y = random.integers(0, 280), random.integers(0, 180)
        w, h = random.integers(3, 20, 2)
        if not (pixels[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] > 100).any():
            pixels[y : y + h, x : x + w] = 200
    found = in_tiles(pixels, tmp_path)
    whole = blobs(pixels)
    assert found.tiles == 35
    assert len(whole) > 30
    assert shapes_of(found.masks) == shapes_of(whole)


@pytest.mark.parametrize(
    "shape",
    [
        (10, 90, 290, 110),  # across all tiles of a row
        (90, 5, 110, 195),  # down a column
        (20, 20, 250, 180),  # over nearly all
        (0, 0, 300, 200),  # everything
    ],
)
def test_an_object_that_crosses_tiles_becomes_one(tmp_path, shape):
    pixels = scene_of(shape, (2, 2, 5, 5))
    found = in_tiles(pixels, tmp_path)
    whole = blobs(pixels)
    assert shapes_of(found.masks) == shapes_of(whole)
    assert found.joined == 1


def test_what_is_known_of_a_mask_moves_with_it(tmp_path):
    def segment(photo, valid=None):
        return MaskSet(
            [mask.replace(point_coords=[(1.5, 2.5)], crop_box=(0, 0, 64, 64)) for mask in blobs(photo)],
            photo.shape[:2],
        )

    pixels = scene_of((250, 150, 256, 156), hw=(200, 300))
    (mask,) = in_tiles(pixels, tmp_path, segment=segment).masks
    assert mask.bbox == (250, 150, 5, 5)
    x, y = mask.point_coords[0]
    assert mask.crop_box == (x - 1.5, y - 2.5, 64, 64)
    assert mask.predicted_iou == 0.9


def test_doubles_give_way_to_the_better_score():
    tiles = Tiling(64, 32).tiles((64, 96))
    pixels = np.zeros((64, 64), bool)
    pixels[20:30, 40:50] = True  # whole in both tiles
    masks = [
        MaskSet([Mask.from_segmentation(np.roll(pixels, shift, axis=1), predicted_iou=score)])
        for shift, score in ((0, 0.8), (-32, 0.9))
    ]
    seams = resolve(tiles, masks.__getitem__, (64, 96), near=1)
    assert seams.dropped == {(0, 0)}
    assert list(seams.objects([1, 1])) == [((1, 0),)]


def test_a_whole_and_its_part_are_joined_each_with_its_own(tmp_path):
    def segment(photo, valid=None):
        bright = photo[..., 0] > 100
        inner = photo[..., 0] > 220
        found = [Mask.from_segmentation(each, predicted_iou=0.9) for each in (bright, inner) if each.any()]
        return MaskSet(found, photo.shape[:2])

    pixels = scene_of((10, 20, 290, 60))
    pixels[30:50, 30:270] = 250
    found = in_tiles(pixels, tmp_path, segment=segment)
    assert shapes_of(found.masks) == shapes_of(segment(pixels))


def test_an_object_of_any_size_is_put_together_from_its_runs():
    """Three gigapixels: as pixels they would be three gigabytes."""
    hw = (60_000, 50_000)
    tiles = [Crop(0, 0, 1000, 600, 0), Crop(49_000, 59_400, 50_000, 60_000, 0)]
    pieces = [Mask.from_segmentation(np.ones((600, 1000), bool)) for _ in tiles]
    whole = whole_mask([(0, 0), (1, 0)], tiles, pieces, hw)
    assert (whole.area, whole.bbox) == (1_200_000, (0, 0, 49_999, 59_999))
    assert [polygon.shell for polygon in outlines_of(whole)] == [
        [(0, 0), (1000, 0), (1000, 600), (0, 600)],
        [(49_000, 59_400), (50_000, 59_400), (50_000, 60_000), (49_000, 60_000)],
    ]


def test_a_stopped_run_goes_on_and_does_no_tile_twice(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 90, (200, 300, 3), dtype=np.uint8)
    pixels[90:110, 10:290] = pixels[30:40, 30:40] = 200
    calls = []

    def segment(photo, valid=None):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return blobs(photo)

    with pytest.raises(KeyboardInterrupt):
        in_tiles(pixels, tmp_path / "a", segment=segment)
    again = in_tiles(pixels, tmp_path / "a", segment=segment)
    assert len(calls) == again.tiles - again.left_out + 1, "only the tile that was stopped is asked twice"
    assert shapes_of(again.masks) == shapes_of(in_tiles(pixels, tmp_path / "b").masks)


def test_tiles_of_one_colour_are_asked_about_once_for_each_colour(tmp_path):
    asked = []

    def segment(photo, valid=None):
        asked.append(photo[0, 0].tolist())
        return blobs(photo)

    pixels = scene_of((0, 0, 150, 200))
    found = in_tiles(pixels, tmp_path, segment=segment)
    assert shapes_of(found.masks) == shapes_of(blobs(pixels))
    assert asked.count([20, 20, 20]) == 1
    assert len(asked) < found.tiles / 2


def test_tiles_without_data_are_not_asked_about(tmp_path):
    pixels = scene_of((150, 90, 160, 100))
    valid = np.zeros(pixels.shape[:2], bool)
    valid[64:136, 110:200] = True
    asked = []

    def segment(photo, valid):
        asked.append(valid)
        return blobs(photo)

    found = in_tiles(pixels, tmp_path, segment=segment, valid=valid)
    assert len(found.masks) == 1
    assert found.tiles - found.left_out == len(asked) == 12
    assert all(each is None or each.any() for each in asked)
    assert str(found) == f"35 tiles, {found.left_out} without data"


def winding(name):
    """Shapes that come through a tile more than once, clear of themselves."""
    pixels = scene_of()
    if name == "u":
        pixels[30:150, 40:52] = pixels[30:150, 72:84] = pixels[140:152, 40:84] = 200
    elif name == "ring":
        pixels[20:180, 30:270] = 200
        pixels[32:168, 42:258] = 20
    elif name == "comb":
        pixels[150:160, 10:290] = 200
        for left in range(10, 290, 22):
            pixels[20:155, left : left + 10] = 200
    elif name == "meander":
        for row, top in enumerate(range(10, 180, 20)):
            pixels[top : top + 8, 10:290] = 200
            side = 282 if row % 2 else 10
            pixels[top : min(top + 28, 178), side : side + 8] = 200
    else:
        random = np.random.default_rng(int(name))
        path = np.cumsum(random.integers(-14, 15, (60, 2)), axis=0) + np.array([100, 150])
        points = np.clip(path, 6, [193, 293])[:, ::-1].astype(np.int32)
        cv2.polylines(pixels, [points.reshape(-1, 1, 2)], False, (200, 200, 200), 5)
    return pixels


@pytest.mark.parametrize("name", ["u", "ring", "comb", "meander", *map(str, range(12))])
def test_an_object_that_comes_through_a_tile_twice_becomes_one(tmp_path, name):
    pixels = winding(name)
    assert shapes_of(in_tiles(pixels, tmp_path).masks) == shapes_of(blobs(pixels))


def test_objects_that_touch_stay_apart_though_one_tile_takes_them_for_one(tmp_path):
    """A river and its banks, and a tile that sees them as one: that goes with the one it is most like."""
    pixels = scene_of((0, 80, 300, 120))

    def segment(photo, valid=None):
        banks, river = photo[..., 0] < 100, photo[..., 0] > 100
        together = photo[60, 32, 1] == 199
        found = [np.ones_like(river)] if together else [each for each in (river, banks) if each.any()]
        return MaskSet([Mask.from_segmentation(each, predicted_iou=0.9) for each in found], photo.shape[:2])

    left, top = 118, 68  # a tile of the middle
    pixels[top + 60, left + 32, 1] = 199
    largest = in_tiles(pixels, tmp_path, segment=segment).masks.sorted_by("area")[:2]
    for mask, bright in zip(largest, (False, True), strict=True):
        right = (pixels[..., 0] > 100) == bright
        assert (mask.segmentation & right).sum() > 0.85 * mask.area


class Blind:
    """Sees nothing, or a part, in some columns of tiles; when asked at points, sees what is there."""

    def __init__(self, columns, part=0):
        self.lefts, self.part, self.asked, self.stop_at = [LEFTS[each] for each in columns], part, [], 0

    def __call__(self, photo, valid=None):
        masks = blobs(photo)
        if 2 * photo[0, 0, 1] not in self.lefts:
            return masks
        seen = [mask.replace(rle=cut_to(mask, self.part)) for mask in masks]
        return MaskSet([mask for mask in seen if mask.area], photo.shape[:2])

    def ask(self, photo, valid, points_xy):
        if len(self.asked) + 1 == self.stop_at:
            self.stop_at = 0
            raise KeyboardInterrupt
        self.asked.append(points_xy.tolist())
        assert all(photo[y, x, 0] > 100 for x, y in points_xy), "points lie on the object"
        dark = Mask.from_segmentation(photo[..., 0] < 100, predicted_iou=0.99)
        return MaskSet([dark, *blobs(photo)], photo.shape[:2])


def cut_to(mask, columns):
    pixels = mask.segmentation.copy()
    pixels[:, columns:] = False
    return Mask.from_segmentation(pixels).runs


def with_blind_tiles(folder, columns, **options):
    blind = Blind(columns, **options)
    scene = PhotoScene(Pixels(BAR, None))
    return blind, lambda: segment_scene(scene, blind, folder, Tiling(64, 16), ask=blind.ask)


LEFTS = sorted({tile.x0 for tile in Tiling(64, 16).tiles((200, 300))})  # 0, 47, 94, 142, 189, 236
LEFTS = [left // 2 * 2 for left in LEFTS]
BAR = scene_of((10, 90, 290, 110))
BAR[..., 1], BAR[..., 2] = np.arange(300) // 2, np.arange(200)[:, None]  # a tile can be told by its corner


@pytest.mark.parametrize("blind", [[2], [1, 4], [1, 2, 3, 4], [0, 1, 2, 3], [5]])
def test_a_tile_that_misses_an_object_is_asked_where_its_neighbour_saw_it(tmp_path, blind):
    seeing, run = with_blind_tiles(tmp_path, blind)
    found = run()
    assert found.asked_again > 0
    assert shapes_of(found.masks) == shapes_of(blobs(BAR))
    calls = len(seeing.asked)
    assert shapes_of(run().masks) == shapes_of(found.masks)
    assert len(seeing.asked) == calls, "what was answered is kept"


def test_a_tile_that_saw_a_part_gives_way_to_what_it_says_when_asked(tmp_path):
    _, run = with_blind_tiles(tmp_path, [2], part=40)
    assert shapes_of(blobs(BAR))[0] in shapes_of(run().masks)


def test_a_run_stopped_while_tiles_are_asked_again_goes_on(tmp_path):
    seeing, run = with_blind_tiles(tmp_path / "a", [1, 4])
    seeing.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    found = run()
    undisturbed, run = with_blind_tiles(tmp_path / "b", [1, 4])
    assert shapes_of(found.masks) == shapes_of(run().masks)
    assert seeing.asked == undisturbed.asked


def test_answers_unlike_what_the_neighbour_saw_are_not_taken(tmp_path):
    seeing, _ = with_blind_tiles(tmp_path, [2])

    def ask(*asked):
        return seeing.ask(*asked)[:1]  # the ground alone

    found = segment_scene(PhotoScene(Pixels(BAR, None)), seeing, tmp_path, Tiling(64, 16), ask=ask)
    assert seeing.asked
    assert found.asked_again == 0
    assert len(found.masks) == 2


def test_every_step_of_a_scene_is_told_from_its_first_to_its_last_tile(tmp_path):
    seeing, _ = with_blind_tiles(tmp_path, [1, 4])
    told = []
    found = segment_scene(
        PhotoScene(Pixels(BAR, None)), seeing, tmp_path, Tiling(64, 16), told.append, ask=seeing.ask
    )
    steps = [each.doing for each in told if each.done == each.total]
    again = "asking tiles again across seams"
    assert steps[:3] == ["tiles", "comparing neighbours across seams", f"{again}, round 1"]
    assert steps[-1] == "comparing neighbours across seams"  # with what the last tiles answered
    assert found.asked_again
    assert told[-1].doing == "joining what crosses seams"
    for step in ("tiles", f"{again}, round 1"):
        of_step = [(each.done, each.total) for each in told if each.doing == step]
        assert of_step == [(number, len(of_step)) for number in range(1, len(of_step) + 1)]
    counts = [each.masks for each in told if each.doing == "tiles"]
    assert counts == sorted(counts)
    assert {each.masks for each in told[len(counts) :]} == {counts[-1]}


@pytest.mark.parametrize(
    ("patch", "stays"),
    [
        ((130, 70, 182, 110), False),  # ends at its tile's right border
        ((150, 100, 182, 132), False),  # in its tile's corner
        ((125, 75, 175, 125), True),  # at no border
        ((120, 80, 182, 84), True),  # with a short edge at the border
    ],
)
@pytest.mark.parametrize("has_ground", [True, False])
def test_what_ends_where_its_tile_does_within_an_object_of_several_is_a_piece(
    tmp_path, patch, stays, has_ground
):
    """A tile takes a patch of the ground, which goes on in the next tile, for an object."""
    pixels = np.full((200, 300, 3), 20, np.uint8)
    pixels[..., 1], pixels[..., 2] = (
        np.arange(300) // 2,
        np.arange(200)[:, None],
    )  # tells a tile by its corner
    x0, y0, x1, y1 = patch

    def segment(photo, valid=None):
        found = [Mask.from_segmentation(np.ones(photo.shape[:2], bool), predicted_iou=0.9)] * has_ground
        if (2 * photo[0, 0, 1], photo[0, 0, 2]) == (118, 68):
            seen = np.zeros(photo.shape[:2], bool)
            seen[y0 - 68 : y1 - 68, x0 - 118 : x1 - 118] = True
            found.append(Mask.from_segmentation(seen, predicted_iou=0.5))
        return MaskSet(found, photo.shape[:2])

    masks = in_tiles(pixels, tmp_path, segment=segment).masks
    expected = [(x1 - x0) * (y1 - y0)] * (stays or not has_ground) + [60_000] * has_ground
    assert sorted(mask.area for mask in masks) == expected


@pytest.mark.parametrize(("right", "stays"), [(221, False), (215, True)])
def test_what_several_tiles_see_and_ends_where_the_last_of_them_does_is_a_piece(tmp_path, right, stays):
    """Two tiles take a strip of the ground for an object; it ends at the second one's border, or before."""
    pixels = np.full((200, 300, 3), 20, np.uint8)
    pixels[..., 1], pixels[..., 2] = np.arange(300) // 2, np.arange(200)[:, None]

    def segment(photo, valid=None):
        found = [Mask.from_segmentation(np.ones(photo.shape[:2], bool), predicted_iou=0.9)]
        left, top = {59: 118, 78: 157}.get(int(photo[0, 0, 1])), int(photo[0, 0, 2])
        if left and top == 68:
            seen = np.zeros((200, 300), bool)
            seen[75:105, 130:right] = True
            found.append(Mask.from_segmentation(seen[68:132, left : left + 64], predicted_iou=0.5))
        return MaskSet(found, photo.shape[:2])

    masks = in_tiles(pixels, tmp_path, segment=segment).masks
    assert sorted(mask.area for mask in masks) == [30 * (right - 130)] * stays + [60_000]
