"""What ``everymask doctor`` looks at: each check is a record of what was found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import __version__
from ..errors import EverymaskError
from ..models import hub, places
from .shared.downloads import size_text

if TYPE_CHECKING:
    pass

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "pycocotools", "safetensors", "pyyaml")
EXTRAS = {
    # extra: (the module to look for, what it is for)
    "video": ("av", "video files"),
    "hub": ("huggingface_hub", "models from hub ids"),
    "geo": ("rasterio", "GeoTIFF and GeoPackage"),
    "parquet": ("pyarrow", "Parquet"),
}
CUP_XY = (300, 60)  # the white rim and inside of the cup in the bundled photo
FEW_GIGABYTES = 2 * 10**9
Source = Callable[[], Iterator["Check"]]


@dataclass(frozen=True)
class Check:
    """One thing found."""

    group: str
    name: str
    state: Literal["ok", "note", "problem"]
    """note: works, but could be better or is worth knowing; problem: something will fail."""
    value: str
    advice: str = ""
    seconds: float | None = None
    """For the steps of the self-test: how long it took."""


def software() -> Iterator[Check]:
    """Versions of everymask, Python and the packages it stands on."""
    yield Check("software", "everymask", "ok", __version__)
    yield Check("software", "python", "ok", f"{platform.python_version()}, {platform.platform(terse=True)}")
    for package in PACKAGES:
        version = _version(package)
        if version is None:
            yield Check("software", package, "problem", "not installed", f"run: pip install {package}")
        else:
            yield Check("software", package, "ok", version)
    yield from _several_opencvs()


def extras() -> Iterator[Check]:
    """The optional parts: which are here, and how to get the others."""
    for extra, (module, purpose) in EXTRAS.items():
        if importlib.util.find_spec(module):
            yield Check("extras", extra, "ok", f"installed ({purpose})")
        else:
            advice = f"for {purpose}: pip install 'everymask[{extra}]'"
            yield Check("extras", extra, "note", "not installed", advice)


def machine() -> Iterator[Check]:
    """Processor, threads, accelerator, memory, and what mixed precision brings here."""
    import torch

    yield Check("machine", "device", *_device(torch.cuda.is_available(), torch.backends.mps.is_available()))
    yield threads(torch.get_num_threads(), usable_cores())
    if (memory := _available_memory()) is not None:
        low = memory < FEW_GIGABYTES
        advice = "close other programs; nano needs about 1 GB, larger models several" if low else ""
        yield Check("machine", "memory", "note" if low else "ok", f"{size_text(memory)} available", advice)
    yield _bf16()


def threads(used: int, cores: int) -> Check:
    """Whether torch uses the cores that this process may use.

    >>> threads(2, 2).state, threads(8, 2).state, threads(1, 2).state
    ('ok', 'note', 'note')
    """
    value = f"{used} of {cores} cores"
    if used > cores:
        advice = f"more threads than cores slow each other down: export OMP_NUM_THREADS={cores}"
        return Check("machine", "threads", "note", value, advice)
    if used < cores:
        advice = "torch uses fewer cores than there are: unset OMP_NUM_THREADS, or set it higher"
        return Check("machine", "threads", "note", value, advice)
    return Check("machine", "threads", "ok", value)


def usable_cores() -> int:
    """Cores that this process may run on: its affinity, and a container's share where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("utf-8").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return cores


def weights() -> Iterator[Check]:
    """The cache and its settings, and the bundled model."""
    yield _cache_folder(hub.home())
    names = [name for name in hub.cached_names() if not hub.entry_of(name).bundled]
    yield Check("weights", "cached", "ok", f"{', '.join(names) or 'none'} ({size_text(hub.cached_bytes())})")
    if hub.offline():
        advice = "only cached weights and nano can be used; unset EVERYMASK_OFFLINE to fetch more"
        yield Check("weights", "offline", "note", "EVERYMASK_OFFLINE is set", advice)
    else:
        yield Check("weights", "offline", "ok", "no: weights may be fetched")
    if mirror := hub.mirror():
        yield Check("weights", "mirror", "ok", mirror)
    nano = hub.path_of("nano")
    if nano.exists():
        yield Check("weights", "nano", "ok", f"bundled, {size_text(nano.stat().st_size)}")
    else:
        advice = "reinstall: pip install --force-reinstall everymask"
        yield Check("weights", "nano", "problem", "the bundled model is missing", advice)


