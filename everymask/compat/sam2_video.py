"""``sam2.sam2_video_predictor`` and the video builders: the official names around :class:`VideoSession`.

What differs from the official predictor, on purpose:

- frames are decoded when they are needed; ``offload_video_to_cpu`` and ``async_loading_frames`` are taken
  and have nothing to do;
- any video file, folder or list of pictures or array is a clip, not only MP4 and integer-named JPEG;
- ``clear_non_cond_mem_around_input`` works (officially it raises AttributeError), and holes are filled
  without a CUDA extension.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from everymask.compat.sam2.configs import checkpoint_of_hub_id, config_of_hub_id, spec_of_config
from everymask.compat.sam2.devices import available
from everymask.compat.sam2.modeling import SAM2Base
from everymask.errors import OptionError, PromptError, SessionError
from everymask.media.videos import open_frames
from everymask.models.load import build
from everymask.models.sam2 import Sam2
from everymask.models.weights import read_weights
from everymask.prompts import read_prompts
from everymask.video.options import TrackerOptions
from everymask.video.result import TrackedFrame
from everymask.video.session import VideoSession

__all__ = [
    "SAM2VideoPredictor",
    "SAM2VideoPredictorVOS",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]

_Answer = tuple[int, list[Any], Tensor]


class TrackingError(SessionError, RuntimeError):
    """A RuntimeError as well, which the official predictor raises here."""


class InferenceState(dict):
    """What the official ``init_state`` returns: a dict with the official keys that callers read, and the
    session behind it."""

    def __init__(self, session: VideoSession, device: torch.device, offload_state_to_cpu: bool) -> None:
        height, width = session.frame_hw
        super().__init__(
            num_frames=session.length,
            video_height=height,
            video_width=width,
            device=device,
            storage_device=torch.device("cpu") if offload_state_to_cpu else device,
            offload_state_to_cpu=offload_state_to_cpu,
            obj_ids=[],
            obj_id_to_idx={},
            obj_idx_to_id={},
        )
        self.session = session
        self._number_of: dict[
            Hashable, int
        ] = {}  # official ids are anything hashable, a session's are numbers
        self._next = 0

    def number(self, obj_id: Hashable) -> int:
        """The session's number of an object, a new one for a new object."""
        if obj_id not in self._number_of:
            self._number_of[obj_id] = self._next
            self._next += 1
        return self._number_of[obj_id]

    def knows(self, obj_id: Hashable) -> bool:
        return self._number_of.get(obj_id) in self.session.object_ids

    def refresh(self) -> None:
        """Bring the official keys in step with the session."""
        followed = set(self.session.object_ids)
        self._number_of = {obj_id: n for obj_id, n in self._number_of.items() if n in followed}
        self["obj_ids"] = list(self._number_of)
        self["obj_id_to_idx"] = {obj_id: index for index, obj_id in enumerate(self["obj_ids"])}
        self["obj_idx_to_id"] = dict(enumerate(self["obj_ids"]))


