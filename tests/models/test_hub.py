"""Pulling weights, against a local HTTP server that misbehaves on request."""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from everymask.errors import ChecksumError, DownloadError, OfflineError, UnknownModelError
from everymask.models import catalog, download, hub

DATA = bytes(range(256)) * 12_000  # 3 MB
HASH = hashlib.sha256(DATA).hexdigest()
NAME, FILE = "test_model", "test_model.pt"
QUICK = 0.01


@dataclass
class Server:
    """What the server holds, how it misbehaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=lambda: {FILE: DATA})
    statuses: list[int] = field(default_factory=list)  # answered first, one a request
    cut_after: list[int] = field(default_factory=list)  # bytes of a body before the connection closes
    honours_range: bool = True
    etag: str = '"one"'
    seconds_a_chunk: float = 0.0
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)  # the Range header of each request


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        state = self.state
        state.ranges.append(self.headers.get("Range"))
        if state.statuses and (status := state.statuses.pop(0)) != 200:
            return self._refuse(status)
        body = state.files.get(self.path.rpartition("/")[2])
        if body is None:
            return self._refuse(404)
        start = self._start()
        if start > len(body):
            return self._refuse(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", state.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self._send(body[start:])

    def _start(self) -> int:
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if not asked or not self.state.honours_range or (condition and condition != self.state.etag):
            return 0
        return int(re.fullmatch(r"bytes=(\d+)-", asked)[1])

    def _send(self, body: bytes):
        cut = self.state.cut_after.pop(0) if self.state.cut_after else None
        for i in range(0, len(body[:cut]), 1 << 16):
            self.wfile.write(body[:cut][i : i + (1 << 16)])
            time.sleep(self.state.seconds_a_chunk)
        if cut is not None:
            self.close_connection = True

    def _refuse(self, status: int):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def server():
    state = Server()
    handler = type("BoundHandler", (Handler,), {"state": state})
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http_server.daemon_threads = True
    http_server.handle_error = lambda *_: None  # clients that were killed
    state.url = f"http://127.0.0.1:{http_server.server_port}/"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http_server.shutdown()
    http_server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder in which the weights land."""
    for setting in ("EVERYMASK_MIRROR", "EVERYMASK_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def entry(server, monkeypatch) -> catalog.WeightsFile:
    """A catalog entry that the local server serves."""
    made = catalog.WeightsFile(NAME, FILE, server.url + FILE, len(DATA), HASH, "CC0", "tests")
    monkeypatch.setitem(catalog.CATALOG, NAME, made)
    return made


@pytest.fixture
def unhashed(entry, monkeypatch) -> catalog.WeightsFile:
    """The same entry without a published size and hash."""
    made = replace(entry, size_bytes=None, sha256=None)
    monkeypatch.setitem(catalog.CATALOG, NAME, made)
    return made


def pull(progress=None) -> Path:
    return hub.pull(NAME, progress, first_pause_seconds=QUICK)


def leave_part(cache: Path, data: bytes, etag: str = "") -> Path:
    cache.mkdir(parents=True)
    part = cache / f"{FILE}.part"
    part.write_bytes(data)
    if etag:
        (cache / f"{FILE}.part.etag").write_text(etag)
    return part


# --- the straight way


def test_file_lands_in_the_cache_with_nothing_left_beside_it(entry, cache):
    path = pull()
    assert path == cache / FILE
    assert path.read_bytes() == DATA
    assert {each.name for each in cache.iterdir()} - {f"{FILE}.lock"} == {FILE}


def test_second_pull_asks_the_server_nothing(entry, server, cache):
    pull()
    pull()
    assert server.ranges == [None]


def test_progress_runs_from_nothing_to_all_bytes(entry, cache):
    seen = []
    pull(lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("name", ["test-model", "TEST_MODEL", "test_model.pt"])
def test_names_are_forgiving(name, entry, cache):
    assert hub.pull(name) == cache / FILE


def test_official_hub_id_is_the_official_file():
    assert catalog.find("facebook/sam2.1-hiera-tiny").file == "sam2.1_hiera_tiny.pt"


def test_unknown_name_says_which_are_near(cache):
    with pytest.raises(
        UnknownModelError, match=r"no model is called 'sam_vit_x'; did you mean sam_vit_\w or"
    ):
        hub.pull("sam_vit_x")


@pytest.mark.parametrize("name", ["", "qqqqqq"])
def test_name_like_none_is_unknown(name, cache):
    with pytest.raises(
        UnknownModelError, match=f"no model is called '{name}'; `everymask models list` names"
    ):
        hub.pull(name)


def test_every_catalog_hash_and_address_is_well_formed():
    for entry in catalog.CATALOG.values():
        assert entry.sha256 is None or re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.bundled or entry.url == f"{entry.url.rpartition('/')[0]}/{entry.file}"
        assert entry.bundled or entry.url.startswith("https://")


def test_catalog_knows_which_files_open():
    from everymask.models.specs import MODELS

    assert {name for name, entry in catalog.CATALOG.items() if not entry.used_by} == MODELS.keys()


# --- a connection that breaks


def test_truncated_answer_is_resumed_where_it_ended(entry, server, cache):
    server.cut_after = [1_000_000]
    assert pull().read_bytes() == DATA
    assert server.ranges == [None, "bytes=1000000-"]


def test_many_cuts_with_progress_between_them_are_survived(entry, server, cache):
    server.files[FILE] = data = DATA * 4
    size, digest = len(data), hashlib.sha256(data).hexdigest()
    catalog.CATALOG[NAME] = replace(entry, size_bytes=size, sha256=digest)  # undone by the fixture
    server.cut_after = [1_100_000] * 9  # more than the tries allowed in a row
    assert pull().read_bytes() == data


def test_server_that_ignores_range_is_read_from_the_start(entry, server, cache):
    server.cut_after, server.honours_range = [1_000_000], False
    assert pull().read_bytes() == DATA


def test_connection_that_never_holds_gives_up_and_keeps_what_came(entry, server, cache):
    server.cut_after = [10_000] * download.TRIES
    with pytest.raises(
        DownloadError, match=r"the connection closed after 50000 of 3072000 bytes, 5 times in a row"
    ):
        pull()
    assert (cache / f"{FILE}.part").stat().st_size == 50_000
    assert not (cache / FILE).exists()


def test_next_call_goes_on_from_the_part(entry, server, cache):
    leave_part(cache, DATA[:2_000_000])
    assert pull().read_bytes() == DATA
    assert server.ranges == ["bytes=2000000-"]


def test_complete_part_of_a_killed_process_needs_no_network(entry, server, cache):
    leave_part(cache, DATA)
    assert pull().read_bytes() == DATA
    assert server.ranges == []


def test_part_longer_than_the_file_is_dropped(entry, server, cache):
    leave_part(cache, DATA + b"tail")
    assert pull().read_bytes() == DATA
    assert server.ranges == [None]


def test_part_of_another_file_costs_one_clean_start(entry, server, cache):
    leave_part(cache, b"\0" * 1_000_000)
    assert pull().read_bytes() == DATA
    assert server.ranges == ["bytes=1000000-", None]


def test_no_server_at_all_is_a_download_error(entry, server, cache, monkeypatch):
    monkeypatch.setenv("EVERYMASK_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(DownloadError, match=r"no connection .* 5 times in a row.*EVERYMASK_MIRROR"):
        pull()


def test_an_unknown_server_is_asked_twice_and_the_file_has_a_place(entry, server, cache, monkeypatch):
    monkeypatch.setenv("EVERYMASK_MIRROR", "http://nowhere.invalid/")
    with pytest.raises(DownloadError, match=r"no connection .*, 2 times in a row\. Without a") as error:
        pull()
    assert "bytes that came" not in str(error.value)
    assert str(error.value).endswith(f"put it at {cache / FILE}")


# --- statuses


def test_server_error_is_tried_again(entry, server, cache):
    server.statuses = [500, 503, 200]
    assert pull().read_bytes() == DATA
    assert len(server.ranges) == 3


def test_server_error_that_stays_is_named(entry, server, cache):
    server.statuses = [500] * download.TRIES
    with pytest.raises(
        DownloadError, match="the server answered 500 Internal Server Error, 5 times in a row"
    ):
        pull()
    assert len(server.ranges) == download.TRIES


def test_missing_file_is_said_at_once(entry, server, cache):
    del server.files[FILE]
    with pytest.raises(
        DownloadError, match=r"test_model\.pt does not exist \(404 Not Found\); check EVERYMASK_MIRROR"
    ):
        pull()
    assert len(server.ranges) == 1


def test_forbidden_file_is_said_at_once(entry, server, cache):
    server.statuses = [403]
    with pytest.raises(DownloadError, match=r"was refused \(403 Forbidden\); check the address"):
        pull()
    assert len(server.ranges) == 1


# --- wrong bytes


def test_wrong_hash_is_refused_and_thrown_away(entry, server, cache):
    server.files[FILE] = b"x" + DATA[1:]
    with pytest.raises(
        ChecksumError, match=f"should have SHA-256 {HASH}, got [0-9a-f]{{64}}; the bytes were thrown"
    ):
        pull()
    assert {each.name for each in cache.iterdir()} <= {f"{FILE}.lock"}


def test_login_page_is_refused_before_it_is_fetched(entry, server, cache):
    server.files[FILE] = b"<html>please log in</html>"
    with pytest.raises(ChecksumError, match=r"has 3072000 bytes, but .* offers 26"):
        pull()


def test_cached_file_of_the_wrong_length_is_fetched_again(entry, cache):
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(DATA[:5])
    assert pull().read_bytes() == DATA


# --- files without a published hash


def test_unknown_hash_is_said_and_remembered(unhashed, cache):
    with pytest.warns(hub.UnverifiedWeightsWarning, match=f"no published SHA-256 of {FILE} .* it has {HASH}"):
        pull()
    assert (cache / f"{FILE}.sha256").read_text() == f"{HASH}  {FILE}\n"


def test_remembered_hash_is_checked_at_the_next_download(unhashed, server, cache):
    with pytest.warns(hub.UnverifiedWeightsWarning):
        pull()
    hub.remove(NAME)
    server.files[FILE] = b"x" + DATA[1:]
    with pytest.raises(
        ChecksumError, match=r"recorded at an earlier download; .* delete .*test_model\.pt\.sha256"
    ):
        pull()


def test_part_of_an_unhashed_file_is_resumed_if_the_server_still_has_that_file(unhashed, server, cache):
    leave_part(cache, DATA[:1_000_000], etag='"one"')
    with pytest.warns(hub.UnverifiedWeightsWarning, match=HASH):
        pull()
    assert server.ranges == ["bytes=1000000-"]


@pytest.mark.parametrize("etag", ["", '"an older release"'])
def test_part_of_an_unhashed_file_is_not_mixed_with_another(etag, unhashed, cache):
    leave_part(cache, b"\0" * 1_000_000, etag)
    with pytest.warns(hub.UnverifiedWeightsWarning, match=HASH):
        assert pull().read_bytes() == DATA


# --- no space


def test_too_little_space_is_said_before_a_byte_is_written(entry, cache, monkeypatch):
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10_000, 9_000, 1_000)
    )
    message = (
        "no space left for test_model in .*: 3072000 more bytes are needed and 1000 are free.*EVERYMASK_HOME"
    )
    with pytest.raises(DownloadError, match=message):
        pull()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_disk_that_fills_up_is_said(entry, cache):
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"no space left for test_model in .*: the disk filled up"):
        pull()


