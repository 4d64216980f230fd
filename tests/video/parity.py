"""The official video predictor next to ours: same seeded weights, same frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from everymask.models.load import load
from everymask.models.specs import MODELS, ModelSpec
from everymask.models.weights import to_official
from everymask.nn.encoders.hiera import HieraSpec
from everymask.video import following
from everymask.video.result import TrackedFrame
from everymask.video.tracker import VideoTracker
from tests.parity.official import official_model, seeded_pair

TINY_TRUNK = HieraSpec(24, 1, (1, 1, 2, 1), (3,), (7, 7), window_sizes=(8, 4, 4, 2))


def tiny(name: str = "sam2.1_hiera_tiny", *, image_size: int = 128) -> ModelSpec:
    """A model of the family's every part and flag, small enough for the default tests."""
    spec = MODELS[name]
    assert spec.memory is not None
    return replace(
        spec,
        trunk=TINY_TRUNK,
        image_size=image_size,
        embed_dim=64,
        decoder=replace(spec.decoder, mlp_dim=64, iou_hidden_dim=32),
        memory=replace(spec.memory, dim=16, layers=2, mlp_dim=64),
    )


def video_pair(
    spec: ModelSpec, seed: int = 0, *, bundled: bool = False, double: bool = False, **flags: Any
) -> tuple[Any, Any]:
    """Our model and the official predictor with the same seeded weights, or with nano's own (``bundled``);
    ``flags`` are attributes of the latter.

    The official predictor is meant to run under autocast. In float32 it fails where no object pointer is
    looked at (bfloat16 memories meet float32 weights), so what enters its memory parts is cast here.
    """
    ours, official = bundled_pair() if bundled else seeded_pair(spec, seed, video=True)
    dtype = torch.float64 if double else torch.float32
    if double:
        ours, official = ours.double(), official.double()
        official.image_encoder.register_forward_pre_hook(_cast_inputs(dtype), with_kwargs=True)
    for part in (
        official.memory_attention,
        official.memory_encoder,
        official.mask_downsample,
        official.sam_prompt_encoder.mask_downscaling,
        official.obj_ptr_tpos_proj,
    ):
        part.register_forward_pre_hook(_cast_inputs(dtype), with_kwargs=True)
    for name, value in flags.items():
        assert hasattr(official, name)
        setattr(official, name, value)
    return ours, official


def bundled_pair() -> tuple[Any, Any]:
    """nano as it ships, and the official predictor with nano's dimensions, trunk and weights."""
    ours, official = load("nano"), official_model(MODELS["nano"], video=True)
    official.load_state_dict(to_official(ours))
    return ours, official


