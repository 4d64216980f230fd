"""``inference_state`` as programs read it, write to it and copy it, next to the official one."""

import copy
import warnings

import numpy as np
import pytest
import torch

from everymask.compat.sam2 import SAM2ImagePredictor, SAM2VideoPredictor
from tests.video.parity import moving_scene, spread_error, tiny, video_pair, write_jpegs

pytest.importorskip("sam2", reason="the official package is not installed")
LENGTH = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(write_jpegs(tmp_path_factory.mktemp("clip"), moving_scene(LENGTH)))


@pytest.fixture(scope="module")
def predictors():
    _, official = video_pair(tiny())
    return predictor_like(official), official


def predictor_like(official, kind=SAM2VideoPredictor):
    official.fill_hole_area = 0  # needs CUDA there
    ours = kind.of(tiny(), binarize_mask_from_pts_for_mem_enc=True)
    ours.load_state_dict(official.state_dict(), strict=True)
    return ours.eval()


def prompted(predictor, clip, objects=2):
    state = predictor.init_state(clip)
    predictor.add_new_points_or_box(
        state, 0, "a", points=np.array([[30, 40]], np.float32), labels=np.array([1], np.int32)
    )
    if objects > 1:
        predictor.add_new_mask(state, 1, "b", np.pad(np.ones((20, 30), bool), ((50, 20), (90, 20))))
    return state


def tracked(predictor, state, **given):
    return [(frame, logits.clone()) for frame, _, logits in predictor.propagate_in_video(state, **given)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for (frame, mine), (official_frame, other) in zip(ours, theirs, strict=True):
        assert frame == official_frame
        assert spread_error(mine.numpy(), other.numpy()) < 1e-3


def shape_of(value):
    """What a value is like: keys, shapes and types all the way down."""
    if isinstance(value, dict):
        return {key: shape_of(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [shape_of(each) for each in value]
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.dtype
    return value


def test_keys_shapes_and_types_are_the_official_ones_throughout(predictors, clip):
    seen = []
    for predictor in predictors:
        state = prompted(predictor, clip)
        steps = [shape_of({key: value for key, value in state.items() if key != "images"})]
        for frame, _, _ in predictor.propagate_in_video(state):
            if frame == 3:
                break
        steps.append(shape_of({key: value for key, value in state.items() if key != "images"}))
        predictor.add_new_points_or_box(state, 3, "a", points=[[35, 40]], labels=[1])
        predictor.clear_all_prompts_in_frame(state, 0, "a")
        steps.append(shape_of(state["temp_output_dict_per_obj"]))
        predictor.remove_object(state, "b")
        steps.append(shape_of(state["output_dict_per_obj"]) | {"ids": shape_of(dict(state["obj_id_to_idx"]))})
        seen.append(steps)
    for ours, theirs in zip(*seen, strict=True):
        assert ours == theirs


def test_images_are_a_sequence_of_the_official_tensors(predictors, clip):
    ours, theirs = (predictor.init_state(clip)["images"] for predictor in predictors)
    assert len(ours) == len(theirs) == LENGTH
    assert ours.shape == theirs.shape
    for index in (3, 4, 5, 0, -1):
        assert torch.allclose(ours[index], theirs[index], atol=1e-6)
    assert torch.allclose(ours[2:5], theirs[2:5], atol=1e-6)
    assert torch.allclose(torch.stack(list(ours)), theirs, atol=1e-6)
    with pytest.raises(IndexError, match="there is no frame 8; the clip has 8 frames"):
        ours[8]


def test_images_may_be_replaced(predictors, clip):
    answers = []
    for predictor in predictors:
        state = prompted(predictor, clip)
        with torch.inference_mode():
            state["images"][3] = torch.zeros_like(state["images"][3])
        answers.append(tracked(predictor, state, max_frame_num_to_track=3))
    assert_same(*answers)
    state = prompted(predictors[0], clip)
    state["images"] = torch.stack(list(state["images"]))
    assert_same(tracked(predictors[0], state), tracked(predictors[1], prompted(predictors[1], clip)))


def test_a_state_made_by_hand_and_memories_that_a_program_drops(predictors, clip):
    """As programs do it that stream frames, or bound the memory of a long clip."""
    answers = []
    for predictor in predictors:
        state = dict(prompted(predictor, clip, objects=1))
        state["cached_features"] = {}
        found = []
        for frame, _, logits in predictor.propagate_in_video(state):
            found.append((frame, logits.clone()))
            outputs = state["output_dict_per_obj"][0]["non_cond_frame_outputs"]
            for old in [each for each in outputs if each < frame - 2]:
                outputs.pop(old)
        answers.append(found)
        assert sorted(outputs) == [5, 6, 7]
    assert_same(*answers)


def test_a_deep_copy_is_a_state_of_its_own(predictors, clip):
    ours, official = predictors
    state = prompted(ours, clip)
    twin = copy.deepcopy(state)
    expected = tracked(official, prompted(official, clip))
    ours.add_new_points_or_box(state, 0, "a", points=[[100, 70]], labels=[1])
    list(ours.propagate_in_video(state, max_frame_num_to_track=2))
    assert not twin["output_dict_per_obj"][0]["cond_frame_outputs"]
    assert_same(tracked(ours, twin), expected)


def test_a_step_that_a_subclass_overrides_is_called_for_every_object(clip, predictors):
    _, official = predictors
    calls = []

    class Mine(SAM2VideoPredictor):
        def track_step(self, *args, **kwargs):
            out = super().track_step(*args, **kwargs)
            calls.append(kwargs["frame_idx"])
            return out

    mine = predictor_like(official, Mine)
    assert_same(tracked(mine, prompted(mine, clip)), tracked(official, prompted(official, clip)))
    assert calls.count(5) == 2


def test_a_hook_on_a_part_is_called_while_tracking(clip, predictors):
    _, official = predictors
    mine, seen = predictor_like(official), []
    mine.memory_attention.layers[1].register_forward_hook(lambda *_: seen.append(1))
    mine.memory_encoder.register_forward_hook(lambda _m, _i, out: seen.append(out["vision_features"].shape))
    assert_same(tracked(mine, prompted(mine, clip)), tracked(official, prompted(official, clip)))
    assert len(seen) >= 2 * (LENGTH - 2)


def test_an_image_predictor_takes_the_video_predictor(predictors):
    photo = moving_scene(1)[0]
    answers = []
    for predictor, module in zip(
        predictors,
        (SAM2ImagePredictor, pytest.importorskip("sam2.sam2_image_predictor").SAM2ImagePredictor),
        strict=True,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # the official transforms use torch.jit.script
            photos = module(predictor)
        photos._bb_feat_sizes = [(32, 32), (16, 16), (8, 8)]
        photos.set_image(photo)
        answers.append(photos.predict(np.array([[30, 40]]), np.array([1]), multimask_output=True))
    for mine, theirs in zip(*answers, strict=True):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() <= 1e-3 * max(1.0, float(np.ptp(theirs)))


def test_one_frame_is_corrected_after_tracking_as_officially(predictors, clip):
    answers = []
    for predictor in predictors:
        state = prompted(predictor, clip)
        list(predictor.propagate_in_video(state))
        frame, _, logits = predictor.add_new_points_or_box(state, 4, "a", points=[[45, 42]], labels=[0])
        answers.append([(frame, logits.clone()), *tracked(predictor, state, start_frame_idx=2)])
    assert_same(*answers)
