"""Actions on documents: literal masks in, literal masks out."""

from __future__ import annotations

import numpy as np
import pytest

from everymask import InputError, Mask
from everymask.studio import actions
from everymask.studio.document import Document, Item, patch_between, patched


class NoModel:
    """The tools of actions that ask no model."""

    def chosen_mask(self, draft, seed):
        raise AssertionError("this action asks no model")


class Square:
    """A model whose every answer is the upper left 2 x 2 pixels."""

    def chosen_mask(self, draft, seed):
        pixels = np.zeros((4, 5), bool)
        pixels[:2, :2] = True
        return pixels, 0.5


def rows(*lines: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in line] for line in lines])


def document(*masks: np.ndarray, locked: bool = False) -> Document:
    items = [Item(number, Mask.from_segmentation(mask), locked) for number, mask in enumerate(masks, 1)]
    return Document((4, 5)).with_items(*items)


LEFT = rows("##...", "##...", ".....", ".....")
MIDDLE = rows(".##..", ".##..", ".....", ".....")


def do(before: Document, action, tools=None) -> Document:
    return actions.perform(before, action, tools or NoModel()).document


def pixels(after: Document, id: int) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in row) for row in after.items[id].mask.segmentation]


def test_merge_is_the_union_in_the_place_of_the_first():
    after = do(document(LEFT, MIDDLE), actions.Merge(masks=[2, 1]))
    assert list(after.items) == [2]
    assert pixels(after, 2) == ["###..", "###..", ".....", "....."]


def test_subtract_takes_the_others_out_of_the_first_and_leaves_them():
    after = do(document(LEFT, MIDDLE), actions.Subtract(masks=[1, 2]))
    assert pixels(after, 1) == ["#....", "#....", ".....", "....."]
    assert pixels(after, 2) == [".##..", ".##..", ".....", "....."]


def test_subtract_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="nothing would be left of mask 1"):
        do(document(LEFT, LEFT), actions.Subtract(masks=[1, 2]))


def test_brush_paints_a_round_stroke_of_the_pixels_it_covers():
    after = do(Document((5, 7)), actions.Brush(points=[(2.5, 2.5), (4.5, 2.5)], radius=1.5, label="x"))
    assert pixels(after, 1) == [".......", ".#####.", ".#####.", ".#####.", "......."]
    assert after.items[1].mask.label == "x"


def test_eraser_takes_pixels_away_and_the_score_with_them():
    before = Document((4, 5)).with_items(Item(1, Mask.from_segmentation(LEFT, predicted_iou=0.9)))
    after = do(before, actions.Brush(mask=1, points=[(0.5, 0.5)], radius=0.4, erase=True))
    assert pixels(after, 1) == [".#...", "##...", ".....", "....."]
    assert after.items[1].mask.predicted_iou is None


def test_polygon_with_a_ring_in_a_ring_has_a_hole():
    outer, inner = [(0, 0), (5, 0), (5, 4), (0, 4)], [(1, 1), (4, 1), (4, 3), (1, 3)]
    after = do(document(), actions.Polygon(rings=[outer, inner]))
    assert pixels(after, 1) == ["#####", "#...#", "#...#", "#####"]


def test_clean_fills_holes_drops_islands_and_grows():
    ring = rows("###..", "#.#..", "###..", "....#")
    after = do(document(ring), actions.Clean(masks=[1], fill_holes=2))
    assert pixels(after, 1) == ["###..", "###..", "###..", "....#"]
    all_holes = do(document(ring), actions.Clean(masks=[1], fill_holes=1e9))  # the ground around it is none
    assert pixels(all_holes, 1) == ["###..", "###..", "###..", "....#"]
    dot = rows(".....", "..#..", ".....", "#....")
    assert pixels(do(document(dot), actions.Clean(masks=[1], grow=1)), 1) == [
        "..#..",
        ".###.",
        "#.#..",
        "##...",
    ]


def test_islands_touching_by_a_corner_are_one():
    # regions.py counts 8-connected components; the largest stays
    after = do(document(rows("##...", "##...", "..#..", "....#")), actions.Clean(masks=[1], drop_islands=9))
    assert pixels(after, 1) == ["##...", "##...", "..#..", "....."]


