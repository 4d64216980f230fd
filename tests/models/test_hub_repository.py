"""Weights from a Hugging Face repository, with the hub's client played by a small stand-in."""

import sys
import types

import pytest

from everymask.errors import DownloadError, MissingExtraError, OfflineError, UnknownModelError
from everymask.models import hub
from everymask.models.hub_repository import choose_weights, is_hub_id


@pytest.fixture
def client(monkeypatch, tmp_path):
    """A stand-in for ``huggingface_hub`` that notes what it was asked for."""
    monkeypatch.delenv("EVERYMASK_OFFLINE", raising=False)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path))
    fake = types.ModuleType("huggingface_hub")
    fake.asked = []
    fake.list_repo_files = lambda repository: ["README.md", "config.json", "run.py", "model.safetensors"]
    fake.snapshot_download = lambda repository, local_files_only: str(tmp_path / "absent")

    def hf_hub_download(repository, file, local_files_only):
        fake.asked.append((repository, file, local_files_only))
        return str(tmp_path / file)

    fake.hf_hub_download = hf_hub_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


@pytest.mark.parametrize("name", ["facebook/sam2.1-hiera-tiny", "me/model:weights/best.pt", "a/b"])
def test_owner_and_name_is_a_hub_id(name):
    assert is_hub_id(name)


@pytest.mark.parametrize("name", ["nano", "./a/b", "../a", "/a/b", "a/b/c", "", "a/", "~/a"])
def test_paths_and_names_are_not_hub_ids(name):
    assert not is_hub_id(name)


def test_only_the_weights_file_is_fetched(client, tmp_path):
    assert hub.pull("someone/their-model") == tmp_path / "model.safetensors"
    assert client.asked == [("someone/their-model", "model.safetensors", False)]


def test_named_file_is_fetched_without_looking_at_the_others(client, tmp_path):
    client.list_repo_files = None
    assert hub.pull("someone/their-model:deep/best.pt") == tmp_path / "deep" / "best.pt"


def test_safetensors_is_preferred_to_a_pickle():
    assert choose_weights(["a.pt", "b.safetensors"], "x/y") == "b.safetensors"


def test_several_weights_files_ask_which():
    with pytest.raises(
        UnknownModelError, match=r"several weights files: a\.pt, b\.pt; say which, as in x/y:a"
    ):
        choose_weights(["b.pt", "a.pt"], "x/y")


def test_repository_without_weights_is_said():
    with pytest.raises(UnknownModelError, match=r"x/y holds no weights file .* only: README\.md"):
        choose_weights(["README.md"], "x/y")


def test_failure_of_the_hub_is_a_download_error(client):
    def fail(*_, **__):
        raise ConnectionError("no route")

    client.list_repo_files = fail
    with pytest.raises(DownloadError, match=r"a/b could not be fetched from its repository: no route"):
        hub.pull("a/b")


def test_offline_looks_only_into_the_local_cache(client, monkeypatch):
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    client.list_repo_files = None
    with pytest.raises(OfflineError, match="a/b is not in the Hugging Face cache and EVERYMASK_OFFLINE"):
        hub.pull("a/b")
    hub.pull("a/b:model.pt")
    assert client.asked == [("a/b", "model.pt", True)]


def test_missing_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[hub\]'"):
        hub.pull("a/b")


@pytest.fixture
def real_cache(monkeypatch, tmp_path):
    """A cache of the real client that holds one snapshot of ``a/b``; the network is forbidden."""
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("0" * 40)
    (snapshot / "weights.pt").write_bytes(b"bytes")
    (snapshot / "README.md").write_text("")
    return snapshot


@pytest.mark.parametrize("name", ["a/b", "a/b:weights.pt"])
def test_real_client_finds_its_cached_file_offline(name, real_cache):
    assert hub.pull(name).read_bytes() == b"bytes"


@pytest.mark.parametrize("name", ["a/c", "a/b:other.pt"])
def test_real_client_offline_without_the_file_is_an_offline_error(name, real_cache):
    with pytest.raises(OfflineError, match=f"{name} is not in the Hugging Face cache and EVERYMASK_OFFLINE"):
        hub.pull(name)
