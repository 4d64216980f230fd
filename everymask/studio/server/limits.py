"""Requests that are too large are refused while they come, not when they are in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class TooLargeError(Exception):
    """More bytes came than are allowed."""


UPLOADS = frozenset({("POST", "/api/photos"), ("POST", "/api/clips")})


class BodyLimit:
    """ASGI middleware: at most ``json_bytes`` a request; uploads of photos and clips count for themselves."""

    def __init__(self, app: ASGIApp, json_bytes: int) -> None:
        self.app, self.json_bytes = app, json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in UPLOADS:
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > self.json_bytes:
            await self._refusal()(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.json_bytes:
                raise TooLargeError(self._text)
            return message

        async def corrected(message: Message) -> None:
            # Whatever the application makes of the error above, the answer is 413.
            if seen <= self.json_bytes:
                await send(message)
            elif message["type"] == "http.response.start":
                await self._refusal()(scope, receive, send)

        await self.app(scope, counted, corrected)

    @property
    def _text(self) -> str:
        return f"a request may have {self.json_bytes:,} bytes at most"

    def _refusal(self) -> JSONResponse:
        return JSONResponse({"error": self._text}, 413)
