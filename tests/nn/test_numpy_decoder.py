"""The decoder in NumPy against the one in torch: both against float64."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from everymask.models.base import prompt_encoder
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.nn.choice import StabilityFallback, choose_masks
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.numpy_decoder import Features, Layout, _gelu, arranged, chosen, decode
from everymask.nn.records import Decoded
from tests.parity.seeded import seeded_state

SIDE = 12


class Both:
    """One set of seeded weights, features and prompts for both forms."""

    def __init__(self, name: str) -> None:
        self.spec = spec = replace(MODELS[name], image_size=16 * SIDE)
        self.prompts = prompt_encoder(spec).eval().requires_grad_(False)
        self.decoder = MaskDecoder(spec.embed_dim, spec.decoder).eval().requires_grad_(False)
        for part in (self.prompts, self.decoder):
            part.load_state_dict(seeded_state({key: value.shape for key, value in part.state_dict().items()}))
        draw = torch.Generator().manual_seed(0)
        shapes = [(spec.embed_dim, SIDE, SIDE)]
        if spec.decoder.high_res:
            shapes += [(spec.embed_dim // 8, 4 * SIDE, 4 * SIDE), (spec.embed_dim // 4, 2 * SIDE, 2 * SIDE)]
        self.maps = [torch.randn(shape, generator=draw) for shape in shapes]
        self.mask = torch.randn(4 * SIDE, 4 * SIDE, generator=draw) * 6

    def torch(self, points, labels, mask, dtype):
        prompts, decoder = (copy.deepcopy(part).to(dtype) for part in (self.prompts, self.decoder))
        image, *fine = (each[None].to(dtype) for each in self.maps)
        asked = prompts(
            torch.from_numpy(points)[None].to(dtype),
            torch.from_numpy(labels)[None],
            None if mask is None else mask[None, None].to(dtype),
        )
        dense = prompts.no_mask() if asked.dense is None else asked.dense
        found = decoder(image + dense, prompts.grid_position(), asked.sparse, tuple(fine))
        return found.mask_logits[0].numpy(), found.iou[0].numpy()

    def numpy(self, points, labels, mask):
        parts = {"prompts": self.prompts, "decoder": self.decoder}
        weights = {
            f"{name}.{key}": value.numpy()
            for name, part in parts.items()
            for key, value in part.state_dict().items()
        }
        spec = self.spec.decoder
        layout = Layout(
            self.spec.family,
            self.spec.image_size,
            spec.heads,
            spec.iou_sigmoid,
            spec.high_res,
            spec.object_score,
        )
        features = Features(*(each.numpy() for each in self.maps))
        return decode(weights, layout, features, points, labels, None if mask is None else mask.numpy())


@pytest.mark.parametrize("has_mask", [False, True], ids=["points", "points and logits"])
@pytest.mark.parametrize("name", ["nano", "sam_vit_b", "sam2.1_hiera_tiny", "efficienttam_ti"])
def test_is_as_exact_as_torch(name, has_mask):
    both = Both(name)
    points = np.array([[10.25, 100.5], [30, 40], [90, 120], [0, 0]], np.float32)
    labels = np.array([1, 2, 3, -1])
    mask = both.mask if has_mask else None
    truth = both.torch(points, labels, mask, torch.float64)
    theirs = both.torch(points, labels, mask, torch.float32)
    ours = both.numpy(points, labels, mask)
    for ours_of, theirs_of, true in zip(ours, theirs, truth, strict=True):
        assert ours_of.dtype == np.float32
        assert ours_of.shape == true.shape
        # torch's few IoUs may be right by chance: two roundings of the largest value are always allowed
        rounding = np.finfo(np.float32).eps * np.abs(true).max()
        limit = 3 * np.abs(theirs_of - true).max() + 1e-6 * true.std() + 2 * rounding
        assert np.abs(ours_of - true).max() <= limit
        assert np.abs(true).max() > 0.1, "the limit is one of values that say something"


@pytest.mark.parametrize("family", [Sam, Sam2])
@pytest.mark.parametrize("asked", ["points", "box", "both"])
def test_prompts_are_put_together_in_the_order_of_the_family(family, asked):
    points = np.array([[5.0, 6.0], [7.0, 8.0]]) if asked != "box" else np.zeros((0, 2))
    labels = np.array([1, 0]) if asked != "box" else np.zeros(0, int)
    box = np.array([1.0, 2.0, 30.0, 40.0]) if asked != "points" else None
    theirs = family.arrange(
        None,
        torch.from_numpy(points)[None] if len(points) else None,
        torch.from_numpy(labels)[None] if len(points) else None,
        None if box is None else torch.from_numpy(box)[None],
    )
    name = "sam" if family is Sam else "sam2"
    for ours, expected in zip(arranged(name, points, labels, box), theirs, strict=True):
        np.testing.assert_array_equal(ours, expected[0].numpy())


@pytest.mark.parametrize("fallback", [None, (0.05, 0.98)])
@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", ["sure", "unsure", "empty"])
def test_chooses_the_masks_that_torch_chooses(fallback, multimask, kind):
    logits = np.random.default_rng(0).normal(size=(4, 9, 9)).astype(np.float32)
    logits[0] = {"sure": np.sign(logits[0]) * 5, "unsure": logits[0] * 0.01, "empty": logits[0] - 50}[kind]
    iou = np.array([0.2, 0.5, 0.9, 0.7], np.float32)
    decoded = Decoded(
        *(torch.from_numpy(each)[None] for each in (logits, iou)), mask_tokens=torch.zeros(1, 4, 1)
    )
    expected = choose_masks(decoded, multimask, fallback and StabilityFallback(*fallback))
    ours = chosen(logits, iou, multimask, fallback)
    np.testing.assert_array_equal(ours[0], expected.mask_logits[0].numpy())
    np.testing.assert_array_equal(ours[1], expected.iou[0].numpy())


def test_gelu_from_the_table_is_within_float32():
    x = np.concatenate([np.linspace(-9, 9, 100_001), [-1e6, 0, 1e6]]).astype(np.float32)
    exact = F.gelu(torch.from_numpy(x).double()).numpy()
    assert np.abs(_gelu(x) - exact).max(where=np.abs(x) < 10, initial=0) < 2 * np.finfo(np.float32).eps * 9
    np.testing.assert_allclose(_gelu(x)[-3:], exact[-3:], atol=1e-2)
