"""Listening: a free port, a fresh token, the link, and uvicorn until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from everymask.errors import OptionError

from ..session import Session
from .app import Access, make_app

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any that is free
    token: str | None = None  # None: a fresh one

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK


def serve(session: Session, address: Address, announce: Callable[[str], None]) -> None:
    """Serve a session until it is interrupted; ``announce`` is given the link once the port is open."""
    listener = _listen(address)
    port = listener.getsockname()[1]
    token = address.token or secrets.token_urlsafe(24)
    names = () if address.is_local else (socket.gethostname().lower(), socket.getfqdn().lower())
    app = make_app(session, Access(token, port, names))
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="websockets-sansio")
    shown = socket.gethostname() if address.host in ("0.0.0.0", "::") else address.host
    announce(f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/?token={token}")
    uvicorn.Server(config).run(sockets=[listener])


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise OptionError(
            f"cannot listen on {address.host}:{address.port} ({error}); choose another --port or --host"
        ) from error
    return listener
