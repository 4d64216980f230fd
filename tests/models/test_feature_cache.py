"""Photos encoded before are found again, by pixels and weights, within a limit."""

import numpy as np
import pytest
import torch

from everymask.image import ImagePredictor
from everymask.models.feature_cache import FeatureCache, key_of
from tests.fakes import FakeModel


def photo(value, side=48):
    return np.full((side, 64, 3), value, np.uint8)


@pytest.fixture
def model():
    return FakeModel("sam2")


def test_memory_then_files_then_encoding(tmp_path, model):
    cache = FeatureCache(tmp_path, disk_limit=10**9)
    predictor = ImagePredictor(model, cache=cache)
    predictor.set_image(photo(1))
    first = predictor.predict(points=[(20, 20)])
    predictor.set_image(photo(1))
    assert model.encoded_batches == [1]
    other = ImagePredictor(model, cache=FeatureCache(tmp_path, disk_limit=10**9))
    other.set_image(photo(1))
    assert model.encoded_batches == [1]
    assert (other.predict(points=[(20, 20)]).logits == first.logits).all()
    other.set_image(photo(2))
    assert model.encoded_batches == [1, 1]


def test_other_pixels_shapes_and_weights_have_other_keys(model):
    keys = {key_of(model, photo(1)), key_of(model, photo(2)), key_of(model, photo(1).reshape(64, 48, 3))}
    other = FakeModel("sam2")
    with torch.no_grad():
        next(other.parameters()).add_(1)
    keys.add(key_of(other, photo(1)))
    assert len(keys) == 4


def test_files_used_longest_ago_go_first(tmp_path, model):
    size = _file_size(tmp_path / "one", model)
    cache = FeatureCache(tmp_path / "two", disk_limit=int(2.5 * size), memory_limit=0)
    for value in (1, 2, 1, 3):  # 1 was used after 2
        ImagePredictor(model, cache=cache).set_image(photo(value))
    kept = {path.stem for path in (tmp_path / "two").iterdir()}
    assert kept == {key_of(model, photo(1)), key_of(model, photo(3))}


def _file_size(folder, model):
    ImagePredictor(model, cache=FeatureCache(folder, 10**9)).set_image(photo(9))
    return next(folder.iterdir()).stat().st_size


def test_a_damaged_file_is_made_anew_and_a_folder_that_cannot_be_written_does_no_harm(tmp_path, model):
    cache = FeatureCache(tmp_path, 10**9, memory_limit=0)
    ImagePredictor(model, cache=cache).set_image(photo(1))
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"broken")
    ImagePredictor(model, cache=FeatureCache(tmp_path, 10**9)).set_image(photo(1))
    assert model.encoded_batches == [1, 1]
    assert file.stat().st_size > 100
    (tmp_path / "a file").write_text("")
    ImagePredictor(model, cache=FeatureCache(tmp_path / "a file" / "x", 10**9)).set_image(photo(5))
    ImagePredictor(model, cache=FeatureCache(tmp_path / "none", 0)).set_image(photo(5))
    assert not (tmp_path / "none").exists()
