"""The one rule between fast and plain forms: every kind of touch, and on every trunk that nobody can tell
which form ran."""

import io
import warnings

import pytest
import torch
from torch import nn

from everymask.nn.encoders.convnet import ConvNet
from everymask.nn.encoders.plain_vit import PlainViT
from everymask.nn.encoders.repvit import RepViT
from everymask.nn.encoders.tiny_vit import TinyViT
from everymask.nn.encoders.vit import ViT
from everymask.nn.layers import MLP
from everymask.nn.touched import untouched
from tests.nn.small_trunks import TRUNKS, pixels_for, trunk

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")


def maps_of(answer):
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


def difference(ours, theirs):
    """The largest difference over all maps, in units of the reference's spread."""
    pairs = zip(maps_of(ours), maps_of(theirs), strict=True)
    return max(((a - b).abs().max() / b.std()).item() for a, b in pairs)


# --- the rule -------------------------------------------------------------------------------------


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def test_a_module_as_it_was_built_is_untouched():
    assert untouched(MLP(4, 4, 4, 2).requires_grad_(False), torch.zeros(1, 4))


@pytest.mark.parametrize(
    "touch",
    [
        lambda m: m.register_forward_hook(print),
        lambda m: m.layers[1].register_forward_hook(print),
        lambda m: m.layers[0].register_forward_pre_hook(print),
        lambda m: m.layers.__setitem__(1, Doubled(4, 4)),
        lambda m: m.layers.__setitem__(0, nn.Sequential(nn.Linear(4, 4))),
        lambda m: setattr(m.layers[0], "forward", lambda x: x),
        lambda m: nn.utils.parametrizations.spectral_norm(m.layers[0]),
        lambda m: m.requires_grad_(True),
    ],
    ids=["hook", "hook on a part", "pre-hook", "subclass", "wrapped", "forward", "parametrised", "gradients"],
)
def test_every_kind_of_touch_is_seen(touch):
    module = MLP(4, 4, 4, 2).requires_grad_(False)
    touch(module)
    assert not untouched(module, torch.zeros(1, 4))


def test_inputs_that_want_gradients_count_as_a_touch():
    module, x = MLP(4, 4, 4, 2).requires_grad_(False), torch.zeros(1, 4, requires_grad=True)
    assert not untouched(module, x)
    with torch.no_grad():
        assert untouched(module, x)


def test_a_hook_on_every_module_counts_as_a_touch():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not untouched(nn.Linear(2, 2).requires_grad_(False))
    finally:
        handle.remove()


def test_a_hook_taken_off_again_leaves_no_touch():
    module = MLP(4, 4, 4, 2).requires_grad_(False)
    module.layers[0].register_forward_hook(print).remove()
    assert untouched(module)


def test_tracing_counts_as_a_touch():
    seen = []

    class Asks(nn.Module):
        def forward(self, x):
            seen.append(untouched(nn.Linear(2, 2).requires_grad_(False), x))
            return x + 1

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Asks(), torch.zeros(2), check_trace=False)
    assert seen == [False]


# --- every trunk ----------------------------------------------------------------------------------


@pytest.fixture(params=TRUNKS)
def small(request):
    return trunk(request.param), pixels_for(request.param)


def blocks_of(module):
    """Modules that stand behind one another and hand on a stream."""
    if isinstance(module, TinyViT):
        return [block for layer in module.layers for block in layer.blocks]
    if isinstance(module, RepViT):
        return [block for name in module.body.names for block in module.body.get_submodule(name).blocks]
    if isinstance(module, ConvNet):
        return [block for stage in module.stages for block in stage]
    return list(module.blocks)


@torch.no_grad()
def test_the_plain_form_gives_the_values_of_the_fast_form(small):
    module, pixels = small
    fast = module(pixels)
    for part in module.modules():
        part.register_forward_hook(lambda *_: None)
    assert difference(module(pixels), fast) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_hooks_keep_is_not_overwritten(small, mode):
    module, pixels = small
    kept, then = [], []

    def keep(_module, _inputs, output):
        kept.append(output)
        then.append(output.clone())

    for block in blocks_of(module)[:4]:
        block.register_forward_hook(keep)
    with mode():
        module(pixels)
    assert len(kept) >= 4 or len(kept) == len(blocks_of(module))
    assert all(torch.equal(now, before) for now, before in zip(kept, then, strict=True))
    assert len({round(x.std().item(), 6) for x in kept}) == len(kept)


@torch.no_grad()
def test_what_hooks_on_every_part_keep_is_not_overwritten(small):
    module, pixels = small
    kept = []
    for part in module.modules():
        part.register_forward_hook(
            lambda _m, _i, out: kept.extend(
                (x, x.clone()) for x in maps_of(out) if isinstance(x, torch.Tensor)
            )
        )
    module(pixels)
    assert all(torch.equal(now, before) for now, before in kept)


@torch.no_grad()
def test_blocks_called_by_hand_leave_their_inputs_alone(small):
    module, _ = small
    x = torch.randn(*((1, 8, 8, 32) if isinstance(module, ViT | PlainViT) else (1, 16, 16, 16)))
    first = blocks_of(module)[0]
    given, before = x, x.clone()
    first(given)
    assert torch.equal(given, before)


@torch.no_grad()
def test_a_replaced_layer_is_called(small):
    module, pixels = small
    before = module(pixels)
    wanted = ".channel_mixer.conv2" if isinstance(module, RepViT) else "qkv"
    name, layer = next((name, part) for name, part in module.named_modules() if name.endswith(wanted))
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Sequential(layer, Tripled()))
    assert difference(module(pixels), before) > 1e-3


class Tripled(nn.Module):
    def forward(self, x):
        return 3 * x


@torch.no_grad()
def test_a_replaced_attention_is_called_as_the_official_one():
    """With windows of tokens, as adapters around an official ``blk.attn`` are written."""
    module, pixels = trunk("vit"), pixels_for("vit")
    shapes = []

    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            shapes.append(tuple(x.shape))
            return self.inner(x)

    before = module(pixels)
    for block in module.blocks[:2]:
        block.attn = Wrapped(block.attn)
    assert difference(module(pixels), before) < 1e-5
    assert shapes == [(4, 14, 14, 32), (1, 16, 16, 32)]


def test_gradients_flow_through_every_trunk(small):
    module, pixels = small
    module.requires_grad_(True)
    sum(x.square().mean() for x in maps_of(module(pixels))).backward()
    without = {name for name, weight in module.named_parameters() if weight.grad is None}
    assert all("head" in name for name in without)


# --- recorders ------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_traced_trunk_gives_the_same_on_another_picture(small):
    module, pixels = small
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, pixels, check_trace=False)
    assert difference(traced(pixels.flip(-1)), module(pixels.flip(-1))) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.full)])  # 20 s each
def test_an_exported_trunk_gives_the_same_through_onnx_runtime(small, dynamo):
    """The older exporter used to write a file that computed something else, or did not load."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    module, pixels = small
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(module, (pixels,), dynamo=True, verbose=False).save(file)
        else:
            torch.onnx.export(module, (pixels,), file, dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    other = pixels.flip(-1)
    answers = session.run(None, {session.get_inputs()[0].name: other.numpy()})
    assert difference([torch.from_numpy(x) for x in answers], module(other)) < 1e-4
