"""``everymask models``: which weights there are, which are here, what a file is, and in another layout."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import CheckpointError, EverymaskError, UnknownModelError
from ..inpaint.pipelines import PIPELINES
from ..models import catalog, hub
from ..models.catalog import CATALOG, WeightsFile
from ..models.file_sets import FileSet
from ..models.hub_repository import SUFFIXES
from ..words.detect.weights import HOSTED
from ..words.listen.weights import FASTER, WHISPERS
from .shared.downloads import pull_set_visibly, pull_visibly, size_text

app = typer.Typer(no_args_is_help=True, help="List, fetch, verify, convert and remove model weights.")

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names of `everymask models list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NARROW, WIDE = 40, 100
SETS: dict[str, FileSet] = {**HOSTED, **WHISPERS, **FASTER, **PIPELINES}
"""Models of several files."""


@app.command("list")
def list_models(
    as_json: AsJson = False,
    cached: Annotated[bool, typer.Option("--cached", help="Only those whose weights are here.")] = False,
) -> None:
    """Every model: size, licence, what it is for, and whether its weights are here."""
    entries = [entry for entry in CATALOG.values() if not cached or hub.is_cached(entry.name)]
    sets = [files for files in SETS.values() if not cached or files.is_here]
    if as_json:
        facts = [*map(_facts, entries), *map(_facts_of_set, sets)]
        typer.echo(json.dumps(facts, indent=2))
        return
    for entry in entries:
        typer.echo(_row(entry))
    for files in sets:
        typer.echo(_row_of_set(files))
    typer.echo(f"\nCache: {hub.home()} ({size_text(hub.cached_bytes())})")
    if not cached:
        typer.echo("Fetch one with: everymask models pull NAME")


@app.command()
def pull(names: Names) -> None:
    """Fetch weights into the cache, verified; an interrupted download goes on where it stopped.

    The path of each file is printed on stdout.
    """
    failed = False
    for name in names:
        try:
            typer.echo(pull_set_visibly(SETS[name]) if name in SETS else pull_visibly(name))
        except UnknownModelError:
            raise  # a wrong word is wrong use
        except EverymaskError as error:
            failed = True
            typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names; none: all that are here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read cached weights again and compare their SHA-256 with the published one."""
    verdicts = [hub.verify(name) for name in names or hub.cached_names()]
    if as_json:
        typer.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2, default=str))
    else:
        for verdict in verdicts:
            typer.echo(f"{verdict.name}: {_said(verdict)}")
    raise typer.Exit(1 if any(verdict.state in ("bad", "absent") for verdict in verdicts) else 0)


@app.command()
def info(
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A weights file, or a model's name.")],
    as_json: AsJson = False,
) -> None:
    """What a weights file is: its architecture, recognised from keys and shapes, and its size."""
    entry = None if Path(what).exists() else catalog.find(what)
    if entry is None and not Path(what).exists():
        if Path(what).suffix in SUFFIXES or "/" in what:
            raise CheckpointError(f"there is no file {what}; give a weights file or a model's name")
        catalog.entry_of(what)  # says which names there are
    facts = _facts(entry) if entry else {}
    path = hub.path_of(entry.name) if entry else Path(what)
    if path.exists():
        facts |= _contents(path)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, default=str))
        return
    width = max(len(_label(key)) for key in facts) + 2
    for key, value in facts.items():
        if value not in (None, ""):
            typer.echo(_wrapped(f"{_label(key):<{width}}", _value_text(key, value)))


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="A weights file, a folder of transformers, or a model's name."
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="A .safetensors, .pt or .pth file, or a folder for one."),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="LAYOUT", help="official, or transformers.")
    ] = "official",
) -> None:
    """Write weights under the official names or those of transformers, as .pt or safetensors.

    transformers gets a config.json beside them, for from_pretrained. Every value keeps its bits.
    The paths of what was written are printed on stdout.
    """
    from ..export.weights_file import convert_weights

    for path in convert_weights(source, output, to):
        typer.echo(path)


@app.command()
def rm(names: Names) -> None:
    """Take weights, and what is left of broken downloads, out of the cache."""
    for name in names:
        entry = catalog.entry_of(name)
        if entry.bundled:
            typer.echo(f"{entry.name} is part of the package and stays", err=True)
            continue
        typer.echo(f"{entry.name}: {size_text(hub.remove(name))} freed")


