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
