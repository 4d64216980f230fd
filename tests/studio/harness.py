"""A studio that runs in this process, and a client that speaks to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from everymask import PromptableModel
from everymask.studio.clips.clip import ClipFile
from everymask.studio.opening import begin
from everymask.studio.server.app import Access, make_app
from everymask.studio.session import Session

TOKEN = "a-token-for-the-tests-only"


@dataclass
class Studio:
    """A running studio."""

    port: int
    folder: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60)

    @property
    def link(self) -> str:
        """What the command prints."""
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def get(self, path: str) -> Any:
        """JSON of a path that must be there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, photo: int, **action: Any) -> dict[str, Any]:
        """Do an action that must be done, on the photo as it is now."""
        version = self.get(f"/api/photos/{photo}")["version"]
        answer = self.client.post(f"/api/photos/{photo}/actions", json={"version": version, "action": action})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act_on_clip(self, clip: int, **action: Any) -> dict[str, Any]:
        """Do an action that must be done, on the clip as it is now."""
        version = self.get(f"/api/clips/{clip}")["version"]
        body = {"version": version, "action": action}
        answer = self.client.post(f"/api/clips/{clip}/actions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def track(self, clip: int, frame: int, count: int | None = None, reverse: bool = False) -> dict[str, Any]:
        """Track, and wait for the end of it; where it came."""
        version = self.get(f"/api/clips/{clip}")["version"]
        body = {"version": version, "frame": frame, "count": count, "reverse": reverse}
        answer = self.client.post(f"/api/clips/{clip}/track", json=body)
        assert answer.status_code == 202, answer.text
        return self.tracked(clip)

    def tracked(self, clip: int) -> dict[str, Any]:
        """Wait for the end of tracking; where it came."""
        for _ in range(3000):
            run = self.get(f"/api/clips/{clip}/track")
            if run["state"] != "running":
                return run
            time.sleep(0.01)
        raise AssertionError(f"tracking never ended: {run}")

    def masks(self, photo: int) -> list[dict[str, Any]]:
        """The masks of a photo as they are now."""
        return self.get(f"/api/photos/{photo}")["document"]["masks"]


@contextmanager
def running(
    folder: Path, model: PromptableModel, names: list[str] | None = None, **opening: Any
) -> Iterator[Studio]:
    """A studio on the photos and clips of a folder."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png", ".tif"))
    photos = [(path, path.name) for path in files if names is None or path.name in names]
    clips = [ClipFile(path, path.name) for path in sorted(folder.glob("*.mp4"))]
    start = begin(photos, folder, opening.get("project"), opening.get("masks", []), clips)
    session = Session(start, model, "nano", opening.get("tracker"), opening.get("presets"))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        make_app(session, Access(TOKEN, port)), log_level="error", ws="websockets-sansio", lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    studio = Studio(port, folder)
    try:
        yield studio
    finally:
        studio.client.close()
        server.should_exit = True
        thread.join(20)
        listener.close()
