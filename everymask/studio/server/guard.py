"""Who may ask: a token, the right Host, the right Origin. Everything else is refused before it is read.

The server listens on the machine's own address, but every page that a browser on this machine shows can
send requests there. A page of another site is told by its ``Origin``; a name of another site that was
pointed at this machine (DNS rebinding) by ``Host``; anybody without the link by the token.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = frozenset({"/favicon.svg"})

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
        "connect-src 'self' {sockets}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, token: str, port: int, names: tuple[str, ...] = ()) -> None:
        """``names`` are host names that may be asked for besides addresses and localhost."""
        self.app, self.token, self.port = app, token, port
        self.names = frozenset({"localhost", *names})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        wanted = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
        if scope["type"] == "http" and scope["path"] == "/" and wanted:
            await self._enter(send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                host = headers.get("host", "")
                extra = {name: value.replace("{sockets}", f"ws://{host}") for name, value in HEADERS.items()}
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in extra.items()),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)

    @property
    def cookie(self) -> str:
        """Cookies are shared by all ports of a host: each studio has its own."""
        return f"everymask_{self.port}"

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if not self._is_our_host(headers.get("host", "")):
            return 421, "this server answers to its own address only, not to this Host"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "this request comes from a page of another site"
        if headers.get("sec-fetch-site", "none") == "cross-site" and scope["path"] != "/":
            return 403, "this request comes from a page of another site"
        if scope["path"] in PUBLIC or self._knows_token(scope, headers):
            return None
        return 401, "open the link that everymask studio printed: the token in it is missing or wrong"

    def _is_our_host(self, host: str) -> bool:
        parts = urlsplit(f"//{host}")
        try:
            port = parts.port
        except ValueError:
            return False
        if port not in (self.port, None) or not parts.hostname:
            return False
        return parts.hostname in self.names or _is_address(parts.hostname)

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = [*query.get("token", [])] if scope["path"] == "/" else []
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given.append(bearer.strip())
        morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        if morsel is not None:
            given.append(morsel.value)
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given)

    async def _enter(self, send: Send) -> None:
        """The link was opened: the token moves to a cookie, out of the address and the history."""
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [
            (b"location", b"/"),
            (b"set-cookie", cookie.encode()),
            (b"referrer-policy", b"no-referrer"),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _is_address(name: str) -> bool:
    """Whether a host is given by number: no name service, so nothing to rebind."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4000 + status, "reason": why})
        return
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
