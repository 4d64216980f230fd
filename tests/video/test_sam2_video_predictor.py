"""The official names: an official script runs with its imports changed, to the official logits."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from everymask.compat.sam2 import SAM2VideoPredictor, build_sam2_video_predictor
from everymask.errors import OptionError, PromptError, SessionError, UnknownModelError
from tests.video.parity import (
    components_without_cuda,
    moving_scene,
    spread_error,
    tiny,
    video_pair,
    write_jpegs,
)

pytest.importorskip("sam2", reason="the official package is not installed")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(write_jpegs(tmp_path_factory.mktemp("clip"), moving_scene(12)))


@pytest.fixture(scope="module")
def predictors():
    spec = tiny()
    _, official = video_pair(spec)
    ours = SAM2VideoPredictor.of(spec, fill_hole_area=8, binarize_mask_from_pts_for_mem_enc=True)
    ours.load_state_dict(official.state_dict(), strict=True)
    return ours.eval(), official


def script(predictor, clip):
    """What an official notebook does, all answers in one list."""
    answers = []
    state = predictor.init_state(video_path=clip)
    answers.append(
        predictor.add_new_points_or_box(
            inference_state=state,
            frame_idx=0,
            obj_id=1,
            points=np.array([[30, 40], [70, 20]], dtype=np.float32),
            labels=np.array([1, 0], np.int32),
        )
    )
    box = torch.tensor([98 / 140, 48 / 90, 122 / 140, 72 / 90])
    answers.append(predictor.add_new_points_or_box(state, 0, "two", box=box, normalize_coords=False))
    answers.append(predictor.add_new_mask(state, 2, 3, torch.ones(20, 30)))
    answers += list(predictor.propagate_in_video(state, max_frame_num_to_track=3))
    answers.append(predictor.clear_all_prompts_in_frame(state, 0, "two"))
    answers.append((0, *predictor.remove_object(state, "two", need_output=False)[:1], answers[0][2]))
    answers += list(predictor.propagate_in_video(state, start_frame_idx=6, reverse=True))
    assert list(predictor.propagate_in_video(state, start_frame_idx=0, reverse=True)) == []
    ids, shown = predictor.remove_object(state, 3)
    answers += [(frame, ids, logits) for frame, logits in shown]
    answers = [(frame, list(ids), logits.clone()) for frame, ids, logits in answers]
    predictor.reset_state(state)  # officially it empties the lists that were handed out
    assert state["obj_ids"] == []
    return answers


def test_an_official_script_gives_the_official_answers(predictors, clip):
    ours, official = predictors
    with components_without_cuda():
        expected = script(official, clip)
    answers = script(ours, clip)
    assert len(answers) == len(expected)
    for (frame, ids, logits), (official_frame, official_ids, official_logits) in zip(
        answers, expected, strict=True
    ):
        assert frame == official_frame
        assert list(ids) == list(official_ids)
        assert logits.dtype == torch.float32
        assert logits.shape == official_logits.shape
        assert spread_error(logits.numpy(), official_logits.numpy()) < 1e-3


@pytest.mark.parametrize(
    "name",
    [
        "init_state",
        "add_new_points_or_box",
        "add_new_mask",
        "propagate_in_video",
        "clear_all_prompts_in_frame",
        "remove_object",
        "reset_state",
    ],
)
def test_signatures_are_the_official_ones(predictors, name):
    ours, official = (inspect.signature(getattr(predictor, name)).parameters for predictor in predictors)
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in official.values()]


def test_the_builder_takes_official_config_names_and_overrides():
    predictor = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=["++model.non_overlap_masks=true", "++model.image_size=256"],
    )
    assert predictor.image_size == 256
    assert (predictor.fill_hole_area, predictor.non_overlap_masks) == (8, True)
    assert not predictor.training
    assert "memory_attention.layers.0.self_attn.q_proj.weight" in predictor.state_dict()


def test_the_builder_refuses_what_it_does_not_know():
    with pytest.raises(UnknownModelError, match=r"no SAM 2 model is known by the config 'sam3\.yaml'"):
        build_sam2_video_predictor("sam3.yaml", device="cpu")
    with pytest.raises(OptionError, match=r"do not fit configs/sam2/sam2_hiera_t\.yaml"):
        build_sam2_video_predictor(
            "sam2_hiera_t.yaml", device="cpu", hydra_overrides_extra=["model.max_pointers=4"]
        )


def test_mistakes_raise_what_the_official_predictor_raises(predictors, clip):
    ours, _ = predictors
    state = ours.init_state(clip)
    with pytest.raises(RuntimeError, match="No input points or masks are provided for any object"):
        next(ours.propagate_in_video(state))
    with pytest.raises(ValueError, match="points and labels must be provided together"):
        ours.add_new_points_or_box(state, 0, 1, points=[[1, 2]])
    with pytest.raises(ValueError, match="at least one of points or box"):
        ours.add_new_points_or_box(state, 0, 1)
    with pytest.raises(ValueError, match="cannot add box without clearing old points"):
        ours.add_new_points_or_box(state, 0, 1, box=[1, 2, 30, 40], clear_old_points=False)
    with pytest.raises(RuntimeError, match="Cannot remove object id 5 as it doesn't exist"):
        ours.remove_object(state, 5, strict=True)
    assert ours.remove_object(state, 5) == ([], [])
    with pytest.raises(PromptError, match="there is no frame 12; the clip has 12 frames, 0 to 11"):
        ours.add_new_points_or_box(state, 12, 1, points=[[1, 2]], labels=[1])
    with pytest.raises(SessionError, match="no object 9 whose prompts could be cleared"):
        ours.clear_all_prompts_in_frame(state, 0, 9)