def test_bytes_that_came_before_the_disk_was_full_are_kept(entry, server, cache, monkeypatch):
    def open_on_a_small_disk(path, mode="r", *args, **options):
        file = open(path, mode, *args, **options)  # noqa: SIM115 - the caller closes it
        if str(path).endswith(".part") and "b" in mode and mode != "rb":
            return _SmallDisk(file, 2_000_000)
        return file

    monkeypatch.setattr(download, "open", open_on_a_small_disk, raising=False)
    monkeypatch.setattr(download, "CHUNK_BYTES", 1_000_000)
    with pytest.raises(DownloadError, match="The 2000000 bytes that came are kept"):
        pull()
    monkeypatch.undo()
    assert (cache / f"{FILE}.part").read_bytes() == DATA[:2_000_000]


class _SmallDisk:
    """A file on a disk that holds so many bytes."""

    def __init__(self, file, free):
        self.file, self.free = file, free

    def write(self, data):
        if len(data) > self.free:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.free -= len(data)
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_cache_folder_that_cannot_be_made_names_the_setting(entry, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "a file"))
    with pytest.raises(DownloadError, match=r"cannot be made .*; set EVERYMASK_HOME"):
        pull()


# --- settings


def test_mirror_takes_the_place_of_the_official_server(entry, server, cache, monkeypatch):
    monkeypatch.setitem(catalog.CATALOG, NAME, replace(entry, url="https://official.invalid/" + FILE))
    monkeypatch.setenv("EVERYMASK_MIRROR", server.url + "some/folder")
    assert pull().read_bytes() == DATA


