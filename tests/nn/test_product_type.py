"""Which type large products are fastest in: features first, a measurement where they say yes."""

import pytest
import torch

from everymask.nn import product_type
from everymask.nn.product_type import fast_dtype


@pytest.fixture
def cpu(monkeypatch):
    """A CPU with or without bfloat16 units, and the speed of its bfloat16 products."""

    def pretend(units: bool, speed: float) -> None:
        monkeypatch.setattr(product_type, "_has_units", lambda device: units)
        monkeypatch.setattr(product_type, "bfloat16_speed", lambda device: speed)

    return pretend


def test_a_cpu_with_fast_bfloat16_units_works_in_bfloat16(cpu):
    cpu(units=True, speed=1.9)
    assert fast_dtype("cpu") == torch.bfloat16


def test_a_cpu_that_emulates_bfloat16_works_in_float32(cpu):
    cpu(units=True, speed=0.8)
    assert fast_dtype(torch.device("cpu")) == torch.float32


def test_a_cpu_without_the_units_works_in_float32_and_measures_nothing(cpu, monkeypatch):
    cpu(units=False, speed=1.9)
    monkeypatch.setattr(product_type, "bfloat16_speed", lambda device: pytest.fail("measured"))
    assert fast_dtype("cpu") == torch.float32


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_nvidia_gpus_have_the_units_from_ampere_on(monkeypatch, capability, expected):
    product_type._has_units.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_dtype("cuda") == expected
    product_type._has_units.cache_clear()


def test_devices_nobody_measured_work_in_float32():
    assert fast_dtype("mps") == torch.float32


def test_the_speed_is_measured_once_a_process(monkeypatch):
    product_type.bfloat16_speed.cache_clear()
    taken = []
    seconds = {torch.float32: 0.002, torch.bfloat16: 0.001}
    monkeypatch.setattr(
        product_type, "_seconds", lambda matrix: taken.append(matrix.dtype) or seconds[matrix.dtype]
    )
    assert product_type.bfloat16_speed("cpu") == 2.0
    assert product_type.bfloat16_speed("cpu") == 2.0
    assert len(taken) == 2 * product_type.ROUNDS
    product_type.bfloat16_speed.cache_clear()


def test_where_bfloat16_is_hopeless_measuring_ends_early(monkeypatch):
    product_type.bfloat16_speed.cache_clear()
    taken = []
    seconds = {torch.float32: 0.001, torch.bfloat16: 0.1}
    monkeypatch.setattr(
        product_type, "_seconds", lambda matrix: taken.append(matrix.dtype) or seconds[matrix.dtype]
    )
    assert product_type.bfloat16_speed("cpu") == pytest.approx(0.01)
    assert len(taken) == 4
    product_type.bfloat16_speed.cache_clear()
