"""Files of Hugging Face's ``transformers``: the same masks from the same weights, there and back."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from everymask.errors import OptionError
from everymask.models.load import build, empty
from everymask.models.specs import MODELS
from everymask.models.transformers_layout import from_transformers, to_transformers_names
from everymask.models.weights import read_weights, recognise, to_official, to_transformers
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.seeded import seeded_state
from tests.parity.torchvision_standin import hidden

SAM = replace(MODELS["sam_vit_b"], image_size=128, trunk=ViTSpec(32, 2, 2, global_blocks=(1,)))
SAM2 = replace(
    MODELS["sam2.1_hiera_tiny"], image_size=128, trunk=HieraSpec(16, 1, (1, 2, 2, 1), (4,), (7, 7))
)


@pytest.fixture(autouse=True)
def without_the_stand_in():
    with hidden():
        yield


def seeded(spec):
    model = build(spec)
    shapes = {key: value.shape for key, value in to_official(model).items()}
    return build(spec, seeded_state(shapes))


def test_every_key_of_every_published_model_comes_back():
    for name, spec in MODELS.items():
        if name in ("nano", "mobile_sam", "edgetam") or "hq" in name:
            continue
        with torch.device("meta"):
            official = to_official(empty(spec))
        theirs = to_transformers_names(official)
        assert "vision_encoder.neck" in " ".join(theirs)
        back = from_transformers(theirs)
        assert back.keys() == official.keys()
        assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in official.items()}


def test_a_shared_position_matrix_is_found_under_either_name():
    theirs = to_transformers(seeded(SAM))
    both = from_transformers(theirs)
    del theirs["shared_image_embedding.positional_embedding"]
    assert from_transformers(theirs).keys() == both.keys()


def test_models_that_transformers_lacks_are_said():
    with pytest.raises(OptionError, match=r"has SAM \(ViT\) and SAM 2 \(Hiera\), not nano; use to_official"):
        to_transformers(empty(MODELS["nano"]))


def test_a_file_of_transformers_is_recognised(tmp_path):
    with torch.device("meta"):
        official = to_official(empty(MODELS["sam2.1_hiera_tiny"]))
    state = {k: torch.zeros(v.shape, dtype=torch.float16) for k, v in to_transformers_names(official).items()}
    save_file(state, tmp_path / "model.safetensors")
    read = read_weights(tmp_path / "model.safetensors")
    assert recognise(read) is MODELS["sam2.1_hiera_tiny"]
    photos = {k: v for k, v in read.items() if k.startswith(("image_encoder", "sam_", "no_mem_embed"))}
    assert recognise(photos) == replace(MODELS["sam2_hiera_tiny"], memory=None)


def test_sam_gives_the_masks_that_transformers_gives():
    transformers = pytest.importorskip("transformers")
    model = seeded(SAM)
    theirs = transformers.SamModel(
        transformers.SamConfig(
            vision_config={
                **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 128},
                **{"global_attn_indexes": [1], "mlp_dim": 128, "attn_implementation": "eager"},
            },
            prompt_encoder_config={"image_size": 128, "image_embedding_size": 8},
        )
    ).eval()
    missing = theirs.load_state_dict(to_transformers(model), strict=True)
    assert not missing.missing_keys
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    points, labels = torch.tensor([[[40.0, 60.0], [90.0, 20.0]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        their = theirs(pixel_values=pixels, input_points=points[None], input_labels=labels[None])
        assert_same_answer(model, pixels, points, labels, their)


def test_sam_2_gives_the_masks_that_transformers_gives():
    transformers = pytest.importorskip("transformers")
    model = seeded(SAM2)
    backbone = {
        **{"hidden_size": 16, "blocks_per_stage": [1, 2, 2, 1], "global_attention_blocks": [4]},
        **{"embed_dim_per_stage": [16, 32, 64, 128], "image_size": [128, 128], "num_attention_heads": 1},
    }
    vision = {
        **{"backbone_config": {"model_type": "sam2_hiera_det_model", **backbone}, "num_feature_levels": 3},
        **{
            "backbone_channel_list": [128, 64, 32, 16],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
    }
    config = transformers.Sam2VideoConfig(
        vision_config=vision, prompt_encoder_config={"image_size": 128}, image_size=128
    )
    video = transformers.Sam2VideoModel(config).eval()
    assert not video.load_state_dict(to_transformers(model), strict=True).missing_keys
    photos = transformers.Sam2Model(
        transformers.Sam2Config(vision_config=vision, prompt_encoder_config={"image_size": 128})
    ).eval()
    wanted = photos.state_dict().keys()
    photos.load_state_dict({k: v for k, v in to_transformers(model).items() if k in wanted}, strict=True)
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    points, labels = torch.tensor([[[40.0, 60.0], [90.0, 20.0]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        their = photos(pixel_values=pixels, input_points=points[None], input_labels=labels[None])
        assert_same_answer(model, pixels, points, labels, their)


def assert_same_answer(model, pixels, points, labels, their):
    """Logits and scores to 1e-4 of their spread."""
    tokens = model.arrange(points + 0.0, labels, None)
    decoded = model.decode(model.encode_image(pixels), model.encode_prompts(*tokens, None))
    ours = model.choose(decoded, True)
    logits = their.pred_masks.reshape(ours.mask_logits.shape)
    spread = float(logits.max() - logits.min())
    assert spread > 0
    assert float((logits - ours.mask_logits).abs().max()) < 1e-4 * spread
    torch.testing.assert_close(their.iou_scores.reshape(ours.iou.shape), ours.iou, atol=1e-4, rtol=1e-4)
