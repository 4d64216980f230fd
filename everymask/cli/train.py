"""``everymask train``: a model of the family learns from your own photos with masks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Part(StrEnum):
    """What is trained."""

    decoder = "decoder"
    neck = "neck"
    all = "all"


def train(
    photos: Annotated[Path, typer.Argument(help="A folder of photos.")],
    masks: Annotated[
        Path | None,
        typer.Option("--masks", help="One COCO file, or a folder with NAME.json or NAME.png per photo."),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Where to start: a name or a file.")] = "nano",
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="The weights to write.")] = Path(
        "trained.safetensors"
    ),
    parts: Annotated[Part, typer.Option("--parts", help="What to train.")] = Part.decoder,
    minutes: Annotated[float, typer.Option("--minutes", help="How long.")] = 5.0,
    steps: Annotated[int | None, typer.Option("--steps", help="Stop after this many steps.")] = None,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate at its highest.")] = 3e-4,
    batch: Annotated[int, typer.Option("--batch", help="Photos a step.")] = 2,
    prompts: Annotated[int, typer.Option("--prompts", help="Regions asked for per photo and step.")] = 8,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or mps.")] = None,
) -> None:
    """Fine-tune a model on photos with masks (COCO, SA-1B, label maps, ...).

    Writes the averaged weights; use them with --model FILE in every other command. Measure the gain on
    photos that were held aside with: everymask evaluate FOLDER --model FILE
    """
    from ..models.load import load
    from ..train.data import read_examples
    from ..train.finetune import finetune, write_weights

    examples = read_examples(photos, masks)
    left_out = sum(example.left_out for example in examples)
    typer.echo(f"{len(examples)} photos with masks", err=True)
    if left_out:
        typer.echo(f"{left_out} masks overlap too many others and are not trained on", err=True)
    learner = load(model, device)
    reports = finetune(
        learner,
        examples,
        parts=parts.value,
        minutes=minutes,
        steps=steps,
        learning_rate=rate,
        batch=batch,
        prompts=prompts,
        seed=seed,
    )
    for report in reports:
        mask_loss = report.losses["best"] + report.losses["single"] + report.losses["box"]
        typer.echo(f"step {report.step}  {report.minutes:.1f} min  mask loss {mask_loss:.3f}", err=True)
    write_weights(learner, out)
    typer.echo(str(out))
