"""Every trunk small enough for a test of milliseconds, with seeded weights."""

import torch
from torch import nn

from everymask.nn.encoders.convnet import ConvNet, ConvSpec
from everymask.nn.encoders.hiera import Hiera, HieraSpec
from everymask.nn.encoders.plain_vit import PlainViT, PlainViTSpec
from everymask.nn.encoders.repvit import RepViT, RepViTSpec
from everymask.nn.encoders.tiny_vit import TinyViT, TinyViTSpec
from everymask.nn.encoders.vit import ViT, ViTSpec
from tests.parity.seeded import seeded_state

TRUNKS = ("vit", "plain_vit", "hiera", "tiny_vit", "repvit", "convnet")


def trunk(kind: str) -> nn.Module:
    """In eval mode, without gradients."""
    torch.manual_seed(0)
    module: nn.Module
    if kind == "vit":  # windows of 14 overhang the 16 tokens of a side
        module = ViT(ViTSpec(32, depth=4, num_heads=2, global_blocks=(1, 3), out_dim=16), 256)
    elif kind == "plain_vit":
        module = PlainViT(PlainViTSpec(32, 2, depth=4, global_blocks=(1, 3)))
    elif kind == "hiera":
        module = Hiera(HieraSpec(16, 1, (1, 2, 2, 1), (3,), (7, 7)))
    elif kind == "tiny_vit":
        module = TinyViT(TinyViTSpec((16, 24, 32, 40), (1, 1, 2, 1), (1, 3, 4, 5), out_dim=16))
    elif kind == "repvit":
        module = RepViT(RepViTSpec((16, 24, 32, 40), (1, 1, 2, 1)))
    else:
        module = ConvNet(ConvSpec((16, 16, 32, 32), (1, 1, 2, 1), attention_after=((), (), (2,), (1,))))
    state = {key: value.shape for key, value in module.state_dict().items()}
    module.load_state_dict(seeded_state(state))
    return module.eval().requires_grad_(False)


def pixels_for(kind: str) -> torch.Tensor:
    return torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
