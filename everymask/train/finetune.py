"""Fine-tuning: a model of the family, a user's photos with masks, a few minutes.

model = everymask.load("nano")
examples = read_examples("photos", "annotations.json")
for report in finetune(model, examples, minutes=5): ...
write_weights(model, "mine.safetensors")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from everymask.errors import InputError, OptionError
from everymask.formats.landing import landing
from everymask.models.base import PromptableModel
from everymask.models.weights import to_official
from everymask.train.data import Example, ExampleSource
from everymask.train.loop import Report, train
from everymask.train.state import TrainOptions, start

PARTS = {
    "decoder": ("sam_mask_decoder", "mask_decoder"),
    "neck": ("sam_mask_decoder", "mask_decoder", "image_encoder.neck"),
    "all": ("sam_mask_decoder", "mask_decoder", "image_encoder", "sam_prompt_encoder", "prompt_encoder"),
}
"""What is trained: the mask decoder; it and the neck; everything but the memory."""


def finetune(
    model: PromptableModel,
    examples: Sequence[Example],
    *,
    parts: str = "decoder",
    minutes: float = 5.0,
    steps: int | None = None,
    learning_rate: float = 1e-4,
    batch: int = 2,
    prompts: int = 8,
    seed: int = 0,
    bfloat16: bool | None = None,
) -> Iterator[Report]:
    """Train ``model`` in place on ``examples``; yields a report every 10 steps.

    When the iteration ends the model holds the averaged weights, in evaluation mode. The same seed,
    examples and steps give the same weights on the same machine. Raises OptionError for unknown parts.
    """
    if parts not in PARTS:
        raise OptionError(f"parts must be one of {', '.join(PARTS)}, got {parts!r}")
    if not examples:
        raise InputError("expected at least one photo with masks, got none")
    options = TrainOptions(
        minutes=minutes,
        steps=steps,
        batch=batch,
        prompts=prompts,
        learning_rate=learning_rate,
        warmup_steps=20,
        weight_decay=0.01,
        ema=0.98,
        bfloat16=bfloat16,
        seed=seed,
        train_parts=PARTS[parts],
        dense=False,
        freeze_norms=True,
        report_steps=10,
    )
    state = start(model, options)
    yield from train(state, ExampleSource(examples, model.spec.image_size), options)
    model.load_state_dict(state.average.state_dict())
    model.eval().requires_grad_(False)


def write_weights(model: PromptableModel, path: Path | str) -> None:
    """The model's weights as safetensors under official key names; ``everymask.load(path)`` reads them."""
    from safetensors.torch import save_file

    with landing(Path(path)) as temporary:
        save_file({name: value.contiguous() for name, value in to_official(model).items()}, temporary)
