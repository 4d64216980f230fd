"""The options of a tracker, once: the command line and the docs are made from them."""

from __future__ import annotations

from dataclasses import dataclass

from everymask.errors import OptionError


@dataclass(frozen=True)
class TrackerOptions:
    """How objects are followed. The defaults are those of ``build_sam2_video_predictor`` of sam2, but for
    ``corrections_condition`` and ``keep_frames``, which the official code leaves at False and None.
    """

    fill_hole_area: int = 8
    """Holes of up to so many pixels of the low-resolution mask are filled; 0: none."""

    binarize_prompted: bool = True
    """Masks of prompted frames enter memory as one sees them, cut at 0, not as probabilities."""

    non_overlap_masks: bool = False
    """Every pixel belongs to at most one object, the one with the highest score there."""

    corrections_condition: bool = True
    """A frame that is prompted after it was tracked becomes a conditioning frame. Where this is False, as
    in the official predictor, tracking over the frame again forgets the correction."""

    clear_around_corrections: bool = False
    """Forget the memories of the frames around a prompt: they may hold what was corrected."""

    max_conditioning: int | None = None
    """At most so many conditioning frames are looked at, the nearest ones; None: all."""

    memory_stride: int = 1
    """Look at every so many-th frame before the last one, to see farther back."""

    keep_frames: int | None = 64
    """Memories of so many frames on either side of the frame in work are kept, and those that the model
    would look at around conditioning frames. A correction farther back than that starts afresh: the mask
    that was tracked there is not known any more. None keeps everything, as the official predictor does
    (770 kB per object and frame with SAM 2)."""

    store_on_cpu: bool = False
    """Keep memories in the computer's memory, not the GPU's: for many objects on a small GPU."""

    fast_attention: bool = False
    """Do the products of memory attention in bfloat16 where the device is faster in it: near the official
    masks, not equal to them. Elsewhere it changes nothing."""

    feature_cache: int = 4
    """Image features of so many frames are kept, for prompts on the same frame (16 MB each at 1024 px)."""

    def __post_init__(self) -> None:
        _at_least("fill_hole_area", self.fill_hole_area, 0)
        _at_least("memory_stride", self.memory_stride, 1)
        _at_least("feature_cache", self.feature_cache, 1)
        if self.keep_frames is not None:
            _at_least("keep_frames", self.keep_frames, 0)
        if self.max_conditioning is not None:
            _at_least("max_conditioning", self.max_conditioning, 2)


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name} must be a whole number of at least {least}, got {value!r}")
