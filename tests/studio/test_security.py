"""Who may ask, and for what: everything else is refused, and the server lives on."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import socket

import httpx
import numpy as np
import pytest
from PIL import Image

from everymask.studio.opening import begin
from everymask.studio.server.uploads import safe_name
from tests.fakes import FakeModel
from tests.studio.harness import TOKEN, running
from tests.studio.scene import make_folder

AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory, model):
    """One for all: that is the point of a server that lives on."""
    with running(make_folder(tmp_path_factory.mktemp("studio") / "photos"), model) as studio:
        yield studio


def status(studio, path="/api/session", headers=AUTH, method="GET", **more) -> int:
    return httpx.request(method, f"http://127.0.0.1:{studio.port}{path}", headers=headers, **more).status_code


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Cookie": "everymask_1=wrong"}, 401),
        (AUTH, 200),
        ({**AUTH, "Origin": "http://evil.example"}, 403),
        ({**AUTH, "Origin": "null"}, 403),
        ({**AUTH, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**AUTH, "Host": "evil.example"}, 421),
        ({**AUTH, "Host": "127.0.0.1.evil.example"}, 421),
        ({**AUTH, "Host": "localhost:1"}, 421),
        ({**AUTH, "Host": ""}, 421),
    ],
)
def test_only_the_right_token_host_and_origin_come_in(studio, headers, expected):
    assert status(studio, headers=headers) == expected
    assert status(studio) == 200


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/openapi.json", "/api/photos/1/tiles/0/0/0"])
def test_nothing_is_shown_without_the_token(studio, path):
    assert status(studio, path, headers={}) == 401


def test_the_link_moves_the_token_into_a_cookie_of_this_site(studio):
    answer = httpx.get(studio.link, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert status(studio, "/?token=wrong", headers={}) == 401


def test_the_page_may_load_nothing_from_elsewhere(studio):
    policy = httpx.get(f"http://127.0.0.1:{studio.port}/", headers=AUTH).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "https:" not in policy


def handshake(studio, **headers: str) -> str:
    """The first line that the live channel answers to a connection."""
    lines = {
        "Host": f"127.0.0.1:{studio.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    text = "GET /api/live HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as connection:
        connection.sendall(text.encode())
        return connection.recv(4096).decode("latin-1").split("\r\n")[0]


def test_the_live_channel_is_guarded_alike(studio):
    assert " 101 " in handshake(studio, **AUTH)
    assert " 403 " in handshake(studio)
    assert " 403 " in handshake(studio, **AUTH, Origin="http://evil.example")
    assert " 403 " in handshake(studio, **AUTH, Host="evil.example")


@pytest.mark.parametrize(
    "path",
    [
        "/web/../session.py",
        "/web/%2e%2e/session.py",
        "/web/..%2fsession.py",
        "/web//etc/passwd",
        "/api/photos/../../etc/passwd",
        "/api/photos/1/tiles/0/0/%2e%2e",
        "/api/photos/99",
        "/api/photos/-1/thumbnail",
        "/api/photos/1/tiles/99/0/0",
        "/api/photos/1/tiles/0/-1/0",
        "/api/exports/../1.zip",
        "/api/exports/7.zip",
    ],
)
def test_no_path_leads_out(studio, path):
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        answer = connection.recv(4096).decode("latin-1")
    assert answer.split()[1] in ("404", "422"), answer
    assert status(studio) == 200


def test_a_link_out_of_the_folder_is_no_photo(tmp_path):
    outside = make_folder(tmp_path / "outside", ("secret.jpg",))
    folder = make_folder(tmp_path / "photos", ("a.jpg",))
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    photos = [(folder / "a.jpg", "a.jpg"), (folder / "link.jpg", "link.jpg")]
    assert [name for _, name in begin(photos, folder, None, []).photos] == ["a.jpg"]


def png(size: tuple[int, int]) -> bytes:
    target = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(noise).save(target, "PNG")
    return target.getvalue()


class Trap:
    """Would leave a trace if it were unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit",))


def bomb() -> bytes:
    """A PNG that says it is of 60,000 x 60,000 pixels."""
    data = bytearray(png((1, 1)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png((8, 8)), 201),
        (b"", 422),
        (b"no picture", 422),
        (png((200, 200))[:-80], 422),
        (pickle.dumps(Trap()), 422),
        (bomb(), 422),
    ],
)
def test_uploads_that_are_no_photo_are_refused_and_not_kept(studio, content, expected):
    path = "/api/photos?name=../../x.png"
    uploads = studio.folder / "everymask-uploads"
    shutil.rmtree(uploads, ignore_errors=True)
    assert status(studio, path, method="POST", content=content) == expected
    kept = [entry.name for entry in uploads.iterdir()] if uploads.exists() else []
    assert kept == (["x.png"] if expected == 201 else [])
    assert status(studio) == 200


