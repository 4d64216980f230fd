"""Our table of specs against the configurations that the official packages ship."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from torch import nn

from everymask.models.load import WithoutInitialisation
from everymask.models.specs import MODELS

SAM2_FILES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
HIERA_DEFAULTS = {  # of the official class, where a configuration leaves them out (base+)
    "num_heads": 1,
    "stages": [2, 3, 16, 3],
    "global_att_blocks": [12, 16, 20],
    "window_pos_embed_bkg_spatial_size": [14, 14],
    "window_spec": [8, 4, 14, 7],
}


def sam2_config(version: str, size: str) -> dict:
    yaml = pytest.importorskip("yaml", reason="PyYAML (a dependency of hydra-core) is not installed")
    package = find_spec("sam2")
    if package is None or package.origin is None:
        pytest.skip("sam2 is not installed")
    path = (
        Path(package.origin).parent
        / "configs"
        / f"sam{version}"
        / f"sam{version}_hiera_{SAM2_FILES[size]}.yaml"
    )
    return yaml.safe_load(path.read_text())["model"]


@pytest.fixture(params=[(version, size) for version in ("2", "2.1") for size in SAM2_FILES], ids=str)
def spec_and_config(request):
    version, size = request.param
    return MODELS[f"sam{version}_hiera_{size}"], sam2_config(version, size)


def test_hiera_trunks(spec_and_config):
    spec, config = spec_and_config
    theirs = HIERA_DEFAULTS | config["image_encoder"]["trunk"]
    trunk = spec.trunk
    assert trunk.embed_dim == theirs["embed_dim"]
    assert trunk.num_heads == theirs["num_heads"]
    assert list(trunk.stages) == theirs["stages"]
    assert list(trunk.global_blocks) == theirs["global_att_blocks"]
    assert list(trunk.background_size) == theirs["window_pos_embed_bkg_spatial_size"]
    assert list(trunk.window_sizes) == theirs["window_spec"]
    assert list(reversed(trunk.channels)) == config["image_encoder"]["neck"]["backbone_channel_list"]


def test_sam2_sizes_and_flags(spec_and_config):
    spec, config = spec_and_config
    memory, attention = spec.memory, config["memory_attention"]
    assert spec.image_size == config["image_size"]
    assert spec.embed_dim == config["image_encoder"]["neck"]["d_model"]
    assert memory.dim == config["memory_encoder"]["out_dim"]
    assert memory.frames == config["num_maskmem"]
    assert memory.layers == attention["num_layers"]
    assert memory.mlp_dim == attention["layer"]["dim_feedforward"]
    assert memory.heads == attention["layer"]["self_attention"]["num_heads"]
    assert memory.mask_scale == config["sigmoid_scale_for_mem_enc"]
    assert memory.mask_bias == config["sigmoid_bias_for_mem_enc"]
    assert memory.no_object_embedding == config.get("no_obj_embed_spatial", False)
    for flag in ("add_tpos_enc_to_obj_ptrs", "proj_tpos_enc_in_obj_ptrs", "use_signed_tpos_enc_to_obj_ptrs"):
        assert memory.pointer_times == config.get(flag, False)


def test_what_every_sam2_configuration_has_in_common(spec_and_config):
    """What our code takes for granted; a new configuration without it would need an option."""
    _, config = spec_and_config
    common = {
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
        "multimask_output_for_tracking": True,
        "use_multimask_token_for_obj_ptr": True,
        "multimask_min_pt_num": 0,
        "multimask_max_pt_num": 1,
        "use_mlp_for_obj_ptr_proj": True,
    }
    assert {key: config.get(key) for key in common} == common


@pytest.mark.parametrize("kind", ["vit_b", "vit_l", "vit_h"])
def test_sam_trunks(kind):
    package = pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    with WithoutInitialisation():
        official = package.sam_model_registry[kind]()
    trunk, encoder = MODELS[f"sam_{kind}"].trunk, official.image_encoder
    blocks = list(encoder.blocks)
    assert trunk.depth == len(blocks)
    assert trunk.embed_dim == encoder.pos_embed.shape[-1]
    assert trunk.grid == encoder.pos_embed.shape[1]
    assert trunk.num_heads == blocks[0].attn.num_heads
    assert trunk.global_blocks == tuple(i for i, block in enumerate(blocks) if block.window_size == 0)
    assert {block.window_size for block in blocks} == {0, trunk.window_size}
    assert MODELS[f"sam_{kind}"].decoder.heads == official.mask_decoder.transformer.num_heads
    assert isinstance(blocks[0].norm1, nn.LayerNorm)
    assert blocks[0].norm1.eps == 1e-6
