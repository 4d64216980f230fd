"""Prometheus counters of a run, served while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import BatchError, require
from .plan import Plan
from .storage import told
from .worker import Made


class Counters:
    """Photos planned, made and failed, masks, seconds of work by worker; nothing until they are served."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    @contextmanager
    def served(self, port: int | None) -> Iterator[None]:
        """Serve the counters at ``/metrics`` of a port; None: do not. Raises :class:`BatchError`."""
        if port is None:
            yield
            return
        client = require("prometheus_client", "batch", "--metrics-port")
        registry = client.CollectorRegistry()
        self._kept = {
            "planned": client.Gauge("everymask_photos_planned", "Photos of the plan.", registry=registry),
            "kept": client.Gauge(
                "everymask_photos_kept", "Photos landed by earlier runs.", registry=registry
            ),
            "made": client.Counter("everymask_photos", "Photos landed.", ["worker"], registry=registry),
            "failed": client.Counter(
                "everymask_photos_failed", "Photos landed without masks.", registry=registry
            ),
            "masks": client.Counter("everymask_masks", "Masks landed.", registry=registry),
            "seconds": client.Counter(
                "everymask_work_seconds", "Time of parts.", ["worker"], registry=registry
            ),
        }
        try:
            server, thread = client.start_http_server(port, registry=registry)
        except OSError as error:
            raise BatchError(f"cannot serve metrics on port {port}: {told(error)}") from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def planned(self, plan: Plan) -> None:
        """The plan is made."""
        if self._kept:
            self._kept["planned"].set(plan.photos)
            self._kept["kept"].set(plan.done)

    def made(self, part: Made) -> None:
        """A part has landed."""
        if self._kept:
            self._kept["made"].labels(part.worker).inc(part.photos)
            self._kept["seconds"].labels(part.worker).inc(part.seconds)
            self._kept["failed"].inc(len(part.failed))
            self._kept["masks"].inc(part.masks)