def test_mirror_can_be_a_folder(entry, server, cache, tmp_path, monkeypatch):
    (tmp_path / "mirror of weights").mkdir()
    (tmp_path / "mirror of weights" / FILE).write_bytes(DATA)
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path / "mirror of weights"))
    assert pull().read_bytes() == DATA
    assert server.ranges == []


def test_mirror_folder_without_the_file_is_said(entry, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path))
    with pytest.raises(DownloadError, match="No such file or directory; check EVERYMASK_MIRROR"):
        pull()


def test_mirror_with_other_bytes_is_refused(entry, cache, tmp_path, monkeypatch):
    (tmp_path / FILE).write_bytes(DATA[::-1])
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path))
    with pytest.raises(ChecksumError, match="should have SHA-256"):
        pull()


def test_offline_and_absent_says_where_to_put_the_file(entry, server, cache, monkeypatch):
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    with pytest.raises(
        OfflineError, match=r"not in the cache and EVERYMASK_OFFLINE is set; unset it, or put test_model"
    ):
        pull()
    assert server.ranges == []


def test_offline_and_cached_works(entry, server, cache, monkeypatch):
    pull()
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    assert pull().read_bytes() == DATA


def test_cache_folder_follows_the_platform(monkeypatch):
    monkeypatch.delenv("EVERYMASK_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert hub.home() == Path("/somewhere/everymask")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert hub.home() == Path.home() / "Library/Caches/everymask"


# --- two processes


PULLER = f"""
import sys
from everymask.models import catalog, hub
catalog.CATALOG[{NAME!r}] = catalog.WeightsFile(
    {NAME!r}, {FILE!r}, sys.argv[1], {len(DATA)}, {HASH!r}, "CC0", "tests"
)
print(hub.pull({NAME!r}))
"""


def start_puller(url: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PULLER, url], stdout=subprocess.PIPE, text=True, env=os.environ
    )


