"""``SAM2Base`` by its official constructor: the official steps and structures, forwards and in training."""

import importlib
import inspect

import pytest
import torch
from torch import nn

from everymask.compat.sam2.modeling.sam2_base import SAM2Base
from tests.compat.cases import assert_close
from tests.parity.seeded import fill
from tests.video.parity import _cast_inputs, tiny

CLASSES = {
    "sam2_base": ("SAM2Base",),
    "memory_attention": ("MemoryAttention", "MemoryAttentionLayer"),
    "memory_encoder": ("MemoryEncoder", "MaskDownSampler", "Fuser", "CXBlock"),
    "position_encoding": ("PositionEmbeddingSine", "PositionEmbeddingRandom"),
    "sam2_utils": ("MLP", "DropPath", "LayerNorm2d"),
    "backbones.hieradet": ("Hiera", "MultiScaleBlock", "MultiScaleAttention"),
    "backbones.image_encoder": ("ImageEncoder", "FpnNeck"),
    "backbones.utils": ("PatchEmbed",),
    "sam.mask_decoder": ("MaskDecoder",),
    "sam.prompt_encoder": ("PromptEncoder",),
    "sam.transformer": ("TwoWayTransformer", "TwoWayAttentionBlock", "Attention"),
}
FUNCTIONS = {
    "modeling.sam2_utils": (
        "select_closest_cond_frames",
        "get_1d_sine_pe",
        "get_activation_fn",
        "get_clones",
        "sample_box_points",
        "sample_random_points_from_errors",
        "sample_one_point_from_error_center",
        "get_next_point",
    ),
    "modeling.position_encoding": (
        "init_t_xy",
        "compute_axial_cis",
        "reshape_for_broadcast",
        "apply_rotary_enc",
    ),
    "modeling.backbones.hieradet": ("do_pool",),
    "utils.misc": (
        "get_sdpa_settings",
        "get_connected_components",
        "mask_to_box",
        "load_video_frames",
        "fill_holes_in_mask_scores",
        "concat_points",
    ),
    "build_sam": (
        "build_sam2",
        "build_sam2_video_predictor",
        "build_sam2_hf",
        "build_sam2_video_predictor_hf",
        "_load_checkpoint",
    ),
}
METHODS = (
    "forward_image",
    "_prepare_backbone_features",
    "_prepare_memory_conditioned_features",
    "_forward_sam_heads",
    "_use_mask_as_output",
    "_encode_new_memory",
    "_encode_memory_in_output",
    "_track_step",
    "track_step",
    "_use_multimask",
    "_apply_non_overlapping_constraints",
)
VIDEO_METHODS = (
    "__init__",
    "init_state",
    "_obj_id_to_idx",
    "_obj_idx_to_id",
    "_get_obj_num",
    "add_new_points_or_box",
    "add_new_mask",
    "_get_orig_video_res_output",
    "_consolidate_temp_output_across_obj",
    "propagate_in_video_preflight",
    "propagate_in_video",
    "clear_all_prompts_in_frame",
    "reset_state",
    "_reset_tracking_results",
    "_get_image_feature",
    "_run_single_frame_inference",
    "_run_memory_encoder",
    "_get_maskmem_pos_enc",
    "remove_object",
    "_clear_non_cond_mem_around_input",
)


def both(path):
    pytest.importorskip("sam2")
    return tuple(importlib.import_module(f"{at}sam2.{path}") for at in ("everymask.compat.", ""))


def arguments(function):
    return {k: p for k, p in inspect.signature(function).parameters.items() if k != "self"}


