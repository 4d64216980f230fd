"""Rings joined to one outline, few and thousands: the seams enclose nothing."""

from collections import Counter

import cv2
import numpy as np
import pytest

from everymask.formats.seams import ALL_PAIRS, bridged

SIDE = 12


def specks(count: int) -> list[np.ndarray]:
    """Squares of some pixels, strewn over cells of a grid."""
    chance = np.random.default_rng(count)
    across = int(np.ceil(count**0.5))
    rings = []
    for cell in chance.permutation(across * across)[:count]:
        x, y = SIDE * np.array(divmod(int(cell), across)) + chance.integers(0, 4, 2)
        w, h = chance.integers(2, 7, 2)
        rings.append(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]))
    return rings


def area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


def edges(ring: np.ndarray) -> Counter[tuple[tuple[int, ...], tuple[int, ...]]]:
    return Counter(
        zip(map(tuple, ring.tolist()), map(tuple, np.roll(ring, -1, axis=0).tolist()), strict=True)
    )


@pytest.mark.parametrize("count", [2, 40, 2000])
def test_the_one_ring_has_every_edge_and_seams_there_and_back(count):
    rings = specks(count)
    assert (4 * count > ALL_PAIRS) == (count == 2000), "both ways to join are tried"
    joined = bridged(rings[0], rings)
    assert area(joined) == sum(map(area, rings))
    assert joined[0].tolist() == rings[0][0].tolist()
    seams = edges(joined) - sum(map(edges, rings), Counter())
    assert sum(seams.values()) == 2 * (count - 1)
    assert seams == Counter({(end, start): times for (start, end), times in seams.items()})
    lengths = [np.hypot(*np.subtract(*seam)) for seam in seams]
    assert np.mean(lengths) < 1.5 * SIDE


def test_a_large_ring_with_many_specks_is_filled_as_its_parts_are():
    large = cv2.ellipse2Poly((300, 300), (250, 200), 0, 0, 360, 1)
    rings = [large, *(np.add(speck, (600, 0)) for speck in specks(1500))]
    joined = bridged(large, rings)
    size = (1200, 1200)
    together, parts = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    cv2.fillPoly(together, [joined.astype(np.int32)], 1)
    for ring in rings:
        cv2.fillPoly(parts, [ring.astype(np.int32)], 1)
    assert (together >= parts).all()
    assert (together != parts).sum() < 12 * len(rings), "lines along the seams, a pixel wide"
