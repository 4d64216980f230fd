"""EfficientNet-Lite: its shapes, its padding, its published weights; and what nano's trunk makes of it."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from everymask.nn.encoders.convnet import ConvNet, ConvSpec, unit_values
from everymask.nn.encoders.efficientnet_lite import (
    EfficientNetLite,
    LiteBlock,
    LiteSpec,
    LiteStage,
    folded,
    same_padding,
)

SMALL = LiteSpec(
    stem=8,
    stages=(
        LiteStage(8, 1, 3, 1, expansion=1),
        LiteStage(8, 2, 3, 2),
        LiteStage(16, 1, 5, 2),
        LiteStage(24, 2, 5, 2),
        LiteStage(32, 2, 3, 2),
    ),
    head=24,
    classes=10,
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(8, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (8, 5, 2, (1, 2)), (7, 5, 2, (2, 2)), (5, 3, 1, (1, 1))],
)
def test_padding_fits_every_place_with_the_odd_pixel_last(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


def test_lite0_gives_112_and_320_channels_at_strides_16_and_32():
    model = EfficientNetLite(LiteSpec()).eval()
    assert model.channels == (112, 320)
    coarse, coarsest = model(torch.rand(1, 3, 64, 96))
    assert coarse.shape == (1, 112, 4, 6)
    assert coarsest.shape == (1, 320, 2, 3)
    assert model.classify(torch.rand(2, 3, 64, 64)).shape == (2, 1000)


def published(spec: LiteSpec, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the published names."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def conv_and_norm(conv, norm, out, into, kernel):
        state[f"{conv}.weight"] = torch.randn(out, into, kernel, kernel, generator=generator)
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{name}"] = torch.rand(out, generator=generator) + 0.5

    conv_and_norm("_conv_stem", "_bn0", spec.stem, 3, 3)
    index, width = 0, spec.stem
    for stage in spec.stages:
        for _ in range(stage.blocks):
            name, inner = f"_blocks.{index}", width * stage.expansion
            if stage.expansion > 1:
                conv_and_norm(f"{name}._expand_conv", f"{name}._bn0", inner, width, 1)
            conv_and_norm(f"{name}._depthwise_conv", f"{name}._bn1", inner, 1, stage.kernel)
            conv_and_norm(f"{name}._project_conv", f"{name}._bn2", stage.width, inner, 1)
            index, width = index + 1, stage.width
    conv_and_norm("_conv_head", "_bn1", spec.head, width, 1)
    state["_fc.weight"] = torch.randn(spec.classes, spec.head, generator=generator)
    state["_fc.bias"] = torch.randn(spec.classes, generator=generator)
    return state


def test_folded_weights_do_what_convolution_and_batch_norm_did():
    state = published(SMALL)
    model = EfficientNetLite(SMALL).eval()
    model.load_state_dict(folded(state))
    x = torch.rand(1, 8, 7, 9)

    def normed(x, norm):
        return F.batch_norm(
            x,
            *(state[f"_blocks.0.{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")),
            eps=1e-3,
        )

    inner = F.conv2d(x, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=8)
    inner = F.relu6(normed(inner, "_bn1"))
    plain = x + normed(F.conv2d(inner, state["_blocks.0._project_conv.weight"]), "_bn2")
    block = model.blocks[0]
    assert isinstance(block, LiteBlock)
    torch.testing.assert_close(block(x), plain)


def trunk(pretrained: LiteSpec | None) -> ConvNet:
    torch.manual_seed(0)
    return ConvNet(
        ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2, pretrained=pretrained)
    ).eval()


def test_a_pretrained_network_adds_nothing_at_first_and_only_to_the_coarse_maps_later():
    alone, both = trunk(None), trunk(SMALL)
    both.load_state_dict(alone.state_dict(), strict=False)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for a, b in zip(alone(pixels), both(pixels), strict=True):
        torch.testing.assert_close(a, b)
    for joint in both.joints:
        nn.init.constant_(joint.conv.weight, 0.1)
    changed = [bool((a != b).any()) for a, b in zip(alone(pixels), both(pixels), strict=True)]
    assert changed == [False, False, True, True]


def test_the_pretrained_network_is_shown_values_from_0_to_1():
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(unit_values(white.view(1, 3, 1, 1)), torch.ones(1, 3, 1, 1))


def test_a_classifier_can_be_left_out():
    model = EfficientNetLite(replace(SMALL, classes=0))
    assert not any(name.startswith(("head", "classifier")) for name in model.state_dict())