def _cast_inputs(dtype: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        if isinstance(value, list):
            return [cast(one) for one in value]
        is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(dtype) if is_float else value

    def hook(module: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        return tuple(cast(arg) for arg in args), {name: cast(value) for name, value in kwargs.items()}

    return hook


@contextmanager
def positions_in_double() -> Iterator[None]:
    """The official position codes round to float32 whatever the model's type; here they do not."""
    from sam2.modeling import position_encoding
    from sam2.modeling.sam import transformer

    def rotate(xq: Any, xk: Any, freqs_cis: Any, repeat_freqs_k: bool = False) -> tuple[Any, Any]:
        turn = freqs_cis.to(torch.complex128)
        repeated = turn.repeat(xk.shape[-2] // len(turn), 1) if repeat_freqs_k else turn
        q, k = (
            torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * by).flatten(-2)
            for x, by in ((xq, turn), (xk, repeated))
        )
        return q, k

    def grid(self: Any, size: tuple[int, int]) -> Any:
        h, w = size
        y, x = (torch.arange(n, dtype=torch.float64) + 0.5 for n in size)
        xy = torch.stack(torch.meshgrid(x / w, y / h, indexing="xy"), dim=-1)
        return self._pe_encoding(xy).permute(2, 0, 1)

    def points(self: Any, coords: Any, image_size: tuple[int, int]) -> Any:
        return self._pe_encoding((coords / image_size[0]).double())

    random = position_encoding.PositionEmbeddingRandom
    with ExitStack() as stack:
        for owner, name, value in (
            (transformer, "apply_rotary_enc", rotate),
            (random, "forward", grid),
            (random, "forward_with_coords", points),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


@contextmanager
def memories_kept_in(dtype: torch.dtype) -> Iterator[None]:
    """Both sides keep memories in ``dtype`` instead of bfloat16."""
    from sam2 import sam2_video_predictor

    class Torch:
        """torch as the official module sees it: what it calls bfloat16 is another type."""

        bfloat16 = dtype

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    with (
        mock.patch.object(sam2_video_predictor, "torch", Torch()),
        mock.patch.object(following, "STORED", dtype),
    ):
        yield


def moving_scene(count: int, hw: tuple[int, int] = (90, 140)) -> np.ndarray:
    """Frames with a disc and a square that move over a pattern, uint8 [N, H, W, 3]."""
    height, width = hw
    y, x = np.mgrid[:height, :width]
    frames = []
    for i in range(count):
        red = 120 + 60 * np.sin(x / 9 + i / 7)
        frame = np.stack([red, 90 + 50 * np.cos(y / 6), 110 + 0 * x], axis=-1)
        frame[(x - 30 - 2 * i) ** 2 + (y - 40 - i / 2) ** 2 < 200] = (230, 210, 40)
        frame[(abs(x - 110 + 2 * i) < 12) & (abs(y - 60) < 12)] = (20, 60, 200)
        frames.append(frame)
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def write_jpegs(folder: Path, frames: np.ndarray) -> Path:
    """Frames as the official loader wants them: 00000.jpg, 00001.jpg, ..."""
    folder.mkdir(exist_ok=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i:05d}.jpg", quality=95)
    return folder


@contextmanager
def components_without_cuda() -> Iterator[None]:
    """The official hole filling needs a CUDA extension and is left out without it; here OpenCV stands in."""
    import cv2
    from sam2.utils import misc

    def components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        labels, areas = torch.zeros(mask.shape, dtype=torch.int32), torch.zeros(mask.shape, dtype=torch.int32)
        for n, one in enumerate(mask[:, 0].numpy().astype(np.uint8)):
            _, found, stats, _ = cv2.connectedComponentsWithStats(one, connectivity=8)
            labels[n, 0] = torch.from_numpy(found)
            areas[n, 0] = torch.from_numpy(stats[:, cv2.CC_STAT_AREA])[labels[n, 0].long()]
        return labels, areas

    with mock.patch.object(misc, "get_connected_components", components):
        yield


def spread_error(ours: np.ndarray, official: np.ndarray) -> float:
    """The largest difference of logits over the official ones' standard deviation, absent ones left out."""
    absent = official <= -1023
    assert np.array_equal(absent, ours <= -1023)
    if absent.all():  # also where there is nothing
        return 0.0
    spread = float(official[~absent].std())
    return float(np.abs(ours - official)[~absent].max()) / spread


class Both:
    """Does everything twice, officially and with ours, and compares all logits on the way.

    Unless ``rounded``, both sides keep memories unrounded: rounding to bfloat16 makes of the last bit of
    float64, too, a difference of 1e-2 now and then.
    """

    def __init__(
        self,
        clip: Path,
        spec: ModelSpec,
        *,
        seed: int = 0,
        bundled: bool = False,
        double: bool = True,
        rounded: bool = False,
        options: dict[str, Any] | None = None,
        **flags: Any,
    ) -> None:
        ours, self.official = video_pair(spec, seed, bundled=bundled, double=double, **flags)
        self.patches: list[Callable[[], Any]] = [components_without_cuda]
        if double:
            self.patches.append(positions_in_double)
        if not rounded:
            self.patches.append(partial(memories_kept_in, torch.float64 if double else torch.float32))
        with self.patched():
            self.state = self.official.init_state(str(clip))
        same_as_official = {"corrections_condition": False, "keep_frames": None, **(options or {})}
        self.session = VideoTracker(ours, **same_as_official).open(clip)
        self.worst = 0.0
        self.frames_compared = 0
        self.ours: list[np.ndarray] = []
        self.theirs: list[np.ndarray] = []
        self.absences = 0
        self.pixels_that_differ = 0.0

    def patched(self) -> ExitStack:
        stack = ExitStack()
        for patch in self.patches:
            stack.enter_context(patch())
        return stack

    def prompt(self, frame: int, object_id: int, **prompt: Any) -> None:
        with self.patched():
            if "mask" in prompt:
                _, ids, logits = self.official.add_new_mask(self.state, frame, object_id, prompt["mask"])
            else:
                _, ids, logits = self.official.add_new_points_or_box(self.state, frame, object_id, **prompt)
        if "clear_old_points" in prompt:
            prompt["keep_points"] = not prompt.pop("clear_old_points")
        with self.patched():
            ours = self.session.add_prompt(frame, object_id, **prompt)
        self.compare(ours, ids, logits)

    def clear(self, frame: int, object_id: int) -> None:
        _, ids, logits = self.official.clear_all_prompts_in_frame(self.state, frame, object_id)
        self.compare(self.session.clear(frame, object_id), ids, logits)

    def remove(self, object_id: int) -> None:
        self.official.remove_object(self.state, object_id)
        self.session.remove_object(object_id)

    def track(self, start: int | None = None, frames: int | None = None, reverse: bool = False) -> list[int]:
        """Propagate over ``frames`` more frames than one, as the official code counts."""
        step = -1 if reverse else 1
        stop = None if frames is None else start + (frames + 1) * step
        with self.patched():
            theirs = self.official.propagate_in_video(self.state, start, frames, reverse)
            seen = []
            for ours, (index, ids, logits) in zip(
                self.session.propagate(start, stop, reverse), theirs, strict=True
            ):
                assert ours.index == index
                self.compare(ours, ids, logits)
                seen.append(index)
        return seen

    def compare(self, ours: TrackedFrame, ids: list[int], logits: torch.Tensor) -> None:
        assert list(ours.object_ids) == list(ids)
        official = logits[:, 0].float().numpy()
        self.absences += int((official <= -1023).all(axis=(1, 2)).sum())
        raw = ours.logits
        if self.session.options.non_overlap_masks:  # where two objects are nearly equal, rounding decides
            raw, official = raw[:0], official[:0]
        self.worst = max(self.worst, spread_error(raw, official))
        self.frames_compared += 1
        self.ours.append(ours.logits)
        self.theirs.append(logits[:, 0].float().numpy())
        differing = float((ours.masks != (logits[:, 0].numpy() > 0)).mean())
        self.pixels_that_differ = max(self.pixels_that_differ, differing)
