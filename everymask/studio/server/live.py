"""The live channel of a page: the mask under the pointer, progress, and what other tabs do.

The page sends ``{"type": "hover", "photo", "x", "y", "id"}``, on a frame of a clip with ``clip`` and
``frame``; only the newest is answered, so the answer is never older than the pointer needs. The server sends
``hello`` with the photos that are encoded, then ``ready``, ``hover``, ``job``, ``changed``, ``classes``,
``view``, ``files``, ``clip``, ``export``, ``erase``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from everymask import EverymaskError

from ..session import Session
from .turns import Turns, Urgency


class Channel:
    """One connected page."""

    def __init__(self, socket: WebSocket, session: Session, turns: Turns) -> None:
        self.socket, self.session, self.turns = socket, session, turns
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._hover: dict[str, Any] | None = None
        self._asked = asyncio.Event()

    async def serve(self) -> None:
        """Until the page goes away."""
        await self.socket.accept()
        loop = asyncio.get_running_loop()
        silence = self.session.listen(
            lambda event: loop.call_soon_threadsafe(self._outgoing.put_nowait, event)
        )
        # What was ready before this page could hear of it.
        self._outgoing.put_nowait({"type": "hello", "encoded": self.session.photos.encoded()})
        helpers = [asyncio.create_task(self._send()), asyncio.create_task(self._answer())]
        try:
            while True:
                await self._hear(await self.socket.receive_json())
        except (WebSocketDisconnect, ValueError, RuntimeError):
            pass  # gone, or it speaks another language
        finally:
            silence()
            for helper in helpers:
                helper.cancel()
            with contextlib.suppress(RuntimeError):
                await self.socket.close()

    async def _hear(self, message: Any) -> None:
        if isinstance(message, dict) and message.get("type") == "hover":
            self._hover = message
            self._asked.set()

    async def _send(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self.socket.send_json(await self._outgoing.get())

    async def _answer(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            message, self._hover = self._hover, None
            if message is not None:
                await self._outgoing.put(await self._hovered(message))

    async def _hovered(self, message: dict[str, Any]) -> dict[str, Any]:
        reply = {"type": "hover", "id": message.get("id"), "photo": message.get("photo")}
        try:
            xy = float(message["x"]), float(message["y"])
            begun = time.perf_counter()
            if "clip" in message:
                clip, frame = int(message["clip"]), int(message["frame"])
                asked = partial(self.session.hover_on_frame, clip, frame, xy)
            else:
                photo = int(message["photo"])
                if not self.session.photos.is_encoded(photo):
                    return reply
                asked = partial(self.session.hover, photo, xy)
            found = await self.turns.run(Urgency.HOVER, asked)
            return {**reply, **found, "ms": round(1000 * (time.perf_counter() - begun), 1)}
        except (EverymaskError, KeyError, TypeError, ValueError):
            return reply