class SAM2VideoPredictor(nn.Module):
    """The official class of this name around a model; its options are attributes, as officially."""

    def __init__(
        self,
        model: Sam2,
        fill_hole_area: int = 0,
        non_overlap_masks: bool = False,
        clear_non_cond_mem_around_input: bool = False,
        add_all_frames_to_correct_as_cond: bool = False,
        *,
        binarize_mask_from_pts_for_mem_enc: bool = False,
        max_cond_frames_in_attn: int = -1,
        memory_temporal_stride_for_eval: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self.fill_hole_area = fill_hole_area
        self.non_overlap_masks = non_overlap_masks
        self.clear_non_cond_mem_around_input = clear_non_cond_mem_around_input
        self.add_all_frames_to_correct_as_cond = add_all_frames_to_correct_as_cond
        self.binarize_mask_from_pts_for_mem_enc = binarize_mask_from_pts_for_mem_enc
        self.max_cond_frames_in_attn = max_cond_frames_in_attn
        self.memory_temporal_stride_for_eval = memory_temporal_stride_for_eval

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
        """The predictor of a hub id, "facebook/sam2.1-hiera-large"."""
        return build_sam2_video_predictor_hf(model_id, **kwargs)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def image_size(self) -> int:
        return self.model.spec.image_size

    def __getattr__(self, name: str) -> Any:
        """What the official predictor has as a model: its parts, ``forward_image``, ``hidden_dim`` ..."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """The model's, without a prefix."""
        return self.model.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights under their official names."""
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Weights under their official names."""
        return self.model.load_state_dict(*args, **kwargs)

    # --- a clip -----------------------------------------------------------------------------------

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """A state for a clip: an MP4 or other video file, a folder of pictures, and what
        :meth:`everymask.VideoTracker.open` takes besides."""
        session = VideoSession(self.model, open_frames(video_path), self._options(offload_state_to_cpu))
        if session.length is None:
            raise OptionError("the official predictor knows the clip's length; use VideoTracker for streams")
        return InferenceState(session, self.device, offload_state_to_cpu)

    def reset_state(self, inference_state: InferenceState) -> None:
        """Forget all objects and prompts."""
        inference_state.session.reset()
        inference_state.refresh()

    # --- prompts ----------------------------------------------------------------------------------

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: int,
        obj_id: Hashable,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> _Answer:
        """Points [N, 2] with labels [N], a box XYXY, or both: (frame_idx, obj_ids, logits [N, 1, H, W])."""
        if (points is not None) != (labels is not None):
            raise PromptError("points and labels must be provided together")
        if points is None and box is None:
            raise PromptError("at least one of points or box must be provided as input")
        if box is not None and not clear_old_points:
            raise PromptError(
                "cannot add box without clearing old points, since box prompt must be provided before any "
                "point prompt (please use clear_old_points=True instead)"
            )
        session = self._session(inference_state)
        session._check_frame(frame_idx)
        points, labels, box = _taken_apart(points, labels, box)
        if not normalize_coords:  # then they are shares of the frame
            height, width = session.frame_hw
            points = None if points is None else points * (width, height)
            box = None if box is None else box * (width, height, width, height)
        prompts = read_prompts(
            session.frame_hw,
            self.model.logits_size,
            points=points,
            labels=labels,
            box=box,
            outside="keep",
        )
        answer = session.prompt_with_points(
            frame_idx, inference_state.number(obj_id), prompts, not clear_old_points
        )
        return self._answer(inference_state, answer)

    def add_new_points(self, *args: Any, **kwargs: Any) -> _Answer:
        """The former name of :meth:`add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    def add_new_mask(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, mask: Any
    ) -> _Answer:
        """A mask [H, W] of any size: (frame_idx, obj_ids, logits [N, 1, H, W])."""
        session = self._session(inference_state)
        session._check_frame(frame_idx)
        mask = mask if isinstance(mask, Tensor) else torch.as_tensor(np.asarray(mask), dtype=torch.bool)
        if mask.dim() != 2:
            raise PromptError(f"mask must have shape (H, W), got {tuple(mask.shape)}")
        answer = session.prompt_with_mask(frame_idx, inference_state.number(obj_id), mask)
        return self._answer(inference_state, answer)

    def clear_all_prompts_in_frame(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, need_output: bool = True
    ) -> _Answer | None:
        """Take back an object's prompts on a frame."""
        session = self._session(inference_state)
        if not inference_state.knows(obj_id):
            raise TrackingError(
                f"there is no object {obj_id!r} whose prompts could be cleared; the objects are "
                f"{inference_state['obj_ids']}"
            )
        answer = session.clear(frame_idx, inference_state.number(obj_id))
        return self._answer(inference_state, answer) if need_output else None

    def remove_object(
        self,
        inference_state: InferenceState,
        obj_id: Hashable,
        strict: bool = False,
        need_output: bool = True,
    ) -> tuple[list[Any], list[tuple[int, Tensor]]]:
        """Stop following an object: the ids left, and their logits on the frames it was prompted on."""
        session = self._session(inference_state)
        if not inference_state.knows(obj_id):
            if strict:
                raise TrackingError(
                    f"Cannot remove object id {obj_id} as it doesn't exist. All existing object ids: "
                    f"{inference_state['obj_ids']}."
                )
            return inference_state["obj_ids"], []
        number = inference_state.number(obj_id)
        prompted = session.prompted_frames(number)
        session.remove_object(number)
        inference_state.refresh()
        if not need_output or not session.object_ids:
            return inference_state["obj_ids"], []
        shown = [(frame, session.show(frame).logits_tensor) for frame in prompted]
        return inference_state["obj_ids"], shown

    # --- tracking ---------------------------------------------------------------------------------

    def propagate_in_video_preflight(self, inference_state: InferenceState) -> None:
        """Make memories of the prompts; :meth:`propagate_in_video` does it itself."""
        self._check_prompts(self._session(inference_state))
        self._session(inference_state).settle()

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[_Answer]:
        """(frame_idx, obj_ids, logits [N, 1, H, W]) frame by frame; ``max_frame_num_to_track`` more frames
        than the first one, as officially."""
        session = self._session(inference_state)
        self._check_prompts(session)
        start = min(session.conditioning_frames()) if start_frame_idx is None else start_frame_idx
        if reverse and start == 0:
            return  # the official predictor does nothing here
        length = inference_state["num_frames"]
        more = length if max_frame_num_to_track is None else max_frame_num_to_track
        stop = max(start - more, 0) - 1 if reverse else min(start + more, length - 1) + 1
        for answer in session.propagate(start, stop, reverse):
            yield self._answer(inference_state, answer)

    # --- inside -----------------------------------------------------------------------------------

    def _options(self, store_on_cpu: bool) -> TrackerOptions:
        most = self.max_cond_frames_in_attn
        return TrackerOptions(
            fill_hole_area=self.fill_hole_area,
            binarize_prompted=self.binarize_mask_from_pts_for_mem_enc,
            non_overlap_masks=self.non_overlap_masks,
            corrections_condition=self.add_all_frames_to_correct_as_cond,
            clear_around_corrections=self.clear_non_cond_mem_around_input,
            max_conditioning=None if most == -1 else most,
            memory_stride=self.memory_temporal_stride_for_eval,
            keep_frames=None,
            store_on_cpu=store_on_cpu,
        )

    def _session(self, state: InferenceState) -> VideoSession:
        """The session, with the options as the attributes have them now."""
        state.session.options = self._options(state["offload_state_to_cpu"])
        return state.session

    def _check_prompts(self, session: VideoSession) -> None:
        if not session.object_ids:
            raise TrackingError(
                "No input points or masks are provided for any object; please add inputs first."
            )

    def _answer(self, state: InferenceState, answer: TrackedFrame) -> _Answer:
        state.refresh()
        return answer.index, state["obj_ids"], answer.logits_tensor


class SAM2VideoPredictorVOS(SAM2VideoPredictor):
    """Officially a predictor whose parts are compiled; here the same as the other one."""


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    **kwargs: Any,
) -> SAM2VideoPredictor:
    """A video predictor by its config name; with fresh random weights without a checkpoint.

    ``vos_optimized`` gives the class of that name; officially it compiles the model's parts, here it has
    nothing more to do. Raises CheckpointError (UnknownModelError, ...) or OptionError.
    """
    options, overrides = _video_options(hydra_overrides_extra, apply_postprocessing)
    spec = spec_of_config(config_file, apply_postprocessing, overrides)
    state = None if ckpt_path is None else read_weights(os.fspath(ckpt_path))
    model = build(spec, state, available(device), kind=SAM2Base)
    assert isinstance(model, Sam2)
    kind = SAM2VideoPredictorVOS if vos_optimized else SAM2VideoPredictor
    return kind(model, **options).train(mode != "eval")


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """A video predictor by its hub id, "facebook/sam2.1-hiera-large"; what no cache has is downloaded."""
    return build_sam2_video_predictor(config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)


