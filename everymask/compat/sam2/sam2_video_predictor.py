"""``sam2.sam2_video_predictor``: :class:`SAM2VideoPredictor`, a ``SAM2Base`` that follows objects.

What it knows of a clip is the official ``inference_state``, a plain dict that programs read, change and copy.
What differs from the official predictor, on purpose:

- frames are decoded when they are needed; ``offload_video_to_cpu`` decides where they go, and
  ``async_loading_frames`` has nothing to do;
- any video file, folder or list of pictures or array is a clip, not only MP4 and integer-named JPEG;
- ``clear_non_cond_mem_around_input`` works (officially it raises AttributeError), and holes are filled
  without a CUDA extension;
- objects that look at equally many memories are tracked together, where nobody looks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.compat.sam2.builders import built_for_video
from everymask.compat.sam2.config_files import checkpoint_of_hub_id, config_of_hub_id
from everymask.compat.sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
from everymask.compat.sam2.together import follow_together, may_go_together
from everymask.compat.sam2.utils.misc import concat_points, fill_holes_in_mask_scores, load_video_frames
from everymask.errors import PromptError, SessionError
from everymask.video.bank import around

__all__ = ["SAM2VideoPredictor", "SAM2VideoPredictorVOS"]

State = dict[str, Any]
_Answer = tuple[int, list[Any], Tensor]

BY_OBJECT = (
    "point_inputs_per_obj",
    "mask_inputs_per_obj",
    "output_dict_per_obj",
    "temp_output_dict_per_obj",
    "frames_tracked_per_obj",
)
"""What a state keeps by an object's place in ``obj_ids``."""

NOTHING_PROMPTED = "No input points or masks are provided for any object; please add inputs first."


class TrackingError(SessionError, RuntimeError):
    """A RuntimeError as well, which the official predictor raises here."""


