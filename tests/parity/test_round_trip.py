"""Official checkpoints load into our models and ours into the official ones, strictly, for every spec."""

import pytest
import torch

from everymask.models.load import WithoutInitialisation, build, empty
from everymask.models.specs import MODELS
from everymask.models.weights import read_weights, recognise, to_official
from tests.parity.official import WITH_OFFICIAL_CODE, official_model
from tests.parity.seeded import fill
from tests.parity.test_models_parity import SMALL


def bare(make):
    """A model whose weights were never written: only names and shapes matter, and it costs no memory."""
    with WithoutInitialisation():
        return make()


@pytest.mark.parametrize("name", WITH_OFFICIAL_CODE)
def test_names_and_shapes_are_the_official_ones(name):
    official = bare(lambda: official_model(MODELS[name])).state_dict()
    ours = to_official(bare(lambda: empty(MODELS[name])))
    assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in official.items()}


@pytest.mark.parametrize("name", WITH_OFFICIAL_CODE)
def test_every_official_checkpoint_is_recognised(name):
    official = bare(lambda: official_model(MODELS[name])).state_dict()
    assert recognise(official) is MODELS[name]


@pytest.mark.parametrize("name", SMALL)
def test_values_survive_the_way_into_ours_and_back(name):
    official = official_model(SMALL[name])
    state = fill(official)
    back = to_official(build(SMALL[name], state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
    official.load_state_dict(back, strict=True)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_written_by_the_official_code_is_read(tmp_path, wrapped):
    official = official_model(SMALL["sam2.1"])
    state = fill(official)
    torch.save({"model": official.state_dict()} if wrapped else official.state_dict(), tmp_path / "a.pt")
    read = read_weights(tmp_path / "a.pt")
    assert all(torch.equal(read[key], state[key]) for key in state)
    assert read.keys() == state.keys()
