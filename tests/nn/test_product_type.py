"""Which type large products are fastest in: features first, a measurement where they say yes."""

import re
import warnings

import pytest
import torch

from everymask.errors import SlowTypeWarning
from everymask.nn import product_type
from everymask.nn.product_type import fast_dtype, warn_where_slow


@pytest.fixture
def cpu(monkeypatch):
    """A CPU with or without bfloat16 units, and the speed of its bfloat16 products."""

    def pretend(units: bool, speed: float) -> None:
        monkeypatch.setattr(product_type, "_has_units", lambda device: units)
        monkeypatch.setattr(product_type, "speed_of", lambda dtype, device: speed)

    return pretend


def test_a_cpu_with_fast_bfloat16_units_works_in_bfloat16(cpu):
    cpu(units=True, speed=1.9)
    assert fast_dtype("cpu") == torch.bfloat16


def test_a_cpu_that_emulates_bfloat16_works_in_float32(cpu):
    cpu(units=True, speed=0.8)
    assert fast_dtype(torch.device("cpu")) == torch.float32


def test_a_cpu_without_the_units_works_in_float32_and_measures_nothing(cpu, monkeypatch):
    cpu(units=False, speed=1.9)
    monkeypatch.setattr(product_type, "speed_of", lambda dtype, device: pytest.fail("measured"))
    assert fast_dtype("cpu") == torch.float32


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_nvidia_gpus_have_the_units_from_ampere_on(monkeypatch, capability, expected):
    product_type._has_units.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_dtype("cuda") == expected
    product_type._has_units.cache_clear()


def test_devices_nobody_measured_work_in_float32():
    assert fast_dtype("mps") == torch.float32


@pytest.fixture
def seconds(monkeypatch):
    """Seconds a product takes by type, and the products taken."""
    by_type: dict[torch.dtype, float] = {}
    taken: list[torch.dtype] = []
    monkeypatch.setattr(
        product_type, "_seconds", lambda matrix: taken.append(matrix.dtype) or by_type[matrix.dtype]
    )
    product_type.speed_of.cache_clear()
    yield by_type, taken
    product_type.speed_of.cache_clear()


def test_the_speed_is_measured_once_a_process(seconds):
    by_type, taken = seconds
    by_type |= {torch.float32: 0.002, torch.bfloat16: 0.001}
    assert product_type.speed_of(torch.bfloat16, "cpu") == 2.0
    assert product_type.speed_of(torch.bfloat16, "cpu") == 2.0
    assert taken.count(torch.bfloat16) == product_type.ROUNDS + 2


def test_where_a_type_is_hopeless_measuring_ends_early(seconds):
    by_type, taken = seconds
    by_type |= {torch.float32: 0.001, torch.bfloat16: 0.1}
    assert product_type.speed_of(torch.bfloat16, "cpu") == pytest.approx(0.01)
    assert taken.count(torch.bfloat16) == 2


@pytest.fixture
def nobody_warned(monkeypatch):
    monkeypatch.setattr(product_type, "_warned", set())


@pytest.mark.usefixtures("nobody_warned")
def test_a_slow_type_is_warned_of_once_with_what_it_costs(cpu):
    cpu(units=False, speed=1 / 171)
    text = (
        'effort="bf16": products of bfloat16 take 170 times as long as those of float32 on this CPU; '
        "without it the masks are quicker, and the exact ones"
    )
    with pytest.warns(SlowTypeWarning, match=f"^{re.escape(text)}$"):
        warn_where_slow(torch.bfloat16, "cpu", 'effort="bf16"')
    with warnings.catch_warnings(action="error"):
        warn_where_slow(torch.bfloat16, "cpu", 'effort="bf16"')


@pytest.mark.usefixtures("nobody_warned")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_is_never_warned_of(cpu, dtype):
    cpu(units=False, speed=0.4)
    warn_where_slow(dtype, "cpu", "dtype")


@pytest.mark.usefixtures("nobody_warned")
def test_a_fast_type_is_not_warned_of(cpu):
    cpu(units=True, speed=1.9)
    warn_where_slow(torch.bfloat16, "cpu", 'effort="bf16"')
