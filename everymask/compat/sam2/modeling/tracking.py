"""What ``SAM2Base`` does with an object from frame to frame, in the official steps and structures.

Outputs of frames are dicts with ``maskmem_features`` [B, D, h, w] (or latents [B, D, T]), ``maskmem_pos_enc``
(a list), ``pred_masks`` [B, 1, 4h, 4w], ``obj_ptr`` [B, C] and ``object_score_logits`` [B, 1]; an
``output_dict`` has them by frame under ``cond_frame_outputs`` and ``non_cond_frame_outputs``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from everymask.nn.position import sine_map
from everymask.video.bank import BankRule, pointer_span, recall
from everymask.video.result import without_overlap

from .sam2_utils import get_1d_sine_pe

_Out = dict[str, Any]


class Tracking(nn.Module):
    """The steps of :class:`SAM2Base` that have to do with memory; its options are attributes."""

    def _rule(self) -> BankRule:
        """Which frames are looked at, as the attributes have it now."""
        self_: Any = self
        past_only = not self.training and self_.only_obj_ptrs_in_the_past_for_eval
        most = self_.max_cond_frames_in_attn
        return BankRule(
            memories=self_.num_maskmem,
            pointers=self_.max_obj_ptrs_in_encoder,
            stride=1 if self.training else self_.memory_temporal_stride_for_eval,
            max_conditioning=None if most == -1 else most,
            pointers_ahead=not past_only,
        )

    def _prepare_memory_conditioned_features(
        self: Any,
        frame_idx: int,
        is_init_cond_frame: bool,
        current_vision_feats: list[Tensor],
        current_vision_pos_embeds: list[Tensor],
        feat_sizes: list[tuple[int, int]],
        output_dict: dict[str, dict[int, _Out]],
        num_frames: int,
        track_in_reverse: bool = False,
    ) -> Tensor:
        """A frame's coarsest features with what is remembered in them, [B, C, h, w]."""
        flat = current_vision_feats[-1]
        count = flat.size(1)
        if self.num_maskmem == 0:
            return _square(flat, feat_sizes[-1])
        unplaced = 0
        if is_init_cond_frame and self.directly_add_no_mem_embed:
            return _square(flat + self.no_mem_embed, feat_sizes[-1])
        if is_init_cond_frame:  # one token that stands for nothing
            tokens = [self.no_mem_embed.expand(1, count, self.mem_dim)]
            places = [self.no_mem_pos_enc.expand(1, count, self.mem_dim)]
        else:
            tokens, places, unplaced = self._remembered(
                frame_idx, output_dict, num_frames, track_in_reverse, count, flat.device
            )
        attended = self.memory_attention(
            curr=current_vision_feats,
            curr_pos=current_vision_pos_embeds,
            memory=torch.cat(tokens, dim=0),
            memory_pos=torch.cat(places, dim=0),
            num_obj_ptr_tokens=unplaced,
        )
        return _square(attended, feat_sizes[-1])

    def _remembered(
        self: Any,
        frame_idx: int,
        output_dict: dict[str, dict[int, _Out]],
        num_frames: int,
        reverse: bool,
        count: int,
        device: torch.device,
    ) -> tuple[list[Tensor], list[Tensor], int]:
        """Memory tokens [T, B, D], their positions, and how many of them, at the end, have no place."""
        prompted, others = output_dict["cond_frame_outputs"], output_dict["non_cond_frame_outputs"]
        assert prompted, "there is a frame to track from"
        rule = self._rule()
        found = recall(frame_idx, list(prompted), others, rule, reverse=reverse, length=num_frames)
        placed: list[tuple[Tensor, Tensor]] = []
        loose: list[tuple[Tensor, Tensor]] = []
        for slot, frame in found.memories:
            out = prompted[frame] if slot == 0 else others.get(frame) or prompted[frame]
            memory, place = (
                x.to(device).flatten(2).permute(2, 0, 1)
                for x in (out["maskmem_features"], out["maskmem_pos_enc"][-1])
            )
            place = place + self.maskmem_tpos_enc[self.num_maskmem - slot - 1]
            cut = len(memory) if self.spatial_perceiver is None else self.spatial_perceiver.spec.placed
            placed.append((memory[:cut], place[:cut]))
            loose.append((memory[cut:], place[cut:]))
        if self.use_obj_ptrs_in_encoder and found.pointers:
            pointers = [
                (distance, prompted[frame] if frame in prompted else others[frame])
                for distance, frame in found.pointers
            ]
            loose.append(self._pointer_tokens(pointers, pointer_span(rule, num_frames), count))
        tokens, places = zip(*placed, *loose, strict=True)
        return list(tokens), list(places), sum(len(memory) for memory, _ in loose)

    def _pointer_tokens(
        self: Any, pointers: list[tuple[int, _Out]], longest: int, count: int
    ) -> tuple[Tensor, Tensor]:
        """Object pointers, cut into pieces as wide as a memory, and the codes of their distances in time."""
        stacked = torch.stack([out["obj_ptr"] for _, out in pointers])  # [P, B, C]
        dim = stacked.shape[-1]
        if self.add_tpos_enc_to_obj_ptrs:
            steps = [at if self.use_signed_tpos_enc_to_obj_ptrs else abs(at) for at, _ in pointers]
            times = torch.tensor(steps, device=stacked.device) / max(1, longest - 1)
            code = get_1d_sine_pe(times, dim if self.proj_tpos_enc_in_obj_ptrs else self.mem_dim)
            place = self.obj_ptr_tpos_proj(code.to(self.dtype))[:, None].expand(-1, count, self.mem_dim)
        else:
            place = stacked.new_zeros(len(pointers), count, self.mem_dim)
        if self.mem_dim < dim:
            pieces = dim // self.mem_dim
            stacked = stacked.unflatten(-1, (pieces, self.mem_dim)).permute(0, 2, 1, 3).flatten(0, 1)
            place = place.repeat_interleave(pieces, dim=0)
        return stacked, place

    def _encode_new_memory(
        self: Any,
        current_vision_feats: list[Tensor],
        feat_sizes: list[tuple[int, int]],
        pred_masks_high_res: Tensor,  # [B, 1, S, S] logits
        object_score_logits: Tensor,  # [B, 1]
        is_mask_from_pts: bool,
    ) -> tuple[Tensor, list[Tensor]]:
        """The memory of objects on a frame, [B, D, h, w], and its position code."""
        frame = _square(current_vision_feats[-1], feat_sizes[-1])
        if self.non_overlap_masks_for_mem_enc and not self.training:
            pred_masks_high_res = self._apply_non_overlapping_constraints(pred_masks_high_res)
        if self.binarize_mask_from_pts_for_mem_enc and is_mask_from_pts and not self.training:
            share = (pred_masks_high_res > 0).float()
        else:
            share = pred_masks_high_res.sigmoid()
        scaled = share * self.sigmoid_scale_for_mem_enc + self.sigmoid_bias_for_mem_enc
        found = self.memory_encoder(frame, scaled.to(self.dtype), skip_mask_sigmoid=True)
        memory, places = found["vision_features"], list(found["vision_pos_enc"])
        if self.no_obj_embed_spatial is not None:
            absent = (object_score_logits <= 0).to(memory.dtype)[..., None, None]
            memory = memory + absent * self.no_obj_embed_spatial[..., None, None]
        if self.spatial_perceiver is not None:
            memory, places[0] = self.spatial_perceiver(memory), self._latent_places(len(memory)).to(memory)
        return memory, places

    def _latent_places(self: Any, count: int) -> Tensor:
        """The position code [B, D, T] of a perceiver's latents: of those that have a place, then zeros."""
        spec = self.spatial_perceiver.spec
        code = sine_map(spec.grid_hw, self.mem_dim).flatten(2)
        return torch.cat([code, code.new_zeros(1, self.mem_dim, spec.unplaced)], dim=2).expand(count, -1, -1)

    def _track_step(
        self: Any,
        frame_idx: int,
        is_init_cond_frame: bool,
        current_vision_feats: list[Tensor],
        current_vision_pos_embeds: list[Tensor],
        feat_sizes: list[tuple[int, int]],
        point_inputs: dict[str, Tensor] | None,
        mask_inputs: Tensor | None,
        output_dict: dict[str, dict[int, _Out]],
        num_frames: int,
        track_in_reverse: bool,
        prev_sam_mask_logits: Tensor | None,
    ) -> tuple[_Out, tuple[Tensor, ...], list[Tensor] | None, Tensor]:
        """The start of a frame's output, what the mask decoder says, and the features that it saw."""
        current_out: _Out = {"point_inputs": point_inputs, "mask_inputs": mask_inputs}
        fine = [
            _square(x, s) for x, s in zip(current_vision_feats[:-1], feat_sizes[:-1], strict=True)
        ] or None
        if mask_inputs is not None and self.use_mask_input_as_output_without_sam:
            seen = _square(current_vision_feats[-1], feat_sizes[-1])
            return current_out, self._use_mask_as_output(seen, fine, mask_inputs), fine, seen
        seen = self._prepare_memory_conditioned_features(
            frame_idx=frame_idx,
            is_init_cond_frame=is_init_cond_frame,
            current_vision_feats=current_vision_feats[-1:],
            current_vision_pos_embeds=current_vision_pos_embeds[-1:],
            feat_sizes=feat_sizes[-1:],
            output_dict=output_dict,
            num_frames=num_frames,
            track_in_reverse=track_in_reverse,
        )
        if prev_sam_mask_logits is not None:
            assert point_inputs is not None, "an earlier answer is corrected with points"
            assert mask_inputs is None, "an earlier answer is corrected with points alone"
            mask_inputs = prev_sam_mask_logits
        answer = self._forward_sam_heads(
            backbone_features=seen,
            point_inputs=point_inputs,
            mask_inputs=mask_inputs,
            high_res_features=fine,
            multimask_output=self._use_multimask(is_init_cond_frame, point_inputs),
        )
        return current_out, answer, fine, seen

    def _encode_memory_in_output(
        self: Any,
        current_vision_feats: list[Tensor],
        feat_sizes: list[tuple[int, int]],
        point_inputs: dict[str, Tensor] | None,
        run_mem_encoder: bool,
        high_res_masks: Tensor,
        object_score_logits: Tensor,
        current_out: _Out,
    ) -> None:
        """Put the memory of a frame into its output, or None where none is wanted."""
        memory, places = None, None
        if run_mem_encoder and self.num_maskmem > 0:
            memory, places = self._encode_new_memory(
                current_vision_feats=current_vision_feats,
                feat_sizes=feat_sizes,
                pred_masks_high_res=high_res_masks,
                object_score_logits=object_score_logits,
                is_mask_from_pts=point_inputs is not None,
            )
        current_out["maskmem_features"], current_out["maskmem_pos_enc"] = memory, places

    def track_step(
        self: Any,
        frame_idx: int,
        is_init_cond_frame: bool,
        current_vision_feats: list[Tensor],
        current_vision_pos_embeds: list[Tensor],
        feat_sizes: list[tuple[int, int]],
        point_inputs: dict[str, Tensor] | None,
        mask_inputs: Tensor | None,
        output_dict: dict[str, dict[int, _Out]],
        num_frames: int,
        track_in_reverse: bool = False,
        run_mem_encoder: bool = True,
        prev_sam_mask_logits: Tensor | None = None,
    ) -> _Out:
        """Objects on one frame: prompted, or found by what is remembered in ``output_dict``."""
        current_out, answer, _, _ = self._track_step(
            frame_idx,
            is_init_cond_frame,
            current_vision_feats,
            current_vision_pos_embeds,
            feat_sizes,
            point_inputs,
            mask_inputs,
            output_dict,
            num_frames,
            track_in_reverse,
            prev_sam_mask_logits,
        )
        _, _, _, low_res_masks, high_res_masks, obj_ptr, object_score_logits = answer
        current_out["pred_masks"], current_out["pred_masks_high_res"] = low_res_masks, high_res_masks
        current_out["obj_ptr"] = obj_ptr
        if not self.training:
            current_out["object_score_logits"] = object_score_logits
        self._encode_memory_in_output(
            current_vision_feats,
            feat_sizes,
            point_inputs,
            run_mem_encoder,
            high_res_masks,
            object_score_logits,
            current_out,
        )
        return current_out

    def _use_multimask(self: Any, is_init_cond_frame: bool, point_inputs: dict[str, Tensor] | None) -> bool:
        """Whether three masks are asked for: the prompt is ambiguous."""
        points = 0 if point_inputs is None else point_inputs["point_labels"].size(1)
        return (
            self.multimask_output_in_sam
            and (is_init_cond_frame or self.multimask_output_for_tracking)
            and self.multimask_min_pt_num <= points <= self.multimask_max_pt_num
        )

    def _apply_non_overlapping_constraints(self, pred_masks: Tensor) -> Tensor:
        """Logits [N, 1, H, W] where only the highest object of a pixel is inside."""
        return without_overlap(pred_masks)


def _square(flat: Tensor, hw: tuple[int, int]) -> Tensor:
    """[h * w, B, C] -> [B, C, h, w]"""
    return flat.permute(1, 2, 0).reshape(flat.size(1), flat.size(2), *hw)
