"""``everymask studio``: click, correct and export in the browser, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import OptionError, require
from ..everything.presets import Preset
from .shared.inputs import find_photos
from .shared.option_files import OptionsFile, options_of
from .shared.options import Device, Model


def studio(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PHOTO | FOLDER | VIDEO]...", help="Photos or videos, or a folder of them."),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where work is kept; by default beside the photos."),
    ] = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Masks to begin with: a file or folder, any format; repeatable."),
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="The pictures of a folder are the frames of one clip.")
    ] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Subfolders too.")] = False,
    model: Model = "nano",
    device: Device = None,
    options: OptionsFile = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    token: Annotated[
        str | None, typer.Option(envvar="EVERYMASK_STUDIO_TOKEN", help="Token in the link; else a new one.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Click, correct and export masks in the browser; nothing leaves this machine.

    Everything you accept is kept in a project file beside the photos, and is there when you come back.
    In a video objects are followed from frame to frame, and corrected where they are lost. Without photos
    you get an empty page to drop some onto.
    """
    require("fastapi", "studio", "the studio")
    require("uvicorn", "studio", "the studio")
    if token is not None and len(token) < 16:
        raise OptionError(f"a token must have at least 16 characters, got {len(token)}; leave it out for one")
    from ..studio.opening import begin, find_clips
    from ..studio.server.serve import Address, serve
    from ..studio.session import Session
    from .shared.downloads import load_visibly

    chosen = options_of(options, model)
    words = photos or []
    clips, others = find_clips(words, frames=frames)
    found = find_photos(others, recursive=recursive)
    opened = Path(words[0]) if words else None
    start = begin([(photo.path, photo.name) for photo in found], opened, project, masks or [], clips)
    own = {} if options is None else {options.name: Preset(f"the options in {options}", chosen)}
    session = Session(start, load_visibly(model, device), model, presets=own)
    address = Address(host, port, token)
    if not address.is_local:
        typer.echo(
            f"note: {host} lets every machine of this network in that has the link; "
            "it is not encrypted. Use it only in a network that you trust.",
            err=True,
        )

    def announce(link: str) -> None:
        typer.echo(f"studio    {link}")
        count = f"{len(start.photos)}" + (f", clips {len(start.clips)}" if start.clips else "")
        typer.echo(f"photos    {count}, model {model}")
        typer.echo(f"project   {start.project}   (Ctrl-C ends; work is kept at every step)")
        if browser and address.is_local:
            import webbrowser

            webbrowser.open(link)

    serve(session, address, announce)
