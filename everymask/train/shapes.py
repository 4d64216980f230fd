"""Outlines: partitions of the canvas into large regions, and silhouettes of objects.

A silhouette is a float32 alpha map [S, S] in 0..1; a partition an int32 map [S, S] of region numbers.
"""

from __future__ import annotations

import cv2
import numpy as np

from everymask.train.noise import fractal_field, smooth_field, warp


def partition(rng: np.random.Generator, side: int) -> np.ndarray:
    """A canvas divided into 1 to about 9 regions: bands, cells, level sets, a room, or nested ones."""
    kinds = [single, bands, cells, level_sets, room, nested]
    chosen = kinds[rng.choice(len(kinds), p=[0.10, 0.27, 0.22, 0.16, 0.11, 0.14])]
    return renumber(chosen(rng, side))


def single(rng: np.random.Generator, side: int) -> np.ndarray:
    return np.zeros((side, side), np.int32)


def bands(rng: np.random.Generator, side: int) -> np.ndarray:
    """Sky over hills over water: 2 to 5 bands with fractal borders, sometimes upright or tilted."""
    along = np.linspace(0, 1, side, dtype=np.float32)
    heights = np.sort(rng.uniform(0.08, 0.92, rng.integers(1, 5)))
    labels = np.zeros((side, side), np.int32)
    ys = along[:, None]
    for height in heights:
        rough = rng.choice([0.004, 0.02, 0.05, 0.1])
        skyline = height + rng.uniform(-0.15, 0.15) * (along - 0.5)
        skyline = skyline + rough * fractal_field(rng, side, rng.uniform(1, 8), 6, 0.6)[0]
        labels += (ys > skyline[None]).astype(np.int32)
    return labels if rng.random() < 0.8 else np.ascontiguousarray(labels.T)


def cells(rng: np.random.Generator, side: int) -> np.ndarray:
    """Voronoi cells of 2 to 9 random sites, their borders straight or warped."""
    sites = rng.uniform(-0.1, 1.1, (rng.integers(2, 10), 2)).astype(np.float32) * side
    stretch = rng.uniform(0.5, 2, 2).astype(np.float32)
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    labels, nearest = np.zeros((side, side), np.int32), np.full((side, side), np.inf, np.float32)
    for number, (x, y) in enumerate(sites):
        distance = stretch[0] * (xs - x) ** 2 + stretch[1] * (ys - y) ** 2
        labels[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
    return labels if rng.random() < 0.3 else warp(rng, labels, rng.uniform(2, 0.05 * side), rng.uniform(2, 8))


def level_sets(rng: np.random.Generator, side: int) -> np.ndarray:
    """Islands and lakes: the connected pieces between thresholds of a fractal field."""
    field = fractal_field(rng, side, rng.uniform(1, 3), 5, rng.uniform(0.25, 0.5))
    levels = np.quantile(field, np.sort(rng.uniform(0.15, 0.85, rng.integers(1, 3))))
    return pieces(np.digitize(field, levels).astype(np.int32), min_share=0.01)


def room(rng: np.random.Generator, side: int) -> np.ndarray:
    """Flat planes as in rooms and streets: two or three straight cuts, then a box of planes."""
    labels = np.zeros((side, side), np.int32)
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32) / side
    for bit in range(rng.integers(1, 4)):
        angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.25)
        offset = rng.uniform(0.2, 0.8)
        labels += (np.cos(angle) * (xs - offset) + np.sin(angle) * (ys - offset) > 0).astype(np.int32) << bit
    return labels


def nested(rng: np.random.Generator, side: int) -> np.ndarray:
    """One partition shining through the regions of another."""
    first, second = bands(rng, side), cells(rng, side)
    inner = rng.integers(0, first.max() + 1)
    return np.where(first == inner, second + first.max() + 1, first).astype(np.int32)


def pieces(labels: np.ndarray, min_share: float) -> np.ndarray:
    """Connected pieces of a partition; pieces too small join what surrounds them."""
    result = np.zeros_like(labels)
    count = 1
    for value in np.unique(labels):
        number, split, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8))
        for index in range(1, number):
            if stats[index, cv2.CC_STAT_AREA] >= min_share * labels.size:
                result[split == index] = count
                count += 1
    return fill_unlabelled(result) if (result > 0).any() else result


def fill_unlabelled(labels: np.ndarray) -> np.ndarray:
    """Give each pixel of region 0 the number of the nearest labelled pixel."""
    _, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    number_of = np.zeros(nearest.max() + 1, np.int32)
    known = labels > 0
    number_of[nearest[known]] = labels[known]
    return number_of[nearest]


