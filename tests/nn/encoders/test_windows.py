import torch

from everymask.nn.encoders.windows import join_windows, split_windows, window_grid


def test_windows_run_row_by_row():
    x = torch.arange(16.0).reshape(1, 4, 4, 1)
    windows = split_windows(x, 2)
    assert windows.shape == (1, 2, 2, 2, 2, 1)
    assert windows[0, 0, 1].flatten().tolist() == [2, 3, 6, 7]
    assert windows[0, 1, 0].flatten().tolist() == [8, 9, 12, 13]


def test_join_undoes_split_for_a_batch_with_overhang():
    x = torch.randn(2, 5, 7, 3)
    assert window_grid((5, 7), 4) == (2, 2)
    assert torch.equal(join_windows(split_windows(x, 4), (5, 7)), x)


def test_overhang_holds_the_fill():
    windows = split_windows(torch.ones(1, 1, 3, 2), 2, fill=torch.tensor([7.0, 8.0]))
    assert windows[0, 0, 0, 1].tolist() == [[7, 8], [7, 8]]
    assert windows[0, 0, 1].tolist() == [[[1, 1], [7, 8]], [[7, 8], [7, 8]]]


def test_overhang_is_zero_without_a_fill():
    assert split_windows(torch.ones(1, 3, 2, 1), 2)[0, 1, 0].flatten().tolist() == [1, 1, 0, 0]


def test_a_window_as_large_as_the_picture_is_the_picture():
    x = torch.randn(2, 3, 3, 4)
    assert torch.equal(split_windows(x, 3)[:, 0, 0], x)


def test_no_copy_is_made_where_nothing_overhangs():
    x = torch.zeros(1, 4, 4, 1)
    assert split_windows(x, 2).data_ptr() == x.data_ptr()
