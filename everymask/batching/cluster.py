"""Ray: a cluster that runs, or one on this machine for as long as a run takes; every failure one line."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..errors import BatchError, MissingExtraError, OptionError, require
from .storage import TRIES, told

OBJECT_STORE_BYTES = 1_000_000_000
"""Of a cluster that a run starts for itself: photos as files wait in it, and finished parts."""
REACH_SECONDS = 5.0


@dataclass(frozen=True)
class Sizing:
    """How many models there are, and what each may use."""

    actors: int
    cpus: float
    """Cores of an actor; a share of the last one is left to reading and writing."""
    gpus: float

    @property
    def threads(self) -> int:
        """That an actor computes with."""
        return max(1, round(self.cpus))


def import_ray() -> Any:
    """The module. Raises :class:`MissingExtraError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers are the work, not a background to it
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # a busy machine takes its time
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong comes as an exception
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    module = require("ray", "batch", "everymask batch")
    require("ray.data", "batch", "everymask batch")
    return module


@contextmanager
def running(address: str | None, dashboard: Callable[[str], None] | None = None) -> Iterator[Any]:
    """Ray, connected to the cluster at ``address`` (``auto``: the one of this machine), or to one started
    here that ends with the block. A connection that the caller made before is used and left.

    ``dashboard``: one started here shows Ray's dashboard, at the address that this is told.

    Raises :class:`BatchError` for an address that does not answer or answers with another version.
    """
    module = import_ray()
    if module.is_initialized():
        yield module
        return
    if address is None:
        context = _start_here(module, dashboard is not None)
        if dashboard is not None:
            dashboard(f"http://{context.dashboard_url}")
    else:
        _check_address(address)
        try:
            module.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises its bare kind too
            raise BatchError(_why_not(address, error)) from error
    try:
        yield module
    finally:
        module.shutdown()


def check_dashboard(address: str | None) -> None:
    """Raises :class:`OptionError` or :class:`MissingExtraError` where no dashboard can be shown."""
    if address is not None:
        raise OptionError("a cluster that runs has a dashboard of its own; leave out --dashboard, or --ray")
    if find_spec("aiohttp_cors") is None:
        raise MissingExtraError(
            "--dashboard needs parts of Ray that are not installed; run: pip install 'ray[default]'"
        )


def _start_here(module: Any, dashboard: bool) -> Any:
    """Start Ray on this machine, tried three times: a node has 30 seconds, more than a busy machine gives.

    Returns what Ray tells of it.
    """
    for left in reversed(range(TRIES)):
        try:
            return module.init(
                address="local",
                include_dashboard=dashboard,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises its bare kind too, when a node takes long to start
            module.shutdown()
            if not left:
                raise BatchError(_why_not(None, error)) from error
    raise AssertionError("the last try returns or raises")


def _check_address(address: str) -> None:
    """Say at once what Ray would find out in half a minute: that nobody listens there."""
    if address.startswith("ray://"):
        raise BatchError(
            f"{address} is a Ray Client address, which Ray Data does not work with; "
            "run everymask batch on a node of the cluster (ray job submit), with --ray auto"
        )
    host, colon, port = address.rpartition(":")
    if address == "auto":
        return
    if not colon or not port.isdigit():
        raise OptionError(f"--ray takes auto or HOST:PORT of a cluster's head, got {address!r}")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise BatchError(f"no Ray cluster answers at {address}: {told(error)}") from error


def _why_not(address: str | None, error: Exception) -> str:
    text = told(error)
    if "ersion mismatch" in text:
        return f"the cluster at {address} runs other versions than this machine: {text}; make them the same"
    if address is None:
        return f"Ray does not start here: {text}"
    return f"no Ray cluster answers at {address}: {text}"


def sized(module: Any, actors: int | None, cpus: float | None, gpus: float | None, parts: int) -> Sizing:
    """How many models, for the cluster there is: one a GPU where there are GPUs, otherwise one for every
    ``cpus`` cores (default 1); never more than there are parts. Raises :class:`OptionError`."""
    there = module.cluster_resources()
    all_cpus, all_gpus = there.get("CPU", 1.0), there.get("GPU", 0.0)
    gpus = (1.0 if all_gpus else 0.0) if gpus is None else gpus
    if gpus > all_gpus:
        raise OptionError(f"an actor was to have {gpus:g} GPUs, the cluster has {all_gpus:g}")
    if cpus is None:
        cpus = max(1.0, min(8.0, all_cpus // max(all_gpus / gpus, 1))) if gpus else 1.0
    most = int(all_gpus / gpus) if gpus else int(all_cpus / cpus)
    if most < 1:
        raise OptionError(f"an actor was to have {cpus:g} CPUs, the cluster has {all_cpus:g}")
    if actors is not None and not 1 <= actors <= most:
        raise OptionError(
            f"the cluster has room for {most} actors of {cpus:g} CPUs and {gpus:g} GPUs, got {actors}"
        )
    return Sizing(max(1, min(actors or most, parts)), cpus, gpus)
