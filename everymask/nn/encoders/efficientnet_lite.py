"""EfficientNet-Lite (Tan and Le 2019, without squeeze and excitation, with ReLU6), trained on ImageNet.

nano's own trunk looks at photos through it (``nn/encoders/convnet.py``). Batch norms are folded into the
convolutions, so there is nothing in it that training could move by accident.

Letters used in shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class LiteStage:
    """Blocks of one width; the first of them has the stride."""

    width: int
    blocks: int
    kernel: int
    stride: int
    expansion: int = 6


@dataclass(frozen=True)
class LiteSpec:
    """Widths and depths; the defaults are those of EfficientNet-Lite0."""

    stem: int = 32
    stages: tuple[LiteStage, ...] = (
        LiteStage(16, 1, 3, 1, expansion=1),
        LiteStage(24, 2, 3, 2),
        LiteStage(40, 2, 5, 2),
        LiteStage(80, 3, 3, 2),
        LiteStage(112, 3, 5, 1),
        LiteStage(192, 4, 5, 2),
        LiteStage(320, 1, 3, 1),
    )
    head: int = 1280
    classes: int = 1000  # 0: without the classifier
    mean: float = 127 / 255  # of values 0 to 1, the same for the three colours
    std: float = 128 / 255


class EfficientNetLite(nn.Module):
    """Maps of a photo at strides 16 and 32, and what ImageNet would call it."""

    def __init__(self, spec: LiteSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stem = SameConv(3, spec.stem, 3, stride=2)
        blocks: list[nn.Module] = []
        width = spec.stem
        self.taps: list[int] = []  # the last blocks before the third and fourth halving, and the last of all
        stride = 2
        for stage in spec.stages:
            for index in range(stage.blocks):
                step = stage.stride if index == 0 else 1
                if step * stride == 32 and step > 1:
                    self.taps.append(len(blocks) - 1)
                stride *= step
                blocks.append(LiteBlock(width, stage.width, stage.kernel, step, stage.expansion))
                width = stage.width
        self.taps.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        if spec.classes:
            self.head = SameConv(width, spec.head, 1)
            self.classifier = nn.Linear(spec.head, spec.classes)

    @property
    def channels(self) -> tuple[int, int]:
        """Of the maps at strides 16 and 32."""
        first, second = (self.blocks[tap] for tap in self.taps)
        assert isinstance(first, LiteBlock)
        assert isinstance(second, LiteBlock)
        return first.project.conv.out_channels, second.project.conv.out_channels

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """RGB values 0 to 1 [B, 3, H, W] -> maps [B, C, H / 16, W / 16], [B, C, H / 32, W / 32]."""
        x = F.relu6(self.stem((pixels - self.spec.mean) / self.spec.std))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        return maps[0], maps[1]

    def classify(self, pixels: Tensor) -> Tensor:
        """RGB values 0 to 1 [B, 3, H, W] -> logits of ImageNet's 1,000 classes [B, 1000]."""
        pooled = F.relu6(self.head(self(pixels)[1])).mean((2, 3))
        return self.classifier(pooled)


class LiteBlock(nn.Module):
    """Widen, mix pixels channel by channel, narrow; added to the input where that fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride=stride, groups=inner)
        self.project = SameConv(inner, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(inner)))
        return x + out if self.adds else out


class SameConv(nn.Module):
    """A convolution padded as TensorFlow's "same": at stride 2 more on the right and below than before."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)
        self.kernel, self.stride = kernel, stride
        if stride == 1:
            self.conv.padding = (kernel // 2, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            across, down = (same_padding(size, self.kernel, self.stride) for size in x.shape[:-3:-1])
            x = F.pad(x, (*across, *down))
        return self.conv(x)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """How much is added before and after, so that ceil(size / stride) places fit.

    >>> same_padding(8, 3, 2), same_padding(7, 3, 2)
    ((0, 1), (1, 1))
    """
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


BATCH_NORM_EPS = 1e-3  # of the published weights


def folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights (``_blocks.0._expand_conv.weight`` ...) under the names of
    :class:`EfficientNetLite`, batch norms folded into the convolutions."""
    result: dict[str, Tensor] = {}

    def fold(conv: str, norm: str, name: str) -> None:
        spread = torch.rsqrt(state[norm + ".running_var"].double() + BATCH_NORM_EPS)
        scale = state[norm + ".weight"].double() * spread
        weight = state[conv + ".weight"].double() * scale[:, None, None, None]
        bias = state[norm + ".bias"].double() - state[norm + ".running_mean"].double() * scale
        result[name + ".conv.weight"], result[name + ".conv.bias"] = weight.float().contiguous(), bias.float()

    fold("_conv_stem", "_bn0", "stem")
    count = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("_blocks."))
    for index in range(count):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if f"{theirs}._expand_conv.weight" in state:
            fold(f"{theirs}._expand_conv", f"{theirs}._bn0", f"{ours}.expand")
        fold(f"{theirs}._depthwise_conv", f"{theirs}._bn1", f"{ours}.depthwise")
        fold(f"{theirs}._project_conv", f"{theirs}._bn2", f"{ours}.project")
    fold("_conv_head", "_bn1", "head")
    result["classifier.weight"], result["classifier.bias"] = state["_fc.weight"], state["_fc.bias"]
    return result
