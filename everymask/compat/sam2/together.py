"""Several objects of an official ``inference_state`` followed through the model together.

The official predictor takes them one after the other. Objects that look at equally many memories may share
what depends on the frame alone (``video/following.py``); the values are the same but for rounding. It is done
only where nobody could tell: no step is overridden, and the model's options are those of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from torch import Tensor

from everymask.compat.sam2.modeling.from_spec import ALWAYS, WITH_POINTERS
from everymask.models.memory import Seen
from everymask.nn.records import ImageFeatures
from everymask.video.following import Follower
from everymask.video.options import TrackerOptions
from everymask.video.track import Known, Track

STEPS = (
    "_run_single_frame_inference",
    "_prepare_memory_conditioned_features",
    "track_step",
    "_track_step",
    "_forward_sam_heads",
    "_encode_new_memory",
    "_encode_memory_in_output",
    "_use_multimask",
    "_get_maskmem_pos_enc",
)
"""What going together leaves out; a subclass that overrides one of them is asked object by object."""


def may_go_together(model: Any, kind: type) -> bool:
    """Whether objects may be followed together by a predictor whose class is ``kind`` or a subclass."""
    overridden = any(getattr(type(model), step) is not getattr(kind, step) for step in STEPS)
    replaced = any(step in vars(model) for step in STEPS)
    usual = {**ALWAYS, **WITH_POINTERS, "pred_obj_scores": True, "soft_no_obj_ptr": False}
    times = {model.add_tpos_enc_to_obj_ptrs, model.proj_tpos_enc_in_obj_ptrs}
    return (
        not (overridden or replaced or model.training or model.non_overlap_masks_for_mem_enc)
        and all(getattr(model, name) == value for name, value in usual.items())
        and len(times | {model.use_signed_tpos_enc_to_obj_ptrs}) == 1
        and model.spec.memory is not None
    )


def follow_together(
    model: Any, state: dict[str, Any], outputs: list[dict[str, Any]], frame: int, reverse: bool
) -> None:
    """Find objects on a frame, and put what is found into their ``outputs``, of ``output_dict_per_obj``."""
    rule = model._rule()
    follower = Follower(
        model,
        TrackerOptions(
            fill_hole_area=model.fill_hole_area,
            max_conditioning=rule.max_conditioning,
            memory_stride=rule.stride,
            store_on_cpu=state["storage_device"].type == "cpu",
        ),
    )
    _, found, _, _, _ = model._get_image_feature(state, frame, 1)
    *fine, coarse = found["backbone_fpn"][-model.num_feature_levels :]
    tracks = [
        Track(
            object_id=place,
            conditioning=_Known(each["cond_frame_outputs"], state),  # type: ignore[arg-type]
            recent=_Known(each["non_cond_frame_outputs"], state),  # type: ignore[arg-type]
        )
        for place, each in enumerate(outputs)
    ]
    features = ImageFeatures(coarse, tuple(fine))
    follower.follow(tracks, frame, features, reverse=reverse, length=state["num_frames"])


class _Known(MutableMapping[int, Known]):
    """Official outputs by frame, read and written as the tracker's records."""

    def __init__(self, outputs: dict[int, Any], state: dict[str, Any]) -> None:
        self.outputs, self.state = outputs, state

    def __getitem__(self, frame: int) -> Known:
        out = self.outputs[frame]
        seen = Seen(out["pred_masks"], _nothing(out), out["object_score_logits"], out["obj_ptr"])
        return Known(seen, out["maskmem_features"])

    def __setitem__(self, frame: int, known: Known) -> None:
        seen, place = known.seen, self.state["constants"]["maskmem_pos_enc"]
        self.outputs[frame] = {
            "maskmem_features": known.memory,
            "maskmem_pos_enc": list(place),
            "pred_masks": seen.mask_logits.to(self.state["storage_device"]),
            "obj_ptr": seen.pointer,
            "object_score_logits": seen.object_logit,
        }

    def __delitem__(self, frame: int) -> None:
        del self.outputs[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)


def _nothing(out: dict[str, Any]) -> Tensor:
    """Predicted IoUs are not kept officially."""
    return out["object_score_logits"].new_zeros(1)