def renumber(labels: np.ndarray) -> np.ndarray:
    """The same partition with regions 0, 1, 2, ... without gaps."""
    number_of = np.cumsum(np.bincount(labels.ravel()) > 0) - 1
    return number_of.astype(np.int32)[labels]


def silhouette(
    rng: np.random.Generator, side: int, cutouts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray | None]:
    """An object about ``side`` pixels large: its alpha [s, s], s somewhat larger than ``side``, and,
    when it comes from a cutout, that cutout's colours [s, s, 3]."""
    room_for_it = int(1.3 * side) + 4
    if cutouts and rng.random() < 0.55:
        return place_cutout(rng, room_for_it, cutouts[rng.integers(len(cutouts))], side)
    drawn = draw_polygon(room_for_it, outline(rng) * side / 2 + room_for_it / 2)
    if rng.random() < 0.4:
        drawn = warp(rng, drawn, side * rng.uniform(0.01, 0.12), rng.uniform(2, 10))
    return drawn, None


def outline(rng: np.random.Generator) -> np.ndarray:
    """A closed outline [N, 2] within about -1..1: blobs, boxes, polygons, ellipses, animals' backs."""
    turn = np.linspace(0, 2 * np.pi, 97)[:-1]
    kind = rng.choice(["blob", "blob", "box", "ellipse", "polygon", "star"])
    if kind == "box":
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float) + rng.normal(0, 0.12, (4, 2))
        points = corners
    elif kind == "polygon":
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        points = np.stack([np.cos(angles), np.sin(angles)], 1)
    else:
        radius = np.ones_like(turn)
        if kind != "ellipse":
            top = 5 if kind == "blob" else 12
            for order in range(2, top):
                radius += rng.normal(0, 0.5 / order) * np.cos(order * turn + rng.uniform(0, 6.3))
        points = np.clip(radius, 0.15, 2)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    squeeze, angle = np.exp(rng.normal(0, 0.35)), rng.uniform(0, 2 * np.pi)
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points * [squeeze, 1 / squeeze] @ rotate


def draw_polygon(side: int, points_xy: np.ndarray) -> np.ndarray:
    """An anti-aliased filled polygon, float32 [S, S]."""
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [np.round(points_xy * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255


def place_cutout(
    rng: np.random.Generator, side: int, cutout: np.ndarray, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """A cutout scaled, turned, stretched and perhaps mirrored: alpha [S, S] and colours [S, S, 3]."""
    shrink = size / max(cutout.shape[:2])
    if shrink < 0.7:  # warpAffine does not average
        cutout = cv2.resize(cutout, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    height, width = cutout.shape[:2]
    zoom = size / max(height, width) * np.exp(rng.normal(0, 0.15, 2))
    angle = rng.normal(0, 0.3) if rng.random() < 0.8 else rng.uniform(0, 6.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([zoom[0] * rng.choice([-1.0, 1.0]), zoom[1]])
    matrix = np.column_stack([linear, side / 2 - linear @ [width / 2, height / 2]])
    placed = cv2.warpAffine(cutout, matrix, (side, side), flags=cv2.INTER_LINEAR).astype(np.float32)
    return placed[..., 3] / 255, placed[..., :3]


def split_object(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Parts of an object: int32 [h, w] part numbers 0.. by a stripe, a level set or a shape inside."""
    side = max(alpha.shape)
    height, width = alpha.shape
    ys, xs = np.nonzero(alpha > 0.5)
    if len(ys) < 60:
        return np.zeros(alpha.shape, np.int32)
    size = max(np.ptp(ys), np.ptp(xs)) + 1
    pick = rng.integers(len(ys))
    if rng.random() < 0.4:
        inner = outline(rng) * size * rng.uniform(0.12, 0.35) + [xs[pick], ys[pick]]
        return (draw_polygon(side, inner)[:height, :width] > 0.5).astype(np.int32)
    if rng.random() < 0.5:
        field = smooth_field(rng, side, rng.uniform(1, 2.5) * side / size)[:height, :width]
        return (field > field[ys, xs].mean()).astype(np.int32)
    angle, period = rng.uniform(0, np.pi), size * rng.uniform(0.3, 1.0)
    grid_y, grid_x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = np.float32(np.cos(angle)) * (grid_x - xs[pick]) + np.float32(np.sin(angle)) * (grid_y - ys[pick])
    return (np.floor(along / period).astype(np.int32) + 64) % 3
