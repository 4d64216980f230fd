"""An export with a page that runs it: clicks on a photo become masks in a browser, with nothing behind it.

The page's own files lie in ``export/web``. What runs the graphs is onnxruntime-web, two files of which are
put beside them: from a folder that is given, from ``node_modules``, from the cache, or by ``npm pack``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from everymask.errors import DownloadError, OptionError
from everymask.export.write import export_onnx
from everymask.models.base import PromptableModel
from everymask.models.hub import offline_setting
from everymask.models.kept_files import write_whole
from everymask.models.places import ASSETS, home

WEB = Path(__file__).parent / "web"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
RUNTIME = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""The files of the package that the page loads, with their SHA-256."""


def export_page(
    model: PromptableModel,
    output: str | os.PathLike[str],
    *,
    precision: str = "float32",
    opset: int = 17,
    runtime: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Write the folder of :func:`everymask.export_onnx` with a page in it that clicks on photos.

    Any server of files shows it (``python -m http.server --directory output``); a page that is opened as a
    file may not load its parts. ``runtime`` is a folder with onnxruntime-web, such as
    ``node_modules/onnxruntime-web``.

    Returns the paths written, ``index.html`` first. Raises OptionError, DownloadError, MissingExtraError.
    """
    found = find_runtime(None if runtime is None else Path(runtime))
    folder = Path(output)
    graphs = export_onnx(model, folder, precision=precision, opset=opset)
    (folder / "ort").mkdir(exist_ok=True)
    sources = {each.name: each for each in sorted(WEB.iterdir())} | {"photo.jpg": ASSETS / "photo.jpg"}
    sources |= {f"ort/{name}": found / name for name in RUNTIME}
    for name, source in sources.items():
        write_whole(folder / name, source.read_bytes())
    return [folder / "index.html", *graphs, *(folder / name for name in sources if name != "index.html")]


def find_runtime(given: Path | None = None) -> Path:
    """A folder with the files of :data:`RUNTIME`."""
    if given is not None:
        for folder in (given, given / "dist"):
            if _is_whole(folder):
                return folder
        raise OptionError(
            f"{given} has no {' and '.join(RUNTIME)}; give the folder of {PACKAGE} "
            f"(npm install {PACKAGE}@{VERSION} puts it into node_modules)"
        )
    here = Path.cwd()
    for parent in (here, *here.parents):
        folder = parent / "node_modules" / PACKAGE / "dist"
        if _is_whole(folder):
            return folder
    kept = home() / f"{PACKAGE}-{VERSION}"
    if not _is_whole(kept):
        _fetch(kept)
    return kept


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in RUNTIME)


def _fetch(into: Path) -> None:
    """The files from the package as npm gives it, compared with their hashes."""
    advice = f"run npm install {PACKAGE}@{VERSION} somewhere and give --runtime node_modules/{PACKAGE}"
    npm, forbidden = shutil.which("npm"), offline_setting()
    if npm is None or forbidden:
        why = f"{forbidden} is set" if forbidden else "there is no npm here to fetch it"
        raise DownloadError(f"the page needs {PACKAGE} {VERSION} and {why}; {advice}")
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True)
        archives = list(Path(temporary).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise DownloadError(
                f"npm could not fetch {PACKAGE} {VERSION} ({_last_line(done.stderr)}); {advice}"
            )
        contents = {name: _member(archives[0], f"package/dist/{name}") for name in RUNTIME}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != RUNTIME[name]:
            raise DownloadError(f"{name} of {PACKAGE} {VERSION} is not the published file; {advice}")
    into.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(into / name, content)


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        try:
            file = tar.extractfile(name)
        except KeyError:
            file = None
        return b"" if file is None else file.read()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
