"""``everymask export``: a model as ONNX files, for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError
from .shared.downloads import load_visibly, size_text
from .shared.options import OUTPUT, Output, model_names

if TYPE_CHECKING:
    from ..models.base import PromptableModel

WHAT = "What is written"


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name of `everymask models list`, or a checkpoint.",
            autocompletion=model_names,
        ),
    ],
    output: Output = Path("out/onnx"),
    web: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the files and a page that runs them in a browser into this folder instead.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For --web: a folder with onnxruntime-web, such as node_modules/onnxruntime-web.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    masks: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of a prompt: all four, multi (the three of an ambiguous one) or single.",
            rich_help_panel=WHAT,
        ),
    ] = "all",
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of the encoder: float32, float16, or int8 (weights).",
            rich_help_panel=WHAT,
        ),
    ] = "float32",
    one_graph: Annotated[
        bool,
        typer.Option("--one-graph", help="Add encoder and decoder as one file.", rich_help_panel=WHAT),
    ] = False,
    opset: Annotated[
        int, typer.Option(metavar="N", help="ONNX operator set, 13 to 20.", rich_help_panel=OUTPUT)
    ] = 17,
) -> None:
    """Write a model's encoder and mask decoder as ONNX files with the signatures that others know."""
    from ..export.graphs import MASKS
    from ..export.write import export_onnx

    if masks not in MASKS:
        raise OptionError(f"--masks must be one of {', '.join(MASKS)}, got {masks!r}")
    if web is None and runtime is not None:
        raise OptionError("--runtime is for the page of --web DIR; give both or neither")
    if web is not None and (masks != "all" or one_graph):
        raise OptionError("the page of --web takes all masks of two files; leave out --masks and --one-graph")
    loaded = load_visibly(model, "cpu")
    if web is not None:
        _write_page(loaded, web, precision, opset, runtime)
        return
    paths = export_onnx(
        loaded, output, masks=MASKS[masks], precision=precision, one_graph=one_graph, opset=opset
    )
    for path in paths:
        typer.echo(f"{path}  {size_text(path.stat().st_size)}")
    if masks == "all":
        typer.echo(f"run it: everymask predict PHOTO -p X,Y --model {output}", err=True)


def _write_page(
    model: PromptableModel, folder: Path, precision: str, opset: int, runtime: Path | None
) -> None:
    from ..export.page import export_page

    for path in export_page(model, folder, precision=precision, opset=opset, runtime=runtime):
        typer.echo(f"{path}  {size_text(path.stat().st_size)}")
    typer.echo(
        f"open it: python -m http.server --directory {folder} --bind 127.0.0.1, then http://127.0.0.1:8000",
        err=True,
    )
