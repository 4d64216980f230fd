"""SAM's module tree: official constructors, signatures, keys and steps; surgery on it as programs do it."""

import copy
import importlib
import inspect
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from everymask.compat import segment_anything as compat
from everymask.compat.segment_anything import modeling
from tests.compat import test_segment_anything_image as sam_tests
from tests.compat.cases import assert_close
from tests.parity.conftest import seeded_photo
from tests.parity.seeded import fill

CLASSES = {
    "image_encoder": ("ImageEncoderViT", "Block", "Attention", "PatchEmbed"),
    "mask_decoder": ("MaskDecoder", "MLP"),
    "prompt_encoder": ("PromptEncoder", "PositionEmbeddingRandom"),
    "transformer": ("TwoWayTransformer", "TwoWayAttentionBlock", "Attention"),
    "common": ("LayerNorm2d", "MLPBlock"),
    "sam": ("Sam",),
}


def module_pair(name):
    pytest.importorskip("segment_anything")
    return tuple(
        importlib.import_module(f"{at}segment_anything.modeling.{name}") for at in ("everymask.compat.", "")
    )


@pytest.mark.parametrize(("name", "kind"), [(m, c) for m, classes in CLASSES.items() for c in classes])
def test_constructors_take_the_official_arguments(name, kind):
    ours, official = (getattr(module, kind) for module in module_pair(name))
    given = {k: p for k, p in inspect.signature(official.__init__).parameters.items() if k != "self"}
    mine = inspect.signature(ours.__init__).parameters
    assert list(mine)[1 : len(given) + 1] == list(given)
    for key, parameter in given.items():
        assert mine[key].kind == parameter.kind
        if key not in ("pixel_mean", "pixel_std"):  # tuples here
            assert mine[key].default == parameter.default, key


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [
        ("image_encoder", "ImageEncoderViT", "forward"),
        ("image_encoder", "Block", "forward"),
        ("mask_decoder", "MaskDecoder", "forward"),
        ("mask_decoder", "MaskDecoder", "predict_masks"),
        ("prompt_encoder", "PromptEncoder", "forward"),
        ("prompt_encoder", "PromptEncoder", "_embed_points"),
        ("prompt_encoder", "PositionEmbeddingRandom", "forward_with_coords"),
        ("transformer", "TwoWayTransformer", "forward"),
        ("transformer", "TwoWayAttentionBlock", "forward"),
        ("transformer", "Attention", "forward"),
        ("sam", "Sam", "postprocess_masks"),
    ],
)
def test_methods_take_the_official_arguments(name, kind, method):
    ours, official = (getattr(getattr(module, kind), method) for module in module_pair(name))
    names = [list(inspect.signature(each).parameters) for each in (ours, official)]
    assert names[0] == names[1] or (method, kind) in {("forward", "ImageEncoderViT")}


def build(module):
    """A model as programs build one of the official classes, odd options among them."""
    m = module
    return m.Sam(
        m.ImageEncoderViT(
            img_size=128,
            patch_size=16,
            embed_dim=32,
            depth=3,
            num_heads=2,
            out_chans=32,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=(1,),
        ),
        m.PromptEncoder(32, (8, 8), (128, 128), 16),
        m.MaskDecoder(
            transformer_dim=32,
            transformer=m.TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=48, num_heads=4),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=24,
        ),
        pixel_mean=[120.0, 110.0, 100.0],
        pixel_std=[50.0, 60.0, 70.0],
    )


@pytest.fixture
def pair():
    official_module = pytest.importorskip("segment_anything.modeling")
    official = build(official_module)
    state = fill(official)
    ours = build(modeling)
    ours.load_state_dict(state, strict=True)
    return ours.eval().requires_grad_(False), official.eval().requires_grad_(False)


def test_state_dicts_load_strictly_both_ways(pair):
    ours, official = pair
    assert ours.state_dict().keys() == official.state_dict().keys()
    official.load_state_dict(ours.state_dict(), strict=True)


def test_a_whole_forward_pass_equals_the_official_one(pair):
    picture = torch.from_numpy(seeded_photo(96, 128).copy()).permute(2, 0, 1).float()
    record = {
        "image": picture,
        "original_size": (90, 120),
        "point_coords": torch.tensor([[[30.0, 40.0], [3.0, 9.0]]]),
        "point_labels": torch.tensor([[1, 0]]),
    }
    mine, theirs = (model([record], multimask_output=True)[0] for model in pair)
    assert mine.keys() == theirs.keys()
    for key in ("iou_predictions", "low_res_logits"):
        assert_close(mine[key], theirs[key])
    assert (mine["masks"] != theirs["masks"]).float().mean() < 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"use_abs_pos": False},
        {"use_rel_pos": False},
        {"qkv_bias": False, "use_rel_pos": True},
        {"act_layer": nn.ReLU, "use_rel_pos": True},
        {"in_chans": 4, "use_rel_pos": True},
    ],
)
@torch.no_grad()
def test_encoders_of_any_official_options_equal_the_official_ones(options):
    answers = []
    pixels = torch.randn(1, options.get("in_chans", 3), 96, 96, generator=torch.Generator().manual_seed(0))
    state = None
    for module in reversed(module_pair("image_encoder")):
        encoder = module.ImageEncoderViT(
            img_size=96,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=16,
            window_size=4,
            global_attn_indexes=(1,),
            **options,
        )
        state = fill(encoder) if state is None else state
        encoder.load_state_dict(state, strict=True)
        answers.append(encoder(pixels))
    assert_close(answers[1], answers[0])