def _row(entry: WeightsFile) -> str:
    """Two or three lines: name, size, licence, state; then what it is for."""
    head = f"{typer.style(f'{entry.name:<23}', bold=True)} {size_text(_size(entry)):>7}  {entry.licence:<11}"
    note = f" (for {entry.used_by})" if entry.used_by else ""
    note += " (listed: size and hash as mirrors have them)" if entry.listed else ""
    return f"{head} {_state(entry)}\n{_wrapped('    ', entry.purpose + note)}"


def _row_of_set(files: FileSet) -> str:
    state = typer.style("cached", fg="green") if files.is_here else "-"
    name, size = typer.style(f"{files.name:<23}", bold=True), size_text(files.size_bytes)
    head = f"{name} {size:>7}  {files.licence:<11}"
    return (
        f"{head} {state}\n{_wrapped('    ', f'{files.purpose} (for {files.used_by}; extra {files.extra})')}"
    )


def _facts_of_set(files: FileSet) -> dict[str, Any]:
    """What is known of a detector's files."""
    return {
        "name": files.name,
        "purpose": files.purpose,
        "licence": files.licence,
        "hub_id": files.repository,
        "size_bytes": files.size_bytes,
        "used_by": files.used_by,
        "cached": files.is_here,
        "path": str(files.folder),
    }


def _state(entry: WeightsFile) -> str:
    if entry.bundled:
        return "bundled" if hub.is_cached(entry.name) else "missing"
    return typer.style("cached", fg="green") if hub.is_cached(entry.name) else "-"


def _said(verdict: hub.Verdict) -> str:
    if catalog.entry_of(verdict.name).bundled and verdict.state == "recorded":
        return f"bundled, SHA-256 {verdict.sha256}"
    match verdict.state:
        case "good":
            listed = catalog.entry_of(verdict.name).listed
            return f"good, the {'listed' if listed else 'published'} bytes"
        case "recorded":
            return "unchanged; no published hash is known"
        case "absent":
            return f"not here; fetch it with: everymask models pull {verdict.name}"
        case "bad":
            return (
                f"BAD: SHA-256 {verdict.sha256}, expected {verdict.expected}; fetch it again with: "
                f"everymask models rm {verdict.name} && everymask models pull {verdict.name}"
            )


def _size(entry: WeightsFile) -> int | None:
    path = hub.path_of(entry.name)
    return entry.size_bytes or (path.stat().st_size if path.exists() else None)


def _facts(entry: WeightsFile) -> dict[str, Any]:
    """What the catalog and the cache know of an entry."""
    return {
        "name": entry.name,
        "purpose": entry.purpose,
        "licence": entry.licence,
        "file": entry.file,
        "url": entry.url or None,
        "hub_id": entry.hub_id or None,
        "size_bytes": _size(entry),
        "sha256": entry.sha256,
        "listed": entry.listed,
        "used_by": entry.used_by or None,
        "bundled": entry.bundled,
        "cached": hub.is_cached(entry.name),
        "path": str(hub.path_of(entry.name)),
    }


def _contents(path: Path) -> dict[str, Any]:
    """What the file itself says: architecture, tensors, hash."""
    from ..models.weights import read_weights, recognise

    state = read_weights(path)
    spec = recognise(state, path)
    weights = [tensor for tensor in state.values() if tensor.is_floating_point()]  # others count batches
    digest = hub.sha256_of(path)
    published = next((entry.name for entry in CATALOG.values() if entry.sha256 == digest), None)
    return {
        "path": str(path),
        "size_bytes": path.stat().st_size,
        "sha256": digest,
        "published_as": published,
        "architecture": spec.name,
        "family": spec.family,
        "image_size": spec.image_size,
        "video": spec.memory is not None,
        "tensors": len(state),
        "parameters": sum(tensor.numel() for tensor in weights),
        "dtypes": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights}),
    }


def _label(key: str) -> str:
    return key.removesuffix("_bytes").replace("_", " ")


def _value_text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "size_bytes":
        return f"{size_text(value)} ({value})"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def _wrapped(indent: str, text: str) -> str:
    """``text`` behind ``indent``, within the terminal's width; long paths and hashes stay whole."""
    width = min(max(shutil.get_terminal_size().columns, NARROW), WIDE)
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