def assert_takes_the_same(ours, official):
    mine, given = arguments(ours), arguments(official)
    given = {k: p for k, p in given.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    assert list(mine)[: len(given)] == list(given)
    for key, parameter in given.items():
        if key not in ("compute_device", "img_mean", "img_std"):  # a tuple of floats, and no CUDA by default
            assert mine[key].default == parameter.default, key


@pytest.mark.parametrize(("path", "kind"), [(m, c) for m, classes in CLASSES.items() for c in classes])
def test_classes_take_the_official_arguments(path, kind):
    ours, official = (getattr(module, kind) for module in both(f"modeling.{path}"))
    assert_takes_the_same(ours.__init__, official.__init__)
    if path not in ("position_encoding", "sam2_base"):
        assert (
            list(arguments(ours.forward))[: len(arguments(official.forward))]
            == list(arguments(official.forward))
            or len(arguments(official.forward)) == 1
        )


@pytest.mark.parametrize(("path", "name"), [(m, f) for m, names in FUNCTIONS.items() for f in names])
def test_functions_take_the_official_arguments(path, name):
    assert_takes_the_same(*(getattr(module, name) for module in both(path)))


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_the_official_arguments(name):
    assert_takes_the_same(*(getattr(module.SAM2Base, name) for module in both("modeling.sam2_base")))


@pytest.mark.parametrize("name", VIDEO_METHODS)
def test_methods_of_the_video_predictor_take_the_official_arguments(name):
    assert_takes_the_same(
        *(getattr(module.SAM2VideoPredictor, name) for module in both("sam2_video_predictor"))
    )


# --- a model put together by hand -----------------------------------------------------------------

DIM, MEMORY, SIDE = 32, 8, 128


def put_together(modules, **options):
    """A model as a program builds one of the official classes, odd options among them."""
    base, attention, encoder, position, hiera, image, rotary = modules
    grid = (SIDE // 16, SIDE // 16)
    trunk = hiera.Hiera(
        embed_dim=16,
        num_heads=1,
        stages=[1, 1, 2, 1],
        global_att_blocks=[3],
        window_spec=[8, 4, 4, 2],
        window_pos_embed_bkg_spatial_size=[7, 7],
    )
    neck = image.FpnNeck(
        position.PositionEmbeddingSine(DIM),
        DIM,
        [128, 64, 32, 16],
        fpn_interp_model="nearest",
        fpn_top_down_levels=[2, 3],
    )
    common = {"embedding_dim": DIM, "num_heads": 1, "downsample_rate": 1, "dropout": 0.0, "feat_sizes": grid}
    layer = attention.MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=48,
        dropout=0.0,
        pos_enc_at_attn=False,
        self_attention=rotary.RoPEAttention(**common),
        d_model=DIM,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=rotary.RoPEAttention(rope_k_repeat=True, kv_in_dim=MEMORY, **common),
    )
    given = {
        "num_maskmem": 4,
        "image_size": SIDE,
        "sigmoid_scale_for_mem_enc": 20.0,
        "sigmoid_bias_for_mem_enc": -10.0,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True,
        "multimask_min_pt_num": 0,
        "multimask_output_for_tracking": True,
        "use_multimask_token_for_obj_ptr": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "max_obj_ptrs_in_encoder": 5,
        "add_tpos_enc_to_obj_ptrs": True,
        "proj_tpos_enc_in_obj_ptrs": True,
        "use_signed_tpos_enc_to_obj_ptrs": True,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
        "use_mlp_for_obj_ptr_proj": True,
        "no_obj_embed_spatial": True,
    }
    return base.SAM2Base(
        image_encoder=image.ImageEncoder(trunk, neck, scalp=1),
        memory_attention=attention.MemoryAttention(DIM, pos_enc_at_input=True, layer=layer, num_layers=2),
        memory_encoder=encoder.MemoryEncoder(
            out_dim=MEMORY,
            mask_downsampler=encoder.MaskDownSampler(DIM, kernel_size=3, stride=2, padding=1),
            fuser=encoder.Fuser(encoder.CXBlock(DIM), num_layers=2),
            position_encoding=position.PositionEmbeddingSine(MEMORY),
            in_dim=DIM,
        ),
        **{**given, **options},
    )


ODD = {
    "as published": {},
    "SAM 2.0": {
        "add_tpos_enc_to_obj_ptrs": False,
        "proj_tpos_enc_in_obj_ptrs": False,
        "use_signed_tpos_enc_to_obj_ptrs": False,
        "no_obj_embed_spatial": False,
    },
    "no pointers, no fine maps": {
        "use_obj_ptrs_in_encoder": False,
        "pred_obj_scores": False,  # officially an object's score needs its pointer
        "pred_obj_scores_mlp": False,
        "fixed_no_obj_ptr": False,
        "use_high_res_features_in_sam": False,
        "multimask_output_for_tracking": False,
        "proj_tpos_enc_in_obj_ptrs": False,
    },
    "pointers of the future, unsigned, soft, one linear layer": {
        "only_obj_ptrs_in_the_past_for_eval": False,
        "use_signed_tpos_enc_to_obj_ptrs": False,
        "soft_no_obj_ptr": True,
        "use_mlp_for_obj_ptr_proj": False,
        "pred_obj_scores_mlp": False,
        "max_cond_frames_in_attn": 2,
        "memory_temporal_stride_for_eval": 2,
    },
    "masks decoded, no scores": {
        "use_mask_input_as_output_without_sam": False,
        "pred_obj_scores": False,
        "pred_obj_scores_mlp": False,
        "fixed_no_obj_ptr": False,
        "non_overlap_masks_for_mem_enc": True,
        "binarize_mask_from_pts_for_mem_enc": True,
        "sam_mask_decoder_extra_args": {"dynamic_multimask_via_stability": True},
        "multimask_output_in_sam": False,
    },
}


@pytest.fixture(params=ODD)
def pair(request):
    ours, official = (put_together(m, **ODD[request.param]) for m in zip(*MODULES(), strict=True))
    ours.load_state_dict(fill(official), strict=True)
    official.load_state_dict(ours.state_dict(), strict=True)
    for part in (official.memory_attention,):  # left to autocast officially
        part.register_forward_pre_hook(_cast_inputs(torch.float32), with_kwargs=True)
    return ours.eval(), official.eval()


def MODULES():
    paths = (
        "sam2_base",
        "memory_attention",
        "memory_encoder",
        "position_encoding",
        "backbones.hieradet",
        "backbones.image_encoder",
        "sam.transformer",
    )
    return [both(f"modeling.{path}") for path in paths]


FRAMES = torch.randn(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
MASKS = torch.zeros(2, 1, SIDE, SIDE)
MASKS[0, :, 30:90, 20:60] = 1
MASKS[1, :, 10:50, 70:120] = 1


def clip_of(model, *, points=None, reverse=False, frames=FRAMES):
    """Two objects prompted on two frames and followed, as SAM 2's training code does it: every output."""
    outs = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    order = range(len(frames))[:: -1 if reverse else 1]
    for count, index in enumerate(order):
        found = model.forward_image(frames[index : index + 1].expand(len(MASKS), -1, -1, -1))
        _, features, positions, sizes = model._prepare_backbone_features(found)
        prompted = count in (0, 3)
        clicks = points if prompted and count == 0 else None
        out = model.track_step(
            frame_idx=index,
            is_init_cond_frame=prompted,
            current_vision_feats=features,
            current_vision_pos_embeds=positions,
            feat_sizes=sizes,
            point_inputs=clicks,
            mask_inputs=MASKS if prompted and clicks is None else None,
            output_dict=outs,
            num_frames=len(frames),
            track_in_reverse=reverse,
        )
        outs["cond_frame_outputs" if prompted else "non_cond_frame_outputs"][index] = out
    return outs


CLICKS = {
    "point_coords": torch.tensor([[[40.0, 60.0]], [[90.0, 30.0]]]),
    "point_labels": torch.ones(2, 1, dtype=torch.int32),
}


def assert_same_outputs(ours, theirs):
    assert ours.keys() == theirs.keys()
    for kind in ours:
        assert ours[kind].keys() == theirs[kind].keys()
        for frame, out in ours[kind].items():
            official = theirs[kind][frame]
            assert out.keys() == official.keys()
            for name, value in out.items():
                if name in ("point_inputs", "mask_inputs"):
                    continue
                pairs = (
                    zip(value, official[name], strict=True)
                    if isinstance(value, list)
                    else [(value, official[name])]
                )
                for mine, other in pairs:
                    assert mine.shape == other.shape, name
                    assert_close(mine.detach(), other.detach())


@torch.no_grad()
@pytest.mark.parametrize(("given", "reverse"), [("masks", False), ("points", True)])
def test_a_clip_gives_the_official_outputs(pair, given, reverse):
    points = CLICKS if given == "points" else None
    ours, theirs = (clip_of(model, points=points, reverse=reverse) for model in pair)
    assert_same_outputs(ours, theirs)


@torch.no_grad()
def test_a_touched_memory_attention_runs_its_parts_to_the_same_outputs(pair):
    plain = clip_of(pair[0])
    shapes = []
    layer = pair[0].memory_attention.layers[0]
    layer.cross_attn_image.k_proj.register_forward_hook(lambda _m, _i, out: shapes.append(out.shape))
    layer.self_attn.register_forward_hook(lambda _m, _i, out: shapes.append(out.shape))
    assert_same_outputs(clip_of(pair[0]), plain)
    assert len(shapes) >= 2 * 4
    assert all(len(shape) == 3 and shape[0] == len(MASKS) for shape in shapes)


def gradients_of(model, frames=FRAMES):
    """The loss of a clip, and the gradients by name."""
    model.zero_grad()
    outs = clip_of(model.train().requires_grad_(True), frames=frames)
    found = [out for kind in outs.values() for out in kind.values()]
    loss = sum(
        out["pred_masks_high_res"].square().mean() * 1e-3 + out["obj_ptr"].square().mean() for out in found
    )
    loss.backward()
    return loss.detach(), {name: each.grad for name, each in model.named_parameters()}


def test_a_training_step_has_the_official_loss_and_gradients(pair):
    """As near as the official gradients are to those of the same clip 1e-5 brighter: in float32 rounding
    decides on which side of a ReLU some values lie, and the official code does not run in float64."""
    ours, official = pair
    loss, gradients = gradients_of(ours)
    expected_loss, expected = gradients_of(official)
    _, brighter = gradients_of(official, FRAMES * (1 + 1e-5))
    assert_close(loss, expected_loss)
    assert {name for name, each in gradients.items() if each is None} == {
        name for name, each in expected.items() if each is None
    }
    there = [name for name, each in expected.items() if each is not None]
    assert len(there) > 100
    for name in there:
        own = float((brighter[name] - expected[name]).norm())
        limit = 10 * own + 1e-3 * float(expected[name].norm()) + 1e-6
        assert float((gradients[name] - expected[name]).norm()) < limit, name


def test_lora_in_memory_attention_learns():
    torch.manual_seed(3)  # other weights may see no object anywhere, and learn nothing
    model = SAM2Base.of(tiny(image_size=128)).requires_grad_(False)
    layer = model.memory_attention.layers[0].cross_attn_image

    class Lora(nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.linear = linear
            self.down = nn.Linear(linear.in_features, 2, bias=False)
            self.up = nn.Linear(2, linear.out_features, bias=False)

        @property
        def weight(self):  # as peft's layers have it: reading it must not pass the adapter by
            return self.linear.weight

        @property
        def bias(self):
            return self.linear.bias

        def forward(self, x):
            return self.linear(x) + self.up(self.down(x))

    layer.k_proj = Lora(layer.k_proj)
    outs = clip_of(model)
    loss = sum(out["pred_masks_high_res"].square().mean() for out in outs["non_cond_frame_outputs"].values())
    loss.backward()
    assert float(layer.k_proj.down.weight.grad.abs().max()) > 0
    with torch.no_grad():
        before = clip_of(model)["non_cond_frame_outputs"][1]["pred_masks"]
        layer.k_proj.up.weight.add_(5.0)
        assert (clip_of(model)["non_cond_frame_outputs"][1]["pred_masks"] - before).abs().max() > 1e-3


# --- small functions ------------------------------------------------------------------------------


def test_points_for_training_are_the_official_ones():
    ours, official = both("modeling.sam2_utils")
    gt = torch.zeros(3, 1, 40, 50, dtype=torch.bool)
    gt[0, :, 5:20, 10:30] = True
    gt[1, :, 30:, 40:] = True
    pred = gt.roll(7, -1)
    pred[2] = gt[2]
    for name in ("uniform", "center"):
        for found in (pred, None):
            answers = []
            for module in (ours, official):
                torch.manual_seed(4)
                answers.append(module.get_next_point(gt, found, name))
            for mine, theirs in zip(*answers, strict=True):
                assert mine.dtype == theirs.dtype
                assert torch.equal(mine, theirs)
    answers = []
    for module in (ours, official):
        torch.manual_seed(5)
        answers.append(module.sample_box_points(gt))
    assert torch.equal(answers[0][1], answers[1][1])
    assert torch.allclose(answers[0][0], answers[1][0])


def test_boxes_and_position_codes_are_the_official_ones():
    ours, official = both("utils.misc")
    masks = torch.rand(4, 1, 30, 20, generator=torch.Generator().manual_seed(2)) > 0.97
    masks[3] = False
    assert torch.equal(ours.mask_to_box(masks), official.mask_to_box(masks))
    ours, official = (module.PositionEmbeddingSine(16) for module in both("modeling.position_encoding"))
    assert torch.equal(ours(torch.zeros(2, 3, 5, 7)), official(torch.zeros(2, 3, 5, 7)))
    x, y = torch.rand(2, 3), torch.rand(2, 3)
    assert torch.allclose(ours.encode_points(x, y, x), official.encode_points(x, y, x))
    assert torch.allclose(
        ours.encode_boxes(x[0], y[0], x[1], y[1]), official.encode_boxes(x[0], y[0], x[1], y[1])
    )


def test_rotations_are_the_official_ones():
    ours, official = both("modeling.position_encoding")
    q, k = torch.randn(1, 2, 12, 8), torch.randn(1, 2, 24, 8)
    turns = [module.compute_axial_cis(8, 4, 3) for module in (ours, official)]
    assert torch.allclose(*turns)
    for mine, theirs in zip(
        ours.apply_rotary_enc(q, k, turns[0], repeat_freqs_k=True),
        official.apply_rotary_enc(q, k, turns[1], repeat_freqs_k=True),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("most", [-1, 2, 3])
def test_conditioning_frames_are_chosen_as_officially(most):
    ours, official = both("modeling.sam2_utils")
    known = {frame: f"out {frame}" for frame in (0, 10, 40, 90, 60)}
    for frame in (0, 39, 50, 200):
        mine = ours.select_closest_cond_frames(frame, known, most)
        assert mine == official.select_closest_cond_frames(frame, known, most)
