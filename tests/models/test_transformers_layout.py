"""Files of Hugging Face's ``transformers``: the same masks from the same weights, there and back."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from everymask.cli import main as cli
from everymask.errors import OptionError
from everymask.export import weights_file
from everymask.models.load import build, empty
from everymask.models.specs import MODELS
from everymask.models.transformers_config import transformers_config
from everymask.models.transformers_layout import from_transformers, to_transformers_names
from everymask.models.weights import read_weights, recognise, to_official, to_transformers
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.repvit import Body
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.seeded import seeded_state
from tests.parity.torchvision_standin import hidden

SAM = replace(MODELS["sam_vit_b"], image_size=128, trunk=ViTSpec(32, 2, 2, global_blocks=(1,)))
HQ = replace(SAM, decoder=replace(SAM.decoder, early_dim=32))
POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
SAM2 = replace(
    MODELS["sam2.1_hiera_tiny"], image_size=128, trunk=HieraSpec(16, 1, (1, 2, 2, 1), (4,), (7, 7))
)


def config_of(spec):
    """The keywords of a config of transformers."""
    config = transformers_config(spec)
    return {key: value for key, value in config.items() if key not in ("model_type", "architectures")}


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
        if name.startswith(("nano", "mobile_sam", "sam_hq_vit_tiny", "efficienttam", "sam2.1_hq")):
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
    with pytest.raises(OptionError, match=r"SAM 2 \(Hiera\) and EdgeTAM, not nano; keep the official names"):
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


def test_hq_sam_gives_the_parts_that_transformers_gives():
    """Its SamHQModel (5.24) upscales the photo's own embedding, not what its decoder's transformer makes of
    it, and so has other masks than the official code: scores and the maps of the finer mask are compared."""
    transformers = pytest.importorskip("transformers")
    model = seeded(HQ)
    theirs = transformers.SamHQModel(transformers.SamHQConfig(**config_of(HQ))).eval()
    assert not theirs.load_state_dict(to_transformers(model), strict=True).missing_keys
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    points, labels = torch.tensor([[[40.0, 60.0], [90.0, 20.0]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        features = model.encode_image(pixels)
        tokens = model.arrange(points + 0.0, labels, None)
        ours = model.choose(model.decode(features, model.encode_prompts(*tokens, None)), False)
        prompts = {"input_points": points[None], "input_labels": labels[None]}
        their = theirs(pixel_values=pixels, **prompts, multimask_output=False)
        seen, decoder = theirs.vision_encoder(pixels), theirs.mask_decoder
        fine = quadrupled(decoder, "encoder", seen.last_hidden_state)
        fine += quadrupled(decoder, "compress_vit", seen.intermediate_embeddings[0].permute(0, 3, 1, 2))
        hyper = torch.randn(1, 32, generator=torch.Generator().manual_seed(2))[:, :, None, None]
        finer = model.mask_decoder.embedding_maskfeature(hyper.expand(1, 32, 9, 9))
        finer_there = decoder.mask_conv2(
            decoder.activation(decoder.mask_norm(decoder.mask_conv1(hyper.expand(1, 32, 9, 9))))
        )
    torch.testing.assert_close(their.iou_scores.reshape(ours.iou.shape), ours.iou, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fine, features.early[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(finer_there, finer, atol=1e-4, rtol=1e-4)


def quadrupled(decoder, name, x):
    """Two steps up, through the layers that transformers names alike."""
    first, norm, second = (getattr(decoder, f"{name}_{part}") for part in ("conv1", "norm", "conv2"))
    return second(decoder.activation(norm(first(x))))


def test_edgetam_is_loaded_strictly_by_transformers(monkeypatch):
    """All but the trunk, which is timm's: a module with our trunk's parts stands for it."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.edgetam import modeling_edgetam

    class Trunk(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.timm_model = Body(MODELS["edgetam"].trunk)

    config = transformers.EdgeTamVideoConfig(
        **{key: value for key, value in config_of(MODELS["edgetam"]).items() if key != "vision_config"},
        vision_config={
            "model_type": "edgetam_vision_model",
            "backbone_config": {"model_type": "sam2_hiera_det_model"},
        },
    )
    monkeypatch.setattr(modeling_edgetam.AutoModel, "from_config", lambda *_, **__: Trunk())
    vision = modeling_edgetam.EdgeTamVisionModel(config.vision_config)
    from transformers.models.edgetam_video import modeling_edgetam_video

    monkeypatch.setattr(modeling_edgetam_video.AutoModel, "from_config", lambda *_, **__: vision)
    theirs = transformers.EdgeTamVideoModel(config)
    with torch.device("meta"):
        official = to_official(empty(MODELS["edgetam"]))
    wanted = {key: tuple(value.shape) for key, value in to_transformers_names(official).items()}
    assert {key: tuple(value.shape) for key, value in theirs.state_dict().items()} == wanted


def test_keys_and_values_of_edgetam_are_parted_and_joined():
    kv = torch.arange(8.0).reshape(4, 2)
    name = "spatial_perceiver.layers.1.attn.to_kv.weight"
    official = {name: kv, "sam_mask_decoder.x": kv, f"{POSITIONS}": kv, "image_encoder.trunk.body.a": kv}
    official |= {f"sam_prompt_encoder.point_embeddings.{n}.weight": torch.zeros(1, 2) for n in range(4)}
    theirs = to_transformers_names(official)
    assert theirs["spatial_perceiver.layers.1.cross_attention.k_proj.weight"].tolist() == [[0, 1], [2, 3]]
    assert theirs["spatial_perceiver.layers.1.cross_attention.v_proj.weight"].tolist() == [[4, 5], [6, 7]]
    theirs["vision_encoder.backbone.timm_model.a"] = kv
    assert torch.equal(from_transformers(theirs)[name], kv)


@pytest.mark.parametrize("name", ["sam", "sam_hq", "sam2"])
def test_a_converted_folder_is_what_from_pretrained_reads(tmp_path, monkeypatch, name):
    transformers = pytest.importorskip("transformers")
    spec = {"sam": SAM, "sam_hq": HQ, "sam2": SAM2}[name]
    monkeypatch.setattr(weights_file, "recognise", lambda state, file: spec)
    state = to_official(seeded(spec))
    save_file(state, tmp_path / "mine.safetensors")
    written = weights_file.convert_weights(tmp_path / "mine.safetensors", tmp_path / "hf", "transformers")
    assert [path.name for path in written] == ["model.safetensors", "config.json"]
    config = json.loads(written[1].read_text("utf-8"))
    kind = getattr(transformers, config["architectures"][0])
    theirs, told = kind.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    assert theirs.config.model_type == config["model_type"]
    # and back: a folder of transformers, to the file of the official code
    (back,) = weights_file.convert_weights(tmp_path / "hf", tmp_path / "back.pt")
    content = torch.load(back, weights_only=True)
    content = content["model"] if name == "sam2" else content
    assert content.keys() == state.keys()
    assert all(torch.equal(content[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("output", "layout", "said"),
    [
        ("a.pt", "transformers", "name a folder"),
        ("a.onnx", "official", r"written as \.safetensors, \.pt or \.pth, or into a folder"),
        ("in.safetensors", "official", "is the file that is read"),
        ("out", "keras", "a layout is one of official, transformers, got 'keras'"),
        ("out", "transformers", "and EdgeTAM, not nano; keep the official names"),
    ],
)
def test_a_conversion_that_cannot_be_is_said_and_nothing_written(tmp_path, output, layout, said):
    (source,) = weights_file.convert_weights("nano", tmp_path / "in.safetensors")
    before = source.read_bytes()
    with pytest.raises(OptionError, match=said):
        weights_file.convert_weights(source, tmp_path / output, layout)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]
    assert source.read_bytes() == before


def test_models_convert_on_the_command_line(tmp_path, capsys):
    assert cli.run(["models", "convert", "nano", str(tmp_path / "nano.pt")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "nano.pt")]
    assert recognise(read_weights(tmp_path / "nano.pt")) is MODELS["nano"]
    assert cli.run(["models", "convert", "nano", str(tmp_path / "x"), "--to", "transformers"]) == 2
    assert capsys.readouterr().err.startswith("error: transformers has SAM")


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