PLAYLIST = b"""#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:5
#EXTINF:5.0,
file:///etc/passwd
#EXT-X-ENDLIST
"""
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


@pytest.mark.parametrize("name", ["x.mp4", "../../x.mkv", "x.m3u8", "x", "x.jpg"])
@pytest.mark.parametrize("content", [b"", b"no video", pickle.dumps({"a": 1}), PLAYLIST, CONCAT])
def test_clips_that_are_no_video_are_refused_and_not_kept(studio, name, content):
    uploads = studio.folder / "everymask-uploads"
    before = sorted(uploads.iterdir()) if uploads.exists() else []
    assert status(studio, f"/api/clips?name={name}", method="POST", content=content) == 422
    assert (sorted(uploads.iterdir()) if uploads.exists() else []) == before
    assert studio.get("/api/session")["clips"] == []


def test_a_model_that_cannot_follow_refuses_clips(tmp_path):
    with running(make_folder(tmp_path / "photos", ("a.jpg",)), FakeModel("sam")) as studio:
        answer = studio.client.post("/api/clips?name=a.mp4", content=b"x")
        assert answer.status_code == 422
        assert "cannot follow objects; load a SAM 2 model or nano" in answer.json()["error"]
        assert not (studio.folder / "everymask-uploads").exists()


def test_too_large_requests_are_refused_while_they_come(studio, monkeypatch):
    from everymask.studio.server import uploads

    monkeypatch.setattr(uploads.take_upload, "__defaults__", (1000,))
    assert status(studio, "/api/photos?name=x.png", method="POST", content=b"x" * 5000) == 413

    def chunks():
        for _ in range(80):
            yield b"x" * 1_000_000

    headers = {**AUTH, "Content-Type": "application/json"}
    with contextlib.suppress(httpx.HTTPError):  # the connection may be cut while we are still sending
        assert status(studio, "/api/exports", headers, "POST", content=chunks()) == 413
    announced = {**headers, "Content-Length": "999999999"}
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as connection:
        lines = {"Host": f"127.0.0.1:{studio.port}", **announced}
        text = "POST /api/exports HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        connection.sendall(text.encode())
        assert connection.recv(4096).split()[1] == b"413"
    assert status(studio) == 200


@pytest.mark.parametrize(
    "body",
    [
        {"version": 0, "action": {"type": "unknown"}},
        {"version": 0, "action": {"type": "click", "x": "NaN", "y": 1}},
        {"version": 0, "action": {"type": "click", "x": 1e30, "y": 1}},
        {"version": 0, "action": {"type": "click", "x": 1, "y": 1, "extra": 1}},
        {"version": 0, "action": {"type": "brush", "points": [], "radius": 3}},
        {"version": 0, "action": {"type": "polygon", "rings": [[[1, 1], [2, 2]]]}},
        {"version": 0, "action": {"type": "add", "masks": [{"counts": "\u0000"}]}},
        {"action": {"type": "cancel"}},
        [],
    ],
)
def test_malformed_actions_are_refused_and_change_nothing(studio, body):
    studio.get("/api/photos/1")
    assert status(studio, "/api/photos/1/actions", method="POST", json=body) == 422
    facts = studio.get("/api/photos/1")
    assert (facts["version"], facts["document"]["masks"]) == (0, [])


def test_names_of_uploads_are_plain():
    assert safe_name("C:\\x\\..\\a b.jpg") == "a b.jpg"
    assert safe_name("...") == "photo"
    assert safe_name("a/../../.ssh") == "ssh"
    assert len(safe_name("x" * 999)) == 120


def test_a_photo_that_is_broken_says_so_and_the_others_open(tmp_path, model):
    folder = make_folder(tmp_path / "photos", ("a.jpg", "b.png"))
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:500])
    with running(folder, model) as studio:
        assert studio.client.get("/api/photos/2/tiles/0/0/0").status_code == 422
        assert studio.get("/api/photos/1")["document"]["size"] == [240, 320]


def test_masks_of_another_size_than_the_photo_are_refused(tmp_path, model):
    folder = make_folder(tmp_path / "photos", ("a.jpg",))
    from everymask import Mask, MaskSet

    masks = MaskSet([Mask.from_segmentation(np.eye(50, dtype=bool))])
    masks.save(tmp_path / "masks.json", "coco", photo="a.jpg")
    with running(folder, model, masks=[tmp_path / "masks.json"]) as studio:
        answer = studio.client.get("/api/photos/1")
        assert answer.status_code == 422
        assert "are of a photo of (50, 50)" in answer.json()["error"]
