"""``sam2.modeling.sam2_base``: :class:`SAM2Base` with what official code asks of it."""

from __future__ import annotations

from everymask.compat.parts import CalledOfficially, PromptEncoder, Sam2MaskDecoder
from everymask.models.sam2 import Sam2
from everymask.models.specs import ModelSpec


class SAM2Base(CalledOfficially, Sam2):
    """Our SAM 2; its prompt encoder and mask decoder take the official calls as well."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.sam_prompt_encoder = PromptEncoder.of(spec)
        self.sam_mask_decoder = Sam2MaskDecoder(spec)

    @property
    def image_size(self) -> int:
        """The side of the square that images are squeezed into."""
        return self.spec.image_size
