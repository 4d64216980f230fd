"""A teacher answers photos without masks, a student learns its answers."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from everymask.errors import InputError
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.encoders.convnet import ConvSpec
from everymask.train.begin import begin
from everymask.train.distil import (
    BOXES,
    GRID,
    SHOWN,
    AnsweredFolder,
    Look,
    Teacher,
    answer,
    chosen_prompts,
    expected_iou,
    load_answered,
    make_lesson,
    save_answered,
)
from everymask.train.loop import train
from everymask.train.scenes import Scene
from everymask.train.state import TrainOptions, start

TINY = replace(
    MODELS["nano"],
    image_size=64,
    embed_dim=32,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    memory=None,
)


def tiny_model(seed: int = 0, side: int = 64) -> Sam2:
    torch.manual_seed(seed)
    model = Sam2(replace(TINY, image_size=side))
    begin(model)
    return model.eval()


def photo() -> np.ndarray:
    picture = np.full((48, 80, 3), 60, np.uint8)
    picture[10:40, 5:30] = (200, 90, 40)
    return picture


def teachers() -> list[Teacher]:
    return [
        Teacher(tiny_model(0), mirrored=False, estimates=True),
        Teacher(tiny_model(1, side=96), mirrored=True, estimates=False),
    ]


def test_a_mirrored_look_is_a_plain_look_at_the_mirrored_photo():
    model = tiny_model()
    clicks, boxes = torch.tensor([[0.2, 0.6]]), torch.tensor([[0.1, 0.2, 0.4, 0.9]])
    over_there = Look(Teacher(model, False, True), np.ascontiguousarray(photo()[:, ::-1]))
    mirrored = Look(Teacher(model, True, True), photo())
    pairs = (
        (mirrored.ask(clicks, None), over_there.ask(torch.tensor([[0.8, 0.6]]), None)),
        (mirrored.ask(None, boxes), over_there.ask(None, torch.tensor([[0.6, 0.2, 0.9, 0.9]]))),
    )
    for got, expected in pairs:
        torch.testing.assert_close(got.mask_logits, expected.mask_logits.flip(-1), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(got.iou, expected.iou, atol=1e-4, rtol=1e-4)


def test_answers_are_means_and_only_some_teachers_rank(tmp_path):
    both = answer(np.random.default_rng(0), photo(), teachers(), 16)
    first, second = (
        answer(np.random.default_rng(0), photo(), [each], 16)
        for each in (teachers()[0], replace(teachers()[1], estimates=True))
    )
    assert both.clicks.shape == (GRID * GRID, 2)
    assert sorted(map(tuple, np.floor(both.clicks * GRID).astype(int))) == [
        (x, y) for x in range(GRID) for y in range(GRID)
    ]
    mean = (first.click_logits.astype(float) + second.click_logits) / 2
    assert np.abs(both.click_logits - mean).max() <= 1.01  # kept in whole steps
    assert np.allclose(both.click_iou, first.click_iou, atol=1e-5)
    assert not np.allclose(first.click_iou, second.click_iou, atol=1e-3)

    save_answered(tmp_path / "a.npz", both)
    again = load_answered(tmp_path / "a.npz")
    for name in ("clicks", "click_logits", "click_iou", "boxes", "box_logits", "box_iou"):
        assert np.array_equal(getattr(again, name), getattr(both, name))
    assert again.photo.shape == photo().shape


def test_prompts_of_a_mirrored_photo_stay_on_their_masks():
    answered = answer(np.random.default_rng(0), photo(), teachers(), 16)
    here = np.zeros((GRID * GRID, 4, 16, 16), np.int8) - 127
    for index, (x, y) in enumerate(answered.clicks):
        here[index, :, int(16 * y), int(16 * x)] = 127  # the cell that was clicked
    boxes = np.array([[0.25, 0.5, 0.5, 1.0]], np.float32)
    inside = np.full((1, 16, 16), -127, np.int8)
    inside[:, 8:, 4:8] = 127
    answered = answered._replace(
        click_logits=here, boxes=boxes, box_logits=inside, box_iou=np.ones(1, np.float32)
    )
    for mirrored in (False, True):
        clicks, truths, _, around, boxed, _ = chosen_prompts(
            np.random.default_rng(1), answered, mirrored, cells=16
        )
        assert len(clicks) == round(SHOWN * GRID * GRID)
        assert len(around) == round(SHOWN * BOXES)
        for (x, y), truth in zip(clicks.tolist(), truths, strict=True):
            assert truth[0, int(16 * y), int(16 * x)] > 0.9
        rows, columns = torch.nonzero(boxed[0] > 0.5, as_tuple=True)
        found = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        assert found == [round(16 * x) for x in around[0].tolist()]


def test_a_mask_is_worth_what_the_truth_is_that_it_fits():
    half, all_of_it = torch.zeros(4, 4), torch.ones(4, 4)
    half[:2] = 1
    logits = (2 * torch.stack([half, all_of_it, 1 - half]) - 1)[None]
    worth = expected_iou(logits, torch.stack([half, all_of_it])[None], torch.tensor([[0.9, 0.6]]))
    torch.testing.assert_close(worth, torch.tensor([[0.9, 0.6, 0.3]]))


def test_a_student_learns_a_teachers_answers_beside_its_own_photos(tmp_path):
    for index in range(3):
        one = answer(np.random.default_rng(index), photo(), teachers(), 16)
        box = np.array([[0.1, 0.2, 0.4, 0.8]], np.float32)
        logits = np.full((1, 16, 16), -127, np.int8)
        logits[:, 3:13, 1:6] = 127
        one = one._replace(boxes=box, box_logits=logits, box_iou=np.ones(1, np.float32))
        save_answered(tmp_path / f"{index}.npz", one)
    folder, student = AnsweredFolder(tmp_path), tiny_model(5)
    options = TrainOptions(
        minutes=1000,
        steps=40,
        batch=2,
        prompts=4,
        warmup_steps=2,
        report_steps=10,
        learning_rate=5e-3,
        bfloat16=False,
        lesson_share=0.5,
        dense=False,
    )

    def scene(rng: np.random.Generator) -> Scene:
        labels = np.ones((3, 64, 64), np.uint8)
        labels[:, :, 32:] = 2
        return Scene(rng.integers(0, 255, (64, 64, 3), np.uint8), labels)

    lessons = partial(make_lesson, folder=folder, model=student, photos=2)
    reports = list(train(start(student, options), scene, options, lessons))
    assert all({"best", "taught"} <= report.losses.keys() for report in reports)
    assert reports[-1].losses["taught_box"] < 0.8 * reports[0].losses["taught_box"]
    assert reports[-1].losses["taught"] < reports[0].losses["taught"]


def test_a_folder_without_answers_says_how_they_are_made(tmp_path):
    with pytest.raises(InputError, match="make_answers"):
        AnsweredFolder(tmp_path).draw(np.random.default_rng(0))
