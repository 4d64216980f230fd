"""Batches from and to S3, against moto's server behind a proxy that is slow, fails and cuts short.

python -m pip install 'moto[s3]' flask flask-cors      # moto_server has to be on the path, or named:
MOTO_SERVER=.../bin/moto_server python -m pytest -m full tests/batching/test_object_store.py
"""

from __future__ import annotations

import http.client
import io
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import everymask as em
from everymask.batching.storage import Place, file_system
from everymask.errors import BatchError
from everymask.formats import read_photos
from tests.batching.files import png, save_photos, save_tar
from tests.batching.here import no_ray

SERVER = os.environ.get("MOTO_SERVER") or shutil.which("moto_server")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(SERVER is None, reason="no moto_server here: pip install 'moto[s3]' flask flask-cors"),
]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def moto():
    port = free_port()
    server = subprocess.Popen(
        [SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.2)
    yield port
    server.kill()
    server.wait()


class Proxy(ThreadingHTTPServer):
    """Hands requests on; does to each what ``fault(method, path)`` names: "", slow, fail, cut, deny."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        self.fault = lambda method, path: ""
        self.done: list[tuple[str, str, str]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        fault = self.server.fault(self.command, self.path)
        self.server.done.append((self.command, self.path, fault))
        if fault == "slow":
            time.sleep(0.3)
        if fault in ("fail", "deny"):
            status, code = (503, "SlowDown") if fault == "fail" else (403, "AccessDenied")
            text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            self._answer(status, [("Content-Type", "application/xml")], text)
            return
        link = http.client.HTTPConnection("127.0.0.1", self.server.target)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        link.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
        answer = link.getresponse()
        content = answer.read()
        self._answer(answer.status, answer.getheaders(), content, cut=fault == "cut")
        link.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

    def _answer(self, status, headers, content: bytes, cut: bool = False) -> None:
        self.send_response(status)
        dropped = ("content-length", "transfer-encoding", "connection", "server", "date")
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", len(content))
        self.send_header("Content-Length", str(length if self.command == "HEAD" else len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def bucket(moto, monkeypatch):
    """A proxy before the server, and an empty bucket behind it."""
    proxy = Proxy(moto)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    file_system.cache_clear()
    pyarrow.fs.S3FileSystem(
        endpoint_override=f"127.0.0.1:{proxy.server_port}", scheme="http", allow_bucket_creation=True
    ).create_dir("photos")
    yield proxy
    proxy.shutdown()
    thread.join()
    proxy.server_close()
    file_system.cache_clear()


def rows_of(home: Place) -> list[dict]:
    tables = [pq.read_table(io.BytesIO((home / "parts" / name).read())) for name in (home / "parts").names()]
    rows = [row for table in tables for row in table.to_pylist()]
    told = ("photo", "masks", "width", "height", "error")
    return sorted(({name: row[name] for name in told} for row in rows), key=lambda row: row["photo"])


def test_a_store_that_is_slow_fails_and_cuts_short_gives_the_rows_of_a_disk(bucket, tmp_path, monkeypatch):
    names = save_photos(tmp_path / "in", 12)
    for name in names:
        (Place("s3://photos/in") / name).write((tmp_path / "in" / name).read_bytes())
    save_tar(tmp_path / "in" / "s.tar", {"0.png": png(50), "1.png": png(51)})
    Place("s3://photos/in/s.tar").write((tmp_path / "in" / "s.tar").read_bytes())
    with no_ray(monkeypatch):
        here = em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=4)
        chance = random.Random(0)

        def fault(method: str, path: str) -> str:
            return (
                chance.choice(["", "", "slow", "fail", "cut"]) if method == "GET" and ".png" in path else ""
            )

        bucket.fault = fault
        there = em.batch("s3://photos/in", "s3://photos/out", photos_per_part=4)
        bucket.fault = lambda method, path: ""
        again = em.batch("s3://photos/in", "s3://photos/out", photos_per_part=4)
    assert {"slow", "fail", "cut"} <= {fault for *_, fault in bucket.done}
    assert (there.photos, there.failures) == (14, 0)
    assert rows_of(Place(there.manifest)) == rows_of(Place(here.manifest))
    assert (again.kept, again.done) == (14, 0)


def test_a_photo_that_never_comes_whole_is_a_row(bucket, tmp_path, monkeypatch):
    for number in range(3):
        (Place("s3://photos/torn") / f"{number}.png").write(png(number))
    bucket.fault = lambda method, path: "cut" if method == "GET" and path.endswith("/1.png") else ""
    with no_ray(monkeypatch):
        summary = em.batch("s3://photos/torn", tmp_path / "out")
    assert [name for name, _ in summary.failed] == ["1.png"]
    assert [row["error"] is None for row in rows_of(Place(summary.manifest))] == [True, False, True]


def test_a_bucket_that_may_not_be_written_is_said_in_a_line(bucket, tmp_path, monkeypatch):
    save_photos(tmp_path / "in", 2)
    bucket.fault = lambda method, path: "deny" if method in ("PUT", "POST") else ""
    with (
        no_ray(monkeypatch),
        pytest.raises(BatchError, match=r"cannot write to s3://photos/no: .*ACCESS.?DENIED"),
    ):
        em.batch(tmp_path / "in", "s3://photos/no")


def test_a_bucket_that_is_not_there_is_said(bucket, tmp_path):
    with pytest.raises(em.InputError, match=r"s3://nowhere/in cannot be listed: .*bucket"):
        em.batch("s3://nowhere/in", tmp_path / "out")


def test_world_files_beside_addresses_in_a_list_are_found_by_one_listing(bucket, tmp_path, monkeypatch):
    for number in range(12):
        (Place("s3://photos/placed") / f"{number}.png").write(png(number))
        (Place("s3://photos/placed") / f"{number}.pgw").write(b"10\n0\n0\n-10\n500005\n5399995\n")
    (tmp_path / "list.txt").write_text("".join(f"s3://photos/placed/{n}.png\n" for n in range(12)), "utf-8")
    bucket.done.clear()
    with no_ray(monkeypatch):
        summary = em.batch(tmp_path / "list.txt", tmp_path / "out")
    photos = chain.from_iterable(map(read_photos, Path(summary.parts_folder).glob("*.parquet")))
    assert [photo.georeference.affine for photo in photos] == [(10, 0, 500_000, 0, -10, 5_400_000)] * 12
    assert sum("list-type=2" in path for _, path, _ in bucket.done) == 1
