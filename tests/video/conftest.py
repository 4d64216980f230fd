import pytest
import torch

from everymask.models.load import build
from everymask.video.tracker import VideoTracker
from tests.parity.seeded import seeded_state
from tests.video.parity import moving_scene, tiny


@pytest.fixture(scope="session")
def model():
    """A SAM 2.1 model with all its parts, very small, with seeded weights."""
    spec = tiny(image_size=64)
    shapes = {name: value.shape for name, value in build(spec).state_dict().items()}
    return build(spec, seeded_state(shapes))


@pytest.fixture
def tracker(model):
    return VideoTracker(model)


@pytest.fixture(scope="session")
def scene():
    return moving_scene(24, (48, 64))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