def test_two_processes_share_one_download(entry, server, cache):
    server.seconds_a_chunk = 0.02  # a second in all
    pullers = [start_puller(entry.url), start_puller(entry.url)]
    paths = {puller.communicate(timeout=60)[0].strip() for puller in pullers}
    assert paths == {str(cache / FILE)}
    assert (cache / FILE).read_bytes() == DATA
    assert server.ranges == [None]


def test_killed_process_leaves_a_part_and_no_lock_that_holds(entry, server, cache):
    server.seconds_a_chunk = 0.05
    puller = start_puller(entry.url)
    part = cache / f"{FILE}.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    puller.send_signal(signal.SIGKILL)
    puller.communicate()
    server.seconds_a_chunk = 0.0
    assert not (cache / FILE).exists()
    assert pull().read_bytes() == DATA
    assert server.ranges[-1].startswith("bytes=")


# --- keeping house


def test_verify_tells_good_bad_and_absent(entry, cache):
    assert hub.verify(NAME).state == "absent"
    path = pull()
    assert hub.verify(NAME).state == "good"
    path.write_bytes(b"x" + DATA[1:])
    verdict = hub.verify(NAME)
    assert verdict.state == "bad"
    assert verdict.expected == HASH


def test_verify_records_the_hash_of_a_file_put_there_by_hand(unhashed, cache):
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(DATA)
    assert hub.verify(NAME).state == "recorded"
    (cache / FILE).write_bytes(DATA[:-1])
    assert hub.verify(NAME).state == "bad"


def test_remove_frees_the_file_and_its_part(entry, cache):
    pull()
    (cache / f"{FILE}.part").write_bytes(b"12345")
    assert hub.remove(NAME) == len(DATA) + 5
    assert not hub.is_cached(NAME)


def test_remove_of_what_is_not_there_frees_nothing(entry, cache):
    assert hub.remove(NAME) == 0


def test_bundled_model_is_found_in_the_package_and_never_removed(cache):
    assert hub.path_of("nano").parent.name == "assets"
    assert hub.remove("nano") == 0
    assert hub.path_of("nano").exists()
