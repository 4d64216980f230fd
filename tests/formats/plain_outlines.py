"""Outlines from pixels, written to be read: what the quick form, which works on runs, has to give."""

import numpy as np


def corner_set(pixels: np.ndarray) -> set[tuple[int, int]]:
    """Every pixel corner where the edge of a mask [H, W] turns, or touches itself."""
    padded = np.pad(pixels, 1)
    height, width = pixels.shape
    found = set()
    for y in range(height + 1):
        for x in range(width + 1):
            four = padded[y : y + 2, x : x + 2]
            count = int(four.sum())
            if count in (1, 3) or (count == 2 and four[0, 0] == four[1, 1]):
                found.add((x, y))
    return found


def piece_count(pixels: np.ndarray) -> int:
    """How many pieces there are, neighbours by sides."""
    left, pieces = {(int(y), int(x)) for y, x in zip(*np.nonzero(pixels), strict=True)}, 0
    while left:
        pieces += 1
        waiting = [left.pop()]
        while waiting:
            y, x = waiting.pop()
            beside = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= beside
            waiting += beside
    return pieces
