"""``from_pretrained``: the Hugging Face cache comes first, and nothing is fetched where that is forbidden."""

from __future__ import annotations

import pytest
import torch

from everymask.compat.sam2 import config_files
from everymask.compat.sam2.build_sam import build_sam2_hf, build_sam2_video_predictor
from everymask.compat.sam2.sam2_video_predictor import SAM2VideoPredictorVOS
from everymask.errors import OfflineError
from everymask.models.load import empty
from everymask.models.specs import MODELS

pytest.importorskip("huggingface_hub")
ID, FILE = "facebook/sam2.1-hiera-tiny", "sam2.1_hiera_tiny.pt"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A Hugging Face cache that has the one repository, and an empty one of everymask."""
    folder = tmp_path / "hub" / f"models--{ID.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return snapshot


def test_a_checkpoint_in_the_hugging_face_cache_is_used(cache):
    torch.save({"model": empty(MODELS["sam2.1_hiera_tiny"]).state_dict()}, cache / FILE)
    assert config_files.checkpoint_of_hub_id(ID) == cache / FILE
    model = build_sam2_hf(ID, device="cpu")
    assert model.spec.name == "sam2.1_hiera_tiny"


def test_what_is_nowhere_is_not_fetched_where_hugging_face_is_offline(cache):
    with pytest.raises(OfflineError, match="is not in the cache and HF_HUB_OFFLINE is set"):
        build_sam2_hf(ID, device="cpu")


def test_the_vos_predictor_is_a_class_of_its_own():
    predictor = build_sam2_video_predictor("nano", device="cpu", vos_optimized=True)
    assert type(predictor) is SAM2VideoPredictorVOS