_INT_OPTIONS = ("fill_hole_area", "max_cond_frames_in_attn", "memory_temporal_stride_for_eval")
_BOOL_OPTIONS = (
    "non_overlap_masks",
    "clear_non_cond_mem_around_input",
    "add_all_frames_to_correct_as_cond",
    "binarize_mask_from_pts_for_mem_enc",
)


def _video_options(overrides: Sequence[str], apply_postprocessing: bool) -> tuple[dict[str, Any], list[str]]:
    """Hydra overrides of the predictor as keyword arguments, and those left for the model."""
    options: dict[str, Any] = {}
    if apply_postprocessing:
        options.update(fill_hole_area=8, binarize_mask_from_pts_for_mem_enc=True)
    left = []
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        name = key.removeprefix("model.")
        if name in _INT_OPTIONS:
            options[name] = int(value)
        elif name in _BOOL_OPTIONS:
            options[name] = value.lower() == "true"
        else:
            left.append(override)
    return options, left


def _taken_apart(points: Any, labels: Any, box: Any) -> tuple[Any, Any, Any]:
    """Points [N, 2], labels [N], box [4] as arrays; a box given as points labelled 2 and 3 is one."""
    if points is not None:
        points = _array(points, np.float64).reshape(-1, 2)
        labels = _array(labels, np.int32).reshape(-1)
        if len(labels) >= 2 and tuple(labels[:2]) == (2, 3) and box is None:
            box, points, labels = points[:2].reshape(4), points[2:], labels[2:]
        if len(points) == 0:
            points, labels = None, None
    if box is not None:
        box = _array(box, np.float64).reshape(4)
    return points, labels, box


def _array(values: Any, dtype: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype)