class SAM2VideoPredictor(SAM2Base):
    """The official class of this name; its options are attributes, as officially."""

    def __init__(
        self,
        fill_hole_area: int = 0,
        non_overlap_masks: bool = False,
        clear_non_cond_mem_around_input: bool = False,
        add_all_frames_to_correct_as_cond: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fill_hole_area = fill_hole_area
        self.non_overlap_masks = non_overlap_masks
        self.clear_non_cond_mem_around_input = clear_non_cond_mem_around_input
        self.add_all_frames_to_correct_as_cond = add_all_frames_to_correct_as_cond

    @classmethod
    def from_pretrained(cls, model_id: str, vos_optimized: bool = False, **kwargs: Any) -> Any:
        """The predictor of a hub id, "facebook/sam2.1-hiera-large"; ``kwargs`` are those of
        ``build_sam2_video_predictor``."""
        kind = SAM2VideoPredictorVOS if vos_optimized else SAM2VideoPredictor
        return built_for_video(kind, config_of_hub_id(model_id), checkpoint_of_hub_id(model_id), **kwargs)

    # --- a clip -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> State:
        """A state for a clip: an MP4 or other video file, a folder of pictures, and what
        :meth:`everymask.VideoTracker.open` takes besides."""
        images, height, width = load_video_frames(
            video_path=video_path,
            image_size=self.image_size,
            offload_video_to_cpu=offload_video_to_cpu,
            async_loading_frames=async_loading_frames,
            compute_device=self.device,
        )
        state: State = {
            "images": images,
            "num_frames": len(images),
            "offload_video_to_cpu": offload_video_to_cpu,
            "offload_state_to_cpu": offload_state_to_cpu,
            "video_height": height,
            "video_width": width,
            "device": self.device,
            "storage_device": torch.device("cpu") if offload_state_to_cpu else self.device,
            "cached_features": {},
            "constants": {},
            "obj_id_to_idx": OrderedDict(),
            "obj_idx_to_id": OrderedDict(),
            "obj_ids": [],
            **{name: {} for name in BY_OBJECT},
        }
        self._get_image_feature(state, frame_idx=0, batch_size=1)
        return state

    @torch.inference_mode()
    def reset_state(self, inference_state: State) -> None:
        """Forget all objects and prompts."""
        self._reset_tracking_results(inference_state)
        for name in ("obj_id_to_idx", "obj_idx_to_id", "obj_ids", *BY_OBJECT):
            inference_state[name].clear()

    def _reset_tracking_results(self, inference_state: State) -> None:
        for name in BY_OBJECT:
            for record in inference_state[name].values():
                outputs = record.values() if "output_dict" in name else [record]
                for each in outputs:
                    each.clear()

    # --- objects ----------------------------------------------------------------------------------

    def _obj_id_to_idx(self, inference_state: State, obj_id: Hashable) -> int:
        """An object's place, a new one for a new object."""
        known = inference_state["obj_id_to_idx"]
        if obj_id in known:
            return known[obj_id]
        place = len(known)
        known[obj_id] = place
        inference_state["obj_idx_to_id"][place] = obj_id
        inference_state["obj_ids"] = list(known)
        for name in BY_OBJECT:
            outputs: State = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
            inference_state[name][place] = outputs if "output_dict" in name else {}
        return place

    def _obj_idx_to_id(self, inference_state: State, obj_idx: int) -> Any:
        return inference_state["obj_idx_to_id"][obj_idx]

    def _get_obj_num(self, inference_state: State) -> int:
        return len(inference_state["obj_idx_to_id"])

    # --- prompts ----------------------------------------------------------------------------------

    @torch.inference_mode()
    def add_new_points_or_box(
        self,
        inference_state: State,
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
        _check_frame(inference_state, frame_idx)
        coords, kinds = _taken_together(points, labels, box)
        if normalize_coords:
            coords = coords / torch.tensor([inference_state["video_width"], inference_state["video_height"]])
        device = inference_state["device"]
        coords, kinds = (coords * self.image_size).to(device), kinds.to(device)

        place = self._obj_id_to_idx(inference_state, obj_id)
        prompts = inference_state["point_inputs_per_obj"][place]
        said = None if clear_old_points else prompts.get(frame_idx)
        prompts[frame_idx] = concat_points(said, coords, kinds)
        inference_state["mask_inputs_per_obj"][place].pop(frame_idx, None)

        previous = self._earlier_output(inference_state, place, frame_idx)
        logits = None if previous is None else previous.get("pred_masks")
        if logits is not None:
            logits = logits.to(device, non_blocking=True).clamp(-32.0, 32.0)
        return self._answer_prompt(
            inference_state,
            frame_idx,
            place,
            point_inputs=prompts[frame_idx],
            mask_inputs=None,
            prev_sam_mask_logits=logits,
        )

    def add_new_points(self, *args: Any, **kwargs: Any) -> _Answer:
        """The former name of :meth:`add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    @torch.inference_mode()
    def add_new_mask(self, inference_state: State, frame_idx: int, obj_id: Hashable, mask: Any) -> _Answer:
        """A mask [H, W] of any size: (frame_idx, obj_ids, logits [N, 1, H, W])."""
        _check_frame(inference_state, frame_idx)
        mask = mask if isinstance(mask, Tensor) else torch.as_tensor(np.asarray(mask), dtype=torch.bool)
        if mask.dim() != 2:
            raise PromptError(f"mask must have shape (H, W), got {tuple(mask.shape)}")
        square = mask[None, None].float().to(inference_state["device"])
        side = (self.image_size, self.image_size)
        if tuple(mask.shape) != side:
            square = F.interpolate(square, side, mode="bilinear", align_corners=False, antialias=True)
            square = (square >= 0.5).float()
        place = self._obj_id_to_idx(inference_state, obj_id)
        inference_state["mask_inputs_per_obj"][place][frame_idx] = square
        inference_state["point_inputs_per_obj"][place].pop(frame_idx, None)
        return self._answer_prompt(inference_state, frame_idx, place, point_inputs=None, mask_inputs=square)

    def _conditions(self, inference_state: State, place: int, frame_idx: int) -> bool:
        """Whether a prompt makes a conditioning frame: it was not tracked before, or corrections do too."""
        tracked = inference_state["frames_tracked_per_obj"][place]
        return frame_idx not in tracked or self.add_all_frames_to_correct_as_cond

    def _earlier_output(self, inference_state: State, place: int, frame_idx: int) -> State | None:
        """What is known of an object on a frame that is prompted once more."""
        pending, known = (
            inference_state[name][place] for name in ("temp_output_dict_per_obj", "output_dict_per_obj")
        )
        key = _key(self._conditions(inference_state, place, frame_idx))
        for outputs in (pending[key], known["cond_frame_outputs"], known["non_cond_frame_outputs"]):
            if frame_idx in outputs:
                return outputs[frame_idx]
        return None

    def _answer_prompt(self, inference_state: State, frame_idx: int, place: int, **given: Any) -> _Answer:
        """The answer to a prompt; it becomes a memory when tracking goes on."""
        tracked = inference_state["frames_tracked_per_obj"][place]
        conditions = self._conditions(inference_state, place, frame_idx)
        out, _ = self._run_single_frame_inference(
            inference_state=inference_state,
            output_dict=inference_state["output_dict_per_obj"][place],
            frame_idx=frame_idx,
            batch_size=1,
            is_init_cond_frame=frame_idx not in tracked,
            reverse=frame_idx in tracked and tracked[frame_idx]["reverse"],
            run_mem_encoder=False,
            **given,
        )
        inference_state["temp_output_dict_per_obj"][place][_key(conditions)][frame_idx] = out
        return self._shown(inference_state, frame_idx, conditions)

    def _shown(self, inference_state: State, frame_idx: int, is_cond: bool) -> _Answer:
        consolidated = self._consolidate_temp_output_across_obj(
            inference_state, frame_idx, is_cond=is_cond, consolidate_at_video_res=True
        )
        _, logits = self._get_orig_video_res_output(inference_state, consolidated["pred_masks_video_res"])
        return frame_idx, inference_state["obj_ids"], logits

    @torch.inference_mode()
    def clear_all_prompts_in_frame(
        self, inference_state: State, frame_idx: int, obj_id: Hashable, need_output: bool = True
    ) -> _Answer | None:
        """Take back an object's prompts on a frame; a conditioning frame becomes an ordinary one."""
        if obj_id not in inference_state["obj_id_to_idx"]:
            raise TrackingError(
                f"there is no object {obj_id!r} whose prompts could be cleared; the objects are "
                f"{inference_state['obj_ids']}"
            )
        place = self._obj_id_to_idx(inference_state, obj_id)
        for name in ("point_inputs_per_obj", "mask_inputs_per_obj"):
            inference_state[name][place].pop(frame_idx, None)
        pending = inference_state["temp_output_dict_per_obj"]
        for outputs in pending[place].values():
            outputs.pop(frame_idx, None)
        known = inference_state["output_dict_per_obj"][place]
        out = known["cond_frame_outputs"].pop(frame_idx, None)
        if out is not None:
            known["non_cond_frame_outputs"][frame_idx] = out
            inference_state["frames_tracked_per_obj"][place].pop(frame_idx, None)
        return self._shown_after_changes(inference_state, frame_idx) if need_output else None

    def _shown_after_changes(self, inference_state: State, frame_idx: int) -> _Answer:
        pending = inference_state["temp_output_dict_per_obj"].values()
        is_cond = any(frame_idx in outputs["cond_frame_outputs"] for outputs in pending)
        return self._shown(inference_state, frame_idx, is_cond)

    @torch.inference_mode()
    def remove_object(
        self, inference_state: State, obj_id: Hashable, strict: bool = False, need_output: bool = True
    ) -> tuple[list[Any], list[tuple[int, Tensor]]]:
        """Stop following an object: the ids left, and their logits on the frames it was prompted on."""
        ids = inference_state["obj_ids"]
        if obj_id not in inference_state["obj_id_to_idx"]:
            if strict:
                raise TrackingError(
                    f"Cannot remove object id {obj_id} as it doesn't exist. All existing object ids: {ids}."
                )
            return ids, []
        if len(ids) == 1:
            self.reset_state(inference_state)
            return inference_state["obj_ids"], []
        gone = inference_state["obj_id_to_idx"][obj_id]
        prompted = {
            frame
            for name in ("point_inputs_per_obj", "mask_inputs_per_obj")
            for frame in inference_state[name][gone]
        }
        left = [each for each in ids if each != obj_id]
        inference_state["obj_ids"] = left
        inference_state["obj_id_to_idx"] = {each: place for place, each in enumerate(left)}
        inference_state["obj_idx_to_id"] = dict(enumerate(left))
        for name in BY_OBJECT:
            records = inference_state[name]
            kept = [records[place] for place in range(len(ids)) if place != gone]
            records.clear()
            records.update(enumerate(kept))
        if not need_output:
            return left, []
        shown = [self._shown_after_changes(inference_state, frame) for frame in prompted]
        return inference_state["obj_ids"], [(frame, logits) for frame, _, logits in shown]

    # --- tracking ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def propagate_in_video_preflight(self, inference_state: State) -> None:
        """Make memories of the prompts; :meth:`propagate_in_video` does it itself."""
        count = self._get_obj_num(inference_state)
        if count == 0:
            raise TrackingError(NOTHING_PROMPTED)
        for place in range(count):
            pending, known = (
                inference_state[name][place] for name in ("temp_output_dict_per_obj", "output_dict_per_obj")
            )
            for key in ("non_cond_frame_outputs", "cond_frame_outputs"):
                for frame_idx, out in pending[key].items():
                    if out["maskmem_features"] is None:
                        out["maskmem_features"], out["maskmem_pos_enc"] = self._memory_of_prompt(
                            inference_state, frame_idx, out
                        )
                    known[key][frame_idx] = out
                    if self.clear_non_cond_mem_around_input:
                        self._clear_obj_non_cond_mem_around_input(inference_state, frame_idx, place)
                pending[key].clear()
            if not known["cond_frame_outputs"]:
                raise TrackingError(
                    "No input points or masks are provided for object id "
                    f"{self._obj_idx_to_id(inference_state, place)}; please add inputs first."
                )
            for frame_idx in known["cond_frame_outputs"]:
                known["non_cond_frame_outputs"].pop(frame_idx, None)

    def _memory_of_prompt(self, inference_state: State, frame_idx: int, out: State) -> tuple[Any, Any]:
        large = F.interpolate(
            out["pred_masks"].to(inference_state["device"]),
            size=(self.image_size, self.image_size),
            mode="bilinear",
            align_corners=False,
        )
        return self._run_memory_encoder(
            inference_state=inference_state,
            frame_idx=frame_idx,
            batch_size=1,
            high_res_masks=large,
            object_score_logits=out["object_score_logits"],
            is_mask_from_pts=True,
        )

    @torch.inference_mode()
    def propagate_in_video(
        self,
        inference_state: State,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[_Answer]:
        """(frame_idx, obj_ids, logits [N, 1, H, W]) frame by frame; ``max_frame_num_to_track`` more frames
        than the first one, as officially."""
        self.propagate_in_video_preflight(inference_state)
        length = inference_state["num_frames"]
        if start_frame_idx is None:
            outputs = inference_state["output_dict_per_obj"].values()
            start_frame_idx = min(frame for each in outputs for frame in each["cond_frame_outputs"])
        more = length if max_frame_num_to_track is None else max_frame_num_to_track
        if reverse:
            last = max(start_frame_idx - more, 0)
            order = range(start_frame_idx, last - 1, -1) if start_frame_idx > 0 else range(0)
        else:
            order = range(start_frame_idx, min(start_frame_idx + more, length - 1) + 1)
        for frame_idx in order:
            found = self._track_frame(inference_state, frame_idx, reverse)
            _, logits = self._get_orig_video_res_output(inference_state, torch.cat(found))
            yield frame_idx, inference_state["obj_ids"], logits

    def _track_frame(self, inference_state: State, frame_idx: int, reverse: bool) -> list[Tensor]:
        """All objects' low-resolution logits [1, 1, 4h, 4w] on a frame, on the model's device."""
        count = self._get_obj_num(inference_state)
        known = [inference_state["output_dict_per_obj"][place] for place in range(count)]
        waiting = [outputs for outputs in known if frame_idx not in outputs["cond_frame_outputs"]]
        together = len(waiting) > 1 and may_go_together(self, SAM2VideoPredictor)
        if together:
            follow_together(self, inference_state, waiting, frame_idx, reverse)
        found = []
        for place, outputs in enumerate(known):
            if frame_idx in outputs["cond_frame_outputs"]:
                logits = outputs["cond_frame_outputs"][frame_idx]["pred_masks"]
                if self.clear_non_cond_mem_around_input:
                    self._clear_obj_non_cond_mem_around_input(inference_state, frame_idx, place)
            elif together:
                logits = outputs["non_cond_frame_outputs"][frame_idx]["pred_masks"]
            else:
                out, logits = self._run_single_frame_inference(
                    inference_state=inference_state,
                    output_dict=outputs,
                    frame_idx=frame_idx,
                    batch_size=1,
                    is_init_cond_frame=False,
                    point_inputs=None,
                    mask_inputs=None,
                    reverse=reverse,
                    run_mem_encoder=True,
                )
                outputs["non_cond_frame_outputs"][frame_idx] = out
            inference_state["frames_tracked_per_obj"][place][frame_idx] = {"reverse": reverse}
            found.append(logits.to(inference_state["device"], non_blocking=True))
        return found

    def _clear_obj_non_cond_mem_around_input(
        self, inference_state: State, frame_idx: int, obj_idx: int
    ) -> None:
        """Drop the memories around a correction, which may be wrong."""
        others = inference_state["output_dict_per_obj"][obj_idx]["non_cond_frame_outputs"]
        for frame in around(frame_idx, self._rule()):
            others.pop(frame, None)

    def _clear_non_cond_mem_around_input(self, inference_state: State, frame_idx: int) -> None:
        for place in range(self._get_obj_num(inference_state)):
            self._clear_obj_non_cond_mem_around_input(inference_state, frame_idx, place)

    # --- one frame ----------------------------------------------------------------------------------

    def _get_image_feature(
        self, inference_state: State, frame_idx: int, batch_size: int
    ) -> tuple[Tensor, dict[str, Any], list[Tensor], list[Tensor], list[tuple[int, int]]]:
        """A frame's pixels, and what :meth:`_prepare_backbone_features` makes of it for so many objects; the
        features of the last frame are kept."""
        image, found = inference_state["cached_features"].get(frame_idx, (None, None))
        if found is None:
            pixels = inference_state["images"][frame_idx]
            image = pixels.to(inference_state["device"]).float()[None]
            found = self.forward_image(image.to(self.dtype))
            inference_state["cached_features"] = {frame_idx: (image, found)}
        expanded = {
            name: [level.expand(batch_size, -1, -1, -1) for level in found[name]]
            for name in ("backbone_fpn", "vision_pos_enc")
        }
        features = self._prepare_backbone_features(expanded)
        return (image.expand(batch_size, -1, -1, -1), *features)

    def _run_single_frame_inference(
        self,
        inference_state: State,
        output_dict: dict[str, Any],
        frame_idx: int,
        batch_size: int,
        is_init_cond_frame: bool,
        point_inputs: dict[str, Tensor] | None,
        mask_inputs: Tensor | None,
        reverse: bool,
        run_mem_encoder: bool,
        prev_sam_mask_logits: Tensor | None = None,
    ) -> tuple[State, Tensor]:
        """The output of an object on a frame as it is kept, and its logits on the model's device."""
        _, _, features, positions, sizes = self._get_image_feature(inference_state, frame_idx, batch_size)
        assert point_inputs is None or mask_inputs is None, "a frame has points or a mask"
        out = self.track_step(
            frame_idx=frame_idx,
            is_init_cond_frame=is_init_cond_frame,
            current_vision_feats=features,
            current_vision_pos_embeds=positions,
            feat_sizes=sizes,
            point_inputs=point_inputs,
            mask_inputs=mask_inputs,
            output_dict=output_dict,
            num_frames=inference_state["num_frames"],
            track_in_reverse=reverse,
            run_mem_encoder=run_mem_encoder,
            prev_sam_mask_logits=prev_sam_mask_logits,
        )
        logits = out["pred_masks"]
        if self.fill_hole_area > 0:
            logits = fill_holes_in_mask_scores(logits, self.fill_hole_area)
        kept = {
            "maskmem_features": self._stored(inference_state, out["maskmem_features"]),
            "maskmem_pos_enc": self._get_maskmem_pos_enc(inference_state, out),
            "pred_masks": logits.to(inference_state["storage_device"], non_blocking=True),
            "obj_ptr": out["obj_ptr"],
            "object_score_logits": out["object_score_logits"],
        }
        return kept, logits

    def _run_memory_encoder(
        self,
        inference_state: State,
        frame_idx: int,
        batch_size: int,
        high_res_masks: Tensor,
        object_score_logits: Tensor,
        is_mask_from_pts: bool,
    ) -> tuple[Tensor | None, list[Tensor] | None]:
        """The memory of masks [B, 1, S, S] on a frame as it is kept, and its position code."""
        _, _, features, _, sizes = self._get_image_feature(inference_state, frame_idx, batch_size)
        memory, places = self._encode_new_memory(
            current_vision_feats=features,
            feat_sizes=sizes,
            pred_masks_high_res=high_res_masks,
            object_score_logits=object_score_logits,
            is_mask_from_pts=is_mask_from_pts,
        )
        kept = self._get_maskmem_pos_enc(inference_state, {"maskmem_pos_enc": places})
        return self._stored(inference_state, memory), kept

    def _stored(self, inference_state: State, memory: Tensor | None) -> Tensor | None:
        if memory is None:
            return None
        return memory.to(torch.bfloat16).to(inference_state["storage_device"], non_blocking=True)

    def _get_maskmem_pos_enc(self, inference_state: State, current_out: State) -> list[Tensor] | None:
        """The position code of memories, of which a state keeps one copy."""
        places = current_out["maskmem_pos_enc"]
        if places is None:
            return None
        constants = inference_state["constants"]
        if "maskmem_pos_enc" not in constants:
            constants["maskmem_pos_enc"] = [place[:1].clone() for place in places]
        return [kept.expand(len(places[0]), *kept.shape[1:]) for kept in constants["maskmem_pos_enc"]]

    # --- all objects on a frame ----------------------------------------------------------------------

    def _get_orig_video_res_output(
        self, inference_state: State, any_res_masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, 1, h, w] as they are and at the frame's size, without overlap if asked for."""
        logits = any_res_masks.to(inference_state["device"], non_blocking=True)
        frame_hw = (inference_state["video_height"], inference_state["video_width"])
        at_size = logits
        if tuple(logits.shape[-2:]) != frame_hw:
            at_size = F.interpolate(logits, size=frame_hw, mode="bilinear", align_corners=False)
        return logits, self._apply_non_overlapping_constraints(at_size) if self.non_overlap_masks else at_size

    def _consolidate_temp_output_across_obj(
        self, inference_state: State, frame_idx: int, is_cond: bool, consolidate_at_video_res: bool = False
    ) -> dict[str, Tensor]:
        """All objects' logits on a frame, those just prompted first, at the frame's size or the model's low
        resolution; NO_OBJ_SCORE where nothing is known."""
        side = self.image_size // 4
        hw, name = (side, side), "pred_masks"
        if consolidate_at_video_res:
            hw = (inference_state["video_height"], inference_state["video_width"])
            name = "pred_masks_video_res"
        rows = []
        for place in range(self._get_obj_num(inference_state)):
            pending, known = (
                inference_state[each][place] for each in ("temp_output_dict_per_obj", "output_dict_per_obj")
            )
            sources = (pending[_key(is_cond)], known["cond_frame_outputs"], known["non_cond_frame_outputs"])
            outs = [outputs[frame_idx] for outputs in sources if frame_idx in outputs]
            if not outs:
                nothing = torch.full((1, 1, *hw), NO_OBJ_SCORE, device=inference_state["storage_device"])
                rows.append(nothing)
                continue
            logits = outs[0]["pred_masks"]
            if tuple(logits.shape[-2:]) != hw:
                logits = F.interpolate(logits, size=hw, mode="bilinear", align_corners=False)
            rows.append(logits)
        return {name: torch.cat(rows)}


class SAM2VideoPredictorVOS(SAM2VideoPredictor):
    """Officially a predictor whose parts are compiled; here the same as the other one."""


def _key(is_cond: bool) -> str:
    return "cond_frame_outputs" if is_cond else "non_cond_frame_outputs"


def _check_frame(inference_state: State, frame_idx: int) -> None:
    length = inference_state["num_frames"]
    if not 0 <= frame_idx < length:
        raise PromptError(f"there is no frame {frame_idx}; the clip has {length} frames, 0 to {length - 1}")


def _taken_together(points: Any, labels: Any, box: Any) -> tuple[Tensor, Tensor]:
    """Points [1, N, 2] and labels [1, N], the corners of the box first."""
    coords = torch.zeros(1, 0, 2) if points is None else _tensor(points, torch.float32).reshape(1, -1, 2)
    kinds = torch.zeros(1, 0) if labels is None else _tensor(labels, torch.int32).reshape(1, -1)
    if coords.shape[1] != kinds.shape[1]:
        raise PromptError(
            f"each point needs a label, got {coords.shape[1]} points and {kinds.shape[1]} labels"
        )
    if box is not None:
        coords = torch.cat([_tensor(box, torch.float32).reshape(1, 2, 2), coords], dim=1)
        kinds = torch.cat([torch.tensor([[2, 3]]), kinds], dim=1)
    if not torch.isfinite(coords).all():
        raise PromptError("points and box must be finite numbers")
    return coords, kinds.to(torch.int32)


def _tensor(values: Any, dtype: torch.dtype) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu().to(dtype)
    return torch.as_tensor(np.asarray(values), dtype=dtype)