def test_locked_masks_refuse_every_change_but_unlocking():
    before = document(LEFT, locked=True)
    for action in (
        actions.Delete(masks=[1]),
        actions.SetLabel(masks=[1], label="a"),
        actions.Brush(mask=1, points=[(1, 1)], radius=1),
        actions.Reopen(mask=1),
        actions.Clean(masks=[1], grow=1),
    ):
        with pytest.raises(InputError, match="mask 1 is locked"):
            do(before, action)
    assert not do(before, actions.Lock(masks=[1], locked=False)).items[1].locked


def test_a_mask_being_corrected_is_not_deleted_meanwhile():
    before = do(document(LEFT), actions.Reopen(mask=1))
    with pytest.raises(InputError, match="is being corrected"):
        do(before, actions.Delete(masks=[1]))


def test_accept_makes_a_new_mask_with_score_and_clicks():
    before = do(document(), actions.Click(x=1, y=2))
    after = do(before, actions.Accept(label="cat"), Square())
    mask = after.items[1].mask
    assert (mask.label, mask.predicted_iou, mask.point_coords) == ("cat", 0.5, ((1.0, 2.0),))
    assert after.draft is None


def test_accepting_a_correction_keeps_number_place_and_class():
    before = document(LEFT, MIDDLE)
    before = before.with_items(Item(1, before.items[1].mask.replace(label="dog")))
    clicked = do(do(before, actions.Reopen(mask=1)), actions.Click(x=3, y=3, include=False))
    after = do(clicked, actions.Accept(), Square())
    assert list(after.items) == [1, 2]
    assert after.items[1].mask.label == "dog"
    assert pixels(after, 1) == ["##...", "##...", ".....", "....."]


def test_removing_the_last_prompt_ends_the_draft():
    before = do(document(), actions.Click(x=1, y=2))
    assert do(before, actions.RemovePrompt(index=0)).draft is None


def test_a_second_box_takes_the_place_of_the_first_and_is_put_in_order():
    one = do(document(), actions.Box(box=(0, 0, 2, 2)))
    two = do(one, actions.Box(box=(4, 3, 1, 1)))
    assert [step.xy for step in two.draft.steps] == [(1.0, 1.0, 4.0, 3.0)]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (actions.Click(x=5, y=0), r"\(5, 0\) is outside of the photo of 5 x 4 pixels"),
        (actions.Box(box=(1, 1, 1, 3)), "a box must hold at least one pixel"),
        (actions.Accept(), "no object is being prompted"),
        (actions.Choose(candidate=1), "no object is being prompted"),
        (actions.Delete(masks=[7]), "there is no mask 7"),
        (actions.Brush(points=[(1, 1)], radius=1, erase=True), "choose the mask to erase from"),
        (actions.Brush(points=[(90, 90)], radius=1), "outside of the photo"),
        (actions.Add(masks=[actions.NewMask(counts="not runs")]), "not a COCO run-length string"),
    ],
)
def test_what_cannot_be_done_says_why(action, message):
    with pytest.raises(InputError, match=message):
        do(document(LEFT), action)


def test_reorder_moves_several_masks_together():
    after = do(document(LEFT, MIDDLE, LEFT), actions.Reorder(masks=[3, 2], to=0))
    assert list(after.items) == [3, 2, 1]


def test_a_patch_leads_from_one_document_to_the_next_and_back():
    before = document(LEFT, MIDDLE)
    after = do(do(before, actions.Merge(masks=[1, 2])), actions.Click(x=0, y=0))
    forward, backward = patch_between(before, after), patch_between(after, before)
    assert patched(before, forward).to_json() == after.to_json()
    assert patched(after, backward).to_json() == before.to_json()
    assert set(forward["masks"]) == {"1", "2"}
    assert forward["masks"]["2"] is None
    assert patch_between(before, before) == {}


def test_a_soft_edge_stays_with_a_mask_that_is_changed_and_goes_at_zero():
    soft = do(document(LEFT), actions.Feather(masks=[1], px=3))
    assert soft.items[1].mask.attributes == {"feather_px": 3}
    assert pixels(soft, 1) == pixels(document(LEFT), 1)
    grown = do(soft, actions.Clean(masks=[1], grow=1))
    assert grown.items[1].mask.attributes == {"feather_px": 3}
    assert not do(grown, actions.Feather(masks=[1], px=0)).items[1].mask.attributes