def self_test() -> Iterator[Check]:
    """The main job on the bundled photo, timed: load, encode, one click, everything."""
    import everymask as em

    photo_path = places.ASSETS / "photo.jpg"
    try:
        with _timed() as clock:
            model = em.load("nano")
        yield _step("load nano", clock, f"on {model.device.type}")
        with _timed() as clock:
            photo = em.read_photo(photo_path)
            predictor = em.ImagePredictor(model)
            predictor.set_image(photo)
        yield _step("encode the photo", clock, f"{photo.shape[1]} x {photo.shape[0]}")
        with _timed() as clock:
            answer = predictor.predict(points=[CUP_XY], labels=[1], multimask=False)
        yield _plausible("one click", clock, int(answer.masks.any()), "mask")
        with _timed() as clock:
            masks = em.AutomaticMaskGenerator(model).generate(photo)
        yield _plausible("everything", clock, len(masks), "masks")
    except (EverymaskError, RuntimeError, OSError) as error:
        advice = "see the problems above; if there are none, report this with everymask doctor --json"
        yield Check("self-test", "stopped", "problem", f"{type(error).__name__}: {error}", advice)


SOURCES: tuple[Source, ...] = (software, extras, machine, weights, self_test)


class _timed:
    """``with _timed() as clock: ...``, then ``clock.seconds``."""

    seconds = 0.0

    def __enter__(self) -> _timed:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


def _step(name: str, clock: _timed, value: str) -> Check:
    return Check("self-test", name, "ok", value, seconds=clock.seconds)


def _plausible(name: str, clock: _timed, count: int, what: str) -> Check:
    """A step that must find something on a photo with a cup in its middle."""
    if count:
        return _step(name, clock, f"{count} {what}")
    advice = "the model ran but found nothing: reinstall everymask and torch, then report it"
    return Check("self-test", name, "problem", f"0 {what}", advice, clock.seconds)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _several_opencvs() -> Iterator[Check]:
    others = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if others and _version("opencv-python-headless"):
        advice = f"they overwrite each other's files; keep one, for example: pip uninstall {others[0]}"
        yield Check("software", "opencv", "note", f"{others[0]} is installed as well", advice)


def _device(cuda: bool, mps: bool) -> tuple[Literal["ok", "note"], str, str]:
    import torch

    if cuda:
        return "ok", f"cuda, {torch.cuda.get_device_name()}", ""
    if mps:
        return "ok", "mps, Apple GPU", ""
    if shutil.which("nvidia-smi"):
        advice = "there is an NVIDIA driver, but this torch has no CUDA: install its CUDA build"
        return "note", "cpu", advice
    return "ok", f"cpu, {platform.processor() or platform.machine()}", ""


def _available_memory() -> int | None:
    """Bytes that can still be had, where the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def _bf16() -> Check:
    """Which type large products are fastest in, measured here."""
    import torch

    from ..models.load import read_device
    from ..nn.product_type import fast_dtype, speed_of

    device = read_device(None)
    return bf16(speed_of(torch.bfloat16, device), chosen=fast_dtype(device) == torch.bfloat16)


def bf16(speed: float, *, chosen: bool) -> Check:
    """What half precision brings, in words: its ``speed`` against float32, and whether it is ``chosen``.

    >>> bf16(0.0058, chosen=False).value
    '170 times slower than float32 in large products'
    """
    from ..nn.product_type import how_many_times

    if speed < 0.95:
        value = f"{how_many_times(1 / speed)} slower than float32 in large products"
    else:
        value = f"{how_many_times(speed)} as fast as float32 in large products"
    if chosen:
        advice = "--effort fast and training use it; --effort bf16 may pay with the larger models"
    else:
        advice = "everything runs in float32 here; leave out --effort bf16 and dtype bfloat16"
    return Check("machine", "bf16", "ok", value, advice)


def _cache_folder(folder: Path) -> Check:
    """Where weights are kept: whether it can be written and how much fits."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    value = f"{folder}, {size_text(free)} free"
    if not os.access(existing, os.W_OK) or not existing.is_dir():
        advice = "it cannot be written: set EVERYMASK_HOME to a folder of yours"
        return Check("weights", "cache", "problem", value, advice)
    if free < FEW_GIGABYTES:
        advice = "the larger models will not fit: free some space, or set EVERYMASK_HOME to a larger disk"
        return Check("weights", "cache", "note", value, advice)
    return Check("weights", "cache", "ok", value)
