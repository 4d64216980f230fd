import pytest
import torch
from torch import nn

from everymask.nn.encoders.fpn import FpnNeck
from everymask.nn.encoders.hiera import Hiera, HieraSpec

SMALL = HieraSpec(24, 1, stages=(1, 2, 3, 2), global_blocks=(4,), background_size=(7, 7))


def seeded(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return module.eval()


@pytest.fixture
def official():
    hieradet = pytest.importorskip(
        "sam2.modeling.backbones.hieradet", reason="the official sam2 is not installed"
    )
    return seeded(
        hieradet.Hiera(
            embed_dim=24,
            num_heads=1,
            stages=(1, 2, 3, 2),
            global_att_blocks=(4,),
            window_pos_embed_bkg_spatial_size=(7, 7),
        )
    )


def worst(ours, theirs):
    """The largest difference over all maps, in units of the reference's spread."""
    assert [x.shape for x in ours] == [x.shape for x in theirs]
    return max(((a - b).abs().max() / b.std()).item() for a, b in zip(ours, theirs, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("size", [(256, 256), (224, 224), (160, 352)])
def test_maps_equal_the_official_trunk(official, size):
    trunk = Hiera(SMALL)
    trunk.load_state_dict(official.state_dict(), strict=True)
    pixels = torch.randn(2, 3, *size)
    assert worst(trunk(pixels), official(pixels)) < 1e-5


@torch.no_grad()
def test_our_weights_load_into_the_official_trunk(official):
    trunk = seeded(Hiera(SMALL))
    official.load_state_dict(trunk.state_dict(), strict=True)


def test_gradients_are_those_of_the_official_trunk(official):
    trunk = Hiera(SMALL)
    trunk.load_state_dict(official.state_dict())
    pixels = torch.randn(1, 3, 128, 128)
    for module in (trunk, official):
        module(pixels)[-1].square().mean().backward()
    ours, theirs = trunk.blocks[0].attn.qkv.weight.grad, official.blocks[0].attn.qkv.weight.grad
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@torch.no_grad()
def test_earlier_maps_are_not_overwritten_by_later_blocks():
    trunk = seeded(Hiera(SMALL))
    maps = trunk(torch.randn(1, 3, 128, 128))
    one_stage = Hiera(HieraSpec(24, 1, (1,), (), (7, 7), window_sizes=(8,)))
    assert [m.shape[1] for m in maps] == list(trunk.channels) == [24, 48, 96, 192]
    assert one_stage(torch.randn(1, 3, 64, 64))[0].shape == (1, 24, 16, 16)


@torch.no_grad()
def test_bands_give_what_the_whole_picture_gives(monkeypatch):
    trunk, pixels = seeded(Hiera(SMALL)), torch.randn(1, 3, 256, 256)
    whole = trunk(pixels)
    monkeypatch.setattr("everymask.nn.encoders.tokens.BAND_TOKENS", 1)
    assert worst(trunk(pixels), whole) < 1e-5


@torch.no_grad()
def test_bfloat16_stays_near_float32():
    trunk, pixels = Hiera(SMALL).eval(), torch.randn(1, 3, 128, 128)
    whole = trunk(pixels)
    half = trunk.bfloat16()(pixels.bfloat16())
    assert {m.dtype for m in half} == {torch.bfloat16}
    assert worst([m.float() for m in half], whole) < 0.05


@torch.no_grad()
def test_neck_levels_equal_the_official_neck():
    image_encoder = pytest.importorskip(
        "sam2.modeling.backbones.image_encoder", reason="the official sam2 is not installed"
    )
    official = image_encoder.FpnNeck(
        lambda x: x, 32, [192, 96, 48, 24], fpn_top_down_levels=[2, 3], fpn_interp_model="nearest"
    )
    seeded(official)
    neck = FpnNeck((24, 48, 96, 192), dim=32)
    neck.load_state_dict(official.state_dict(), strict=True)
    maps = [torch.randn(2, 24 * 2**s, 32 >> s, 32 >> s) for s in range(4)]
    assert worst(neck(maps), official(maps)[0][:-1]) < 1e-5


@torch.no_grad()
def test_heads_merged_into_the_neck_equal_heads_applied_after_it():
    neck = seeded(FpnNeck((24, 48, 96, 192), dim=32))
    heads = [nn.Conv2d(32, 4, 1), nn.Conv2d(32, 8, 1, bias=False)]
    maps = [torch.randn(1, 24 * 2**s, 32 >> s, 32 >> s) for s in range(4)]
    plain = neck(maps)
    merged = neck(maps, heads)
    assert worst(merged, [heads[0](plain[0]), heads[1](plain[1]), plain[2]]) < 1e-5