@torch.no_grad()
def test_steps_inside_equal_the_official_ones(pair):
    ours, official = pair
    points, labels = torch.tensor([[[10.0, 20.0]], [[90.0, 3.0]]]), torch.tensor([[1], [0]])
    image = torch.randn(2, 32, 8, 8, generator=torch.Generator().manual_seed(3))
    tokens = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(4))
    for step in (
        lambda m: m.prompt_encoder._embed_points(points, labels, pad=True),
        lambda m: m.prompt_encoder._embed_boxes(torch.tensor([[1.0, 2.0, 30.0, 40.0]])),
        lambda m: m.prompt_encoder.pe_layer._pe_encoding(points / 128),
        lambda m: m.prompt_encoder.pe_layer((8, 8)),
        lambda m: m.prompt_encoder.pe_layer.forward_with_coords(points, (100, 128)),
        lambda m: m.mask_decoder.transformer(image, image[:1].expand(2, -1, -1, -1), tokens)[0],
        lambda m: m.mask_decoder.transformer(image, image[:1].expand(2, -1, -1, -1), tokens)[1],
        lambda m: m.mask_decoder.predict_masks(image[:1], image[:1], tokens, image)[0],
        lambda m: m.image_encoder.blocks[0](torch.ones(1, 8, 8, 32).cumsum(1)),
        lambda m: m.image_encoder.blocks[0].attn(torch.ones(4, 3, 3, 32).cumsum(1)),
    ):
        assert_close(step(ours), step(official))
    assert ours.image_encoder.blocks[0].window_size == official.image_encoder.blocks[0].window_size == 3


class LoRA(nn.Module):
    """A linear layer with a low-rank addition to queries and values, as adapters for SAM are written."""

    def __init__(self, qkv, rank=2):
        super().__init__()
        self.qkv, dim = qkv, qkv.in_features
        self.down = nn.ModuleList(nn.Linear(dim, rank, bias=False) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(rank, dim, bias=False) for _ in range(2))

    def forward(self, x):
        qkv = self.qkv(x)
        dim = x.shape[-1]
        qkv[..., :dim] += self.up[0](self.down[0](x))
        qkv[..., -dim:] += self.up[1](self.down[1](x))
        return qkv


def with_lora(model):
    torch.manual_seed(0)
    model.requires_grad_(False)
    for block in model.image_encoder.blocks:
        block.attn.qkv = LoRA(block.attn.qkv)
    return model


def training_step(model):
    """As MedSAM and Sam_LoRA write one."""
    picture = torch.from_numpy(seeded_photo(128, 128).copy()).permute(2, 0, 1)[None].float()
    boxes = torch.tensor([[10.0, 20.0, 90.0, 100.0]])
    embedding = model.image_encoder(model.preprocess(picture))
    with torch.no_grad():
        sparse, dense = model.prompt_encoder(points=None, boxes=boxes, masks=None)
    low_res, _ = model.mask_decoder(
        image_embeddings=embedding,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    loss = nn.functional.binary_cross_entropy_with_logits(low_res, (low_res.detach() > 1).float())
    loss.backward()
    return low_res.detach()


def test_a_lora_training_step_equals_the_official_one(pair):
    masks = [training_step(with_lora(model)) for model in pair]
    assert_close(*masks)
    for mine, theirs in zip(*(list(model.image_encoder.named_parameters()) for model in pair), strict=True):
        assert mine[0] == theirs[0]
        assert (mine[1].grad is None) == (theirs[1].grad is None)
        if theirs[1].grad is not None:
            assert (mine[1].grad - theirs[1].grad).norm() <= 1e-2 * theirs[1].grad.norm() + 1e-12


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # torch's own: this way of quantising is on its way out
def test_dynamically_quantised_layers_are_used(pair):
    ours, official = (
        torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
        for model in pair
    )
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    mine, theirs, exact = (model.image_encoder(pixels) for model in (ours, official, pair[1]))
    assert (mine - theirs).std() < 0.2 * (theirs - exact).std() + 1e-4


def test_a_checkpoint_goes_through_the_predictor_of_the_package(pair):
    predictors = (compat.SamPredictor(pair[0]), pytest.importorskip("segment_anything").SamPredictor(pair[1]))
    answers = []
    for predictor in predictors:
        predictor.set_image(seeded_photo(90, 120))
        answers.append(predictor.predict(np.array([[30, 40]]), np.array([1])))
    assert_close(answers[0][2], answers[1][2])
    assert isinstance(sam_tests.models()[0], modeling.Sam)
