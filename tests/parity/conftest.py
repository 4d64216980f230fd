from functools import lru_cache

import numpy as np
import pytest
import torch

from tests.parity import torchvision_standin


@pytest.fixture(autouse=True)
def _official_packages_import():
    """torchvision's stand-in is there, and one thread does the work."""
    torchvision_standin.install()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_photo():
    return seeded_photo


@lru_cache(maxsize=16)
def seeded_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A photo with smooth areas, edges and noise, RGB uint8 [H, W, 3]; read-only."""
    rng = np.random.default_rng(seed)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    waves = np.stack([np.sin(x / (7 + 5 * c) + c) * np.cos(y / (11 - 2 * c)) for c in range(3)], axis=-1)
    photo = 128 + 90 * waves + 12 * rng.standard_normal((height, width, 3), np.float32)
    photo[height // 4 : height // 2, width // 3 : width // 2] = rng.integers(0, 255, 3)
    return photo.clip(0, 255).astype(np.uint8)
