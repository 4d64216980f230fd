"""Pieces of work on all cores: all done, once, and PyTorch's settings as they were."""

import threading

import pytest
import torch

from everymask.nn.cores import OneCore, on_all_cores


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_all_pieces_are_done_and_the_number_of_threads_is_put_back():
    out = torch.zeros(8)
    seen = set()

    def piece(index):
        out[index] = index
        seen.add((threading.current_thread().name, torch.get_num_threads()))

    on_all_cores([lambda index=index: piece(index) for index in range(8)])
    assert out.tolist() == list(range(8))
    assert all(name.startswith("everymask-core") and threads == 1 for name, threads in seen)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_inference_mode_reaches_the_threads():
    with torch.inference_mode():
        out = torch.zeros(2)
        on_all_cores([lambda: out[:1].fill_(1), lambda: out[1:].fill_(2)])
    assert out.tolist() == [1, 2]


@pytest.mark.usefixtures("two_threads")
def test_an_error_comes_through_and_threads_are_put_back():
    def broken():
        raise ValueError("piece")

    with pytest.raises(ValueError, match="piece"):
        on_all_cores([broken, lambda: None])
    assert torch.get_num_threads() == 2
    on_all_cores([lambda: None, lambda: None])  # not left locked


def test_one_piece_runs_where_it_is():
    names = []
    on_all_cores([lambda: names.append(threading.current_thread().name)])
    assert names == [threading.current_thread().name]


@pytest.mark.usefixtures("two_threads")
def test_a_thread_of_its_own_keeps_to_one_core_and_the_others_do_not():
    one_core = OneCore()
    try:
        assert one_core.run(torch.get_num_threads) == 1
        assert torch.get_num_threads() == 2
        seen = []
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert seen == [2]
        with pytest.raises(ZeroDivisionError):
            one_core.run(lambda: 1 / 0)
    finally:
        one_core.close()
