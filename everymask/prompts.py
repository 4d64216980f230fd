"""What a caller asks for on one photo, checked once at the edge: points, boxes, masks, one prompt or many.

Letters: P prompts, N points of a prompt, H x W the photo, h x w the model's low-resolution mask
(256 x 256 for a 1024 px model). Coordinates are photo pixels, x to the right and y down, (0, 0) the
centre of the upper left pixel, as in the official packages.

How many prompts a call holds is read from the number of axes:

==========  ==================  =================================================
argument    one prompt          many prompts
==========  ==================  =================================================
points      (N, 2)              (P, N, 2), or a list of P arrays (Ni, 2)
labels      (N,)                (P, N), or a list of P arrays (Ni,)
box         (4,) XYXY           (P, 4)
mask        (H, W) or (h, w),   (P, H, W) or (P, h, w); for P = 1 beside another
            also (1, h, w)      "many" argument, (1, h, w) counts as many
==========  ==================  =================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from everymask.errors import PromptError

PADDING, BACKGROUND, FOREGROUND, BOX_START, BOX_END = -1, 0, 1, 2, 3
"""Point labels as the models know them; callers use -1, 0 and 1, boxes become 2 and 3."""

Outside = Literal["refuse", "keep"]


@dataclass(frozen=True)
class Prompts:
    """P checked prompts on one photo."""

    photo_hw: tuple[int, int]
    points_xy_px: np.ndarray  # float64 [P, N, 2]; N may be 0
    labels: np.ndarray  # int32 [P, N]: 1 object, 0 not the object, -1 padding behind a shorter prompt
    boxes_xyxy_px: np.ndarray | None = None  # float64 [P, 4]
    photo_masks: np.ndarray | None = None  # bool [P, H, W]
    mask_logits: np.ndarray | None = None  # float32 [P, h, w]
    many: bool = False
    """The caller asked with a prompt axis, so the answer has one too (even for P = 1)."""

    def __len__(self) -> int:
        return self.points_xy_px.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> Prompts:
        """The prompts of these rows, as a batch."""

        def take(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        return replace(
            self,
            points_xy_px=self.points_xy_px[rows],
            labels=self.labels[rows],
            boxes_xyxy_px=take(self.boxes_xyxy_px),
            photo_masks=take(self.photo_masks),
            mask_logits=take(self.mask_logits),
        )

    def groups(self) -> Iterator[tuple[np.ndarray, Prompts]]:
        """Row numbers and prompts, one batch for each number of points, without any padding left.

        Padding tokens would be seen by the decoder and change the masks a little; prompts of unequal
        length therefore run in separate batches, and each gets the masks it gets alone.
        """
        counts = (self.labels != PADDING).sum(axis=1)
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            group = self[rows]
            real = group.labels != PADDING
            yield (
                rows,
                replace(
                    group,
                    points_xy_px=group.points_xy_px[real].reshape(len(rows), count, 2),
                    labels=group.labels[real].reshape(len(rows), count),
                ),
            )


def read_prompts(
    photo_hw: tuple[int, int],
    logits_hw: tuple[int, int],
    *,
    points: Any = None,
    labels: Any = None,
    box: Any = None,
    mask: Any = None,
    outside: Outside = "refuse",
) -> Prompts:
    """The checked record of what a caller passed; see the table above for the shapes.

    Labels left out mean "all on the object" (1). What a mask prompt is, is told by :func:`kind_of_mask`.
    Boxes (0, 4) or [], points (0, N, 2) and masks (0, H, W) are no prompts at all: the answer has no masks.

    ``outside="refuse"`` wants points within the picture and boxes that overlap it; ``"keep"`` hands
    any finite coordinates on, as the official predictors do.

    Raises PromptError.

    >>> prompts = read_prompts((600, 800), (256, 256), points=[(500, 375)], labels=[1])
    >>> len(prompts), prompts.many, prompts.points_xy_px.shape
    (1, False, (1, 1, 2))
    >>> len(read_prompts((600, 800), (256, 256), box=[[0, 0, 50, 60], [20, 30, 90, 80]]))
    2
    """
    if outside not in ("refuse", "keep"):
        raise PromptError(f"outside must be 'refuse' or 'keep', got {outside!r}")
    if points is None and labels is not None:
        raise PromptError("labels came without points; pass points= as well, or drop labels=")
    if points is None and box is None and mask is None:
        raise PromptError("no prompt was given; pass points=, box= or mask=")
    parts = _Parts()
    if points is not None:
        parts.add("points", *_read_points(points, labels))
    if box is not None:
        parts.add("box", *_read_boxes(box))
    if mask is not None:
        parts.add("mask", *_read_masks(mask, photo_hw, logits_hw, beside_many=parts.many))
    count = parts.agreed_count()
    xy, marks = parts.get("points", (np.zeros((count, 0, 2)), np.zeros((count, 0), np.int32)))
    boxes = parts.get("box", None)
    photo_masks, logits = parts.get("mask", (None, None))
    if outside == "refuse":
        _refuse_points_outside(xy, marks, photo_hw)
        _refuse_boxes_outside(boxes, photo_hw)
    return Prompts(photo_hw, xy, marks, boxes, photo_masks, logits, parts.many)


class _Parts:
    """The arguments read so far, each with its number of prompts, until they are known to agree."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.axes: dict[str, bool] = {}

    def add(self, name: str, value: Any, count: int, many: bool) -> None:
        self.values[name], self.counts[name], self.axes[name] = value, count, many

    def get(self, name: str, default: Any) -> Any:
        return self.values.get(name, default)

    @property
    def many(self) -> bool:
        return any(self.axes.values())

    def agreed_count(self) -> int:
        if len(set(self.counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in self.counts.items())
            raise PromptError(
                f"points, box and mask must hold the same number of prompts, got {listed}; "
                "give each prompt its row in all of them"
            )
        return next(iter(self.counts.values()))


def _numbers(name: str, values: Any, expected: str) -> np.ndarray:
    """``values`` as float64, or a PromptError that names what was expected."""
    array = _array(values)
    if array is None:
        raise PromptError(f"{name} must {expected}, got rows of unequal length")
    if array.dtype.kind not in "biuf":
        raise PromptError(f"{name} must {expected}, got values of type {array.dtype}")
    if np.ma.is_masked(values):
        raise PromptError(f"{name} must be given in full, got a masked array; take out what is masked")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise PromptError(f"{name} must be finite numbers, got NaN or infinity")
    if array.size and np.abs(array).max() > FARTHEST:
        raise PromptError(f"{name} must be in pixels, got {array.flat[np.abs(array).argmax()]:g}")
    return array


FARTHEST = 1e9
"""No coordinate is further from the picture, in pixels."""


def _array(values: Any) -> np.ndarray | None:
    """``values`` as an array, torch tensors of any device and type among them; None for ragged rows."""
    if hasattr(values, "detach"):  # a torch tensor, without importing torch here
        values = _from_tensor(values)
    try:
        array = np.asarray([_array(each) for each in values] if _holds_tensors(values) else values)
    except ValueError:
        return None
    is_number = (
        array.dtype.kind == "V" and array.dtype.type is not np.void
    )  # bfloat16 and others of ml_dtypes
    return array.astype(np.float64) if is_number else array


def _from_tensor(tensor: Any) -> np.ndarray:
    """The values of a torch tensor, sparse and quantised ones too, without importing torch here."""
    try:
        plain = tensor.detach().cpu()
        if plain.is_quantized:
            plain = plain.dequantize()
        if str(plain.layout) != "torch.strided":
            plain = plain.to_dense()
        # NumPy has no bfloat16.
        return np.asarray((plain.double() if plain.is_floating_point() else plain).numpy())
    except (RuntimeError, TypeError) as error:
        raise PromptError(
            "a tensor among the prompts has no array of values (of the device 'meta', or nested); "
            "pass tensor.cpu().numpy()"
        ) from error


def _holds_tensors(values: Any) -> bool:
    return isinstance(values, list | tuple) and any(hasattr(each, "detach") for each in values)


# --- points ---------------------------------------------------------------------------------------


def _read_points(points: Any, labels: Any) -> tuple[tuple[np.ndarray, np.ndarray], int, bool]:
    if _is_ragged(points):
        return _read_ragged_points(points, labels)
    xy = _numbers("points", points, "have shape (N, 2) or (P, N, 2) in pixels")
    _check_points_shape(xy)
    marks = _read_labels(labels, xy.shape[:-1])
    many = xy.ndim == 3
    if not many:
        xy, marks = xy[None], marks[None]
    return (xy, marks), xy.shape[0], many


def _is_ragged(points: Any) -> bool:
    """A list of point lists of unequal length."""
    if not isinstance(points, (list, tuple)):
        return False
    lengths = {len(one) for one in points if hasattr(one, "__len__")}
    nested = all(hasattr(one, "__len__") and all(np.ndim(xy) == 1 for xy in one) for one in points)
    return nested and len(lengths) > 1


def _check_points_shape(xy: np.ndarray) -> None:
    if xy.ndim in (2, 3) and xy.shape[-1] == 2 and (xy.size or (xy.ndim == 3 and xy.shape[0] == 0)):
        return
    hint = ""
    if xy.ndim in (2, 3) and xy.shape[-1] == 3:
        hint = "; drop the extra column"
    elif xy.shape == (2,):
        hint = "; wrap the single point in a list: [(x, y)]"
    elif xy.size == 0:
        hint = "; pass points=None for a prompt without points"
    raise PromptError(f"points must have shape (N, 2) or (P, N, 2) in pixels, got {xy.shape}{hint}")


def _read_labels(labels: Any, shape: tuple[int, ...]) -> np.ndarray:
    if labels is None:
        return np.full(shape, FOREGROUND, np.int32)
    marks = _numbers("labels", labels, f"have shape {shape}, one label for each point")
    if marks.shape != shape:
        raise PromptError(f"labels must have shape {shape}, one label for each point, got {marks.shape}")
    wrong = marks[~np.isin(marks, (PADDING, BACKGROUND, FOREGROUND))]
    if wrong.size:
        raise PromptError(
            f"labels must be 1 (object), 0 (not the object) or -1 (padding), got {wrong.flat[0]:g}"
        )
    return marks.astype(np.int32)


def _read_ragged_points(points: Any, labels: Any) -> tuple[tuple[np.ndarray, np.ndarray], int, bool]:
    if labels is not None and len(labels) != len(points):
        raise PromptError(
            f"labels must hold one list for each prompt, got {len(labels)} lists for {len(points)} prompts"
        )
    longest = max(len(one) for one in points)
    xy = np.zeros((len(points), longest, 2))
    marks = np.full((len(points), longest), PADDING, np.int32)
    for row, one in enumerate(points):
        if len(one) == 0:
            continue
        own = _numbers("points", one, "have shape (N, 2) for each prompt")
        _check_points_shape(own)
        xy[row, : len(own)] = own
        marks[row, : len(own)] = _read_labels(None if labels is None else labels[row], own.shape[:1])
    return (xy, marks), len(points), True


def _refuse_points_outside(xy: np.ndarray, marks: np.ndarray, photo_hw: tuple[int, int]) -> None:
    height, width = photo_hw
    inside = (xy >= 0).all(axis=-1) & (xy[..., 0] <= width) & (xy[..., 1] <= height)
    wrong = xy[~inside & (marks != PADDING)]
    if len(wrong):
        raise PromptError(
            f"point ({wrong[0, 0]:g}, {wrong[0, 1]:g}) is outside the picture of {width} x {height} pixels; "
            "points are (x, y) in photo pixels, or pass outside='keep'"
        )


def refuse_without_data(prompts: Prompts, valid: np.ndarray) -> None:
    """Raise PromptError for a point on a pixel without data, or a box of such; ``valid`` bool [H, W]."""
    height, width = valid.shape
    said = "has no data (the raster's nodata value or mask, or NaN); prompts are about what is in the picture"
    points = prompts.points_xy_px[prompts.labels != PADDING]
    # (0, 0) is the centre of the upper left pixel.
    rows = np.clip(np.floor(points[:, 1] + 0.5).astype(int), 0, height - 1)
    columns = np.clip(np.floor(points[:, 0] + 0.5).astype(int), 0, width - 1)
    for x, y in points[~valid[rows, columns]]:
        raise PromptError(f"the pixel at point ({x:g}, {y:g}) {said}")
    for box in prompts.boxes_xyxy_px if prompts.boxes_xyxy_px is not None else ():
        x0, y0 = np.maximum(np.floor(box[:2]), 0).astype(int)
        x1, y1 = np.maximum(np.ceil(box[2:]), 0).astype(int)
        if not valid[y0:y1, x0:x1].any():
            raise PromptError(f"box {_spelled(box)} {said}")


# --- boxes ----------------------------------------------------------------------------------------


def _read_boxes(box: Any) -> tuple[np.ndarray, int, bool]:
    boxes = _numbers("box", box, "have shape (4,) or (P, 4)")
    if boxes.shape == (0,):  # (0, 4) as a list
        boxes = boxes.reshape(0, 4)
    if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4:
        raise PromptError(f"box must have shape (4,) or (P, 4), XYXY in pixels, got {boxes.shape}")
    many = boxes.ndim == 2
    boxes = boxes.reshape(-1, 4)
    inverted = boxes[(boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])]
    if len(inverted):
        raise PromptError(
            f"box must be XYXY with x0 < x1 and y0 < y1, got {_spelled(inverted[0])}; "
            "turn XYWH into (x, y, x + w, y + h)"
        )
    return boxes, len(boxes), many


def _refuse_boxes_outside(boxes: np.ndarray | None, photo_hw: tuple[int, int]) -> None:
    if boxes is None:
        return
    height, width = photo_hw
    apart = boxes[(boxes[:, 2] <= 0) | (boxes[:, 3] <= 0) | (boxes[:, 0] >= width) | (boxes[:, 1] >= height)]
    if len(apart):
        raise PromptError(
            f"box {_spelled(apart[0])} does not overlap the picture of {width} x {height} pixels; "
            "boxes are XYXY in photo pixels, or pass outside='keep'"
        )


def _spelled(row: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in row) + ")"


# --- masks ----------------------------------------------------------------------------------------


def _read_masks(
    mask: Any, photo_hw: tuple[int, int], logits_hw: tuple[int, int], beside_many: bool
) -> tuple[tuple[np.ndarray | None, np.ndarray | None], int, bool]:
    array = _mask_array(mask)
    many = array.ndim == 4 or (array.ndim == 3 and (array.shape[0] != 1 or beside_many))
    if array.ndim == 4 and array.shape[1] == 1:  # [P, 1, h, w], as the official batch calls have it
        array = array[:, 0]
    if array.ndim == 2:
        array = array[None]
    sizes = f"{_size(logits_hw)} logits of an earlier answer or a {_size(photo_hw)} mask of the photo"
    if array.ndim != 3 or array.shape[1:] not in (photo_hw, logits_hw):
        raise PromptError(
            f"mask must be {sizes}, got shape {np.shape(mask)}{_shape_hint(np.shape(mask), photo_hw)}"
        )
    if kind_of_mask(array, photo_hw, logits_hw) == "binary":
        return (array > 0, None), len(array), many
    return (None, array.astype(np.float32)), len(array), many


def _shape_hint(shape: tuple[int, ...], photo_hw: tuple[int, int]) -> str:
    """What to do with a mask of the photo's pixels whose axes are others."""
    height, width = photo_hw
    if shape in ((height, width, 1), (1, height, width, 1)):
        return "; take its one channel, mask[..., 0]"
    if shape[-3:] in ((height, width, 3), (height, width, 4)):
        return "; that is a picture: of one whose mask is white pass mask[..., 0] > 127"
    if shape[:2] == photo_hw and len(shape) == 3:
        return "; many masks go along the first axis: np.moveaxis(masks, -1, 0)"
    if shape[-2:] == (width, height):
        return "; its axes are swapped, rows come first: np.swapaxes(mask, -1, -2)"
    if len(shape) == 1 and shape[0] == height * width:
        return f"; it is flat: mask.reshape({height}, {width})"
    return ""


def kind_of_mask(
    masks: np.ndarray, photo_hw: tuple[int, int], logits_hw: tuple[int, int]
) -> Literal["binary", "logits"]:
    """What mask prompts [P, H, W] or [P, h, w] are: pixels of the photo, or an earlier answer's logits.

    Values of False and True, 0 and 1 or 0 and 255, of any type, are a binary mask and must have the
    photo's size; other floats of the size of logits are logits. Raises PromptError for anything else, and
    for zeros of the size of logits: no mask, or logits that say nothing.

    >>> kind_of_mask(np.eye(4)[None], (4, 4), (2, 2)), kind_of_mask(np.full((1, 2, 2), -0.5), (4, 4), (2, 2))
    ('binary', 'logits')
    """
    size = masks.shape[1:]
    if not _holds_only(masks, (0, 1)) and not _holds_only(masks, (0, 255)):
        if masks.dtype.kind != "f":
            raise PromptError(
                "an integer mask must hold only 0 and 1, or only 0 and 255, "
                f"got values {masks.min()} to {masks.max()}; for a label map pass (labels == your_label)"
            )
        if size != logits_hw:
            raise PromptError(
                f"a float mask of the photo's size must hold only 0 and 1, got values {masks.min():g} to "
                f"{masks.max():g}; threshold it, or pass the answer's {_size(logits_hw)} logits"
            )
        return "logits"
    if masks.dtype.kind == "f" and size == logits_hw and masks.size and not masks.any():
        raise PromptError(
            f"a float mask of {_size(logits_hw)} zeros could be an empty mask or logits that say nothing; "
            "pass mask.astype(bool), or no mask"
        )
    if size != photo_hw:
        raise PromptError(
            f"a binary mask must have the photo's size {_size(photo_hw)}, got {_size(size)}; "
            "resize it to the photo, or pass float logits"
        )
    return "binary"


HIGHEST_LOGIT = 1e6
"""No model gives one beyond; much higher ones overflow in it."""


def _mask_array(mask: Any) -> np.ndarray:
    if np.ma.is_masked(mask):
        raise PromptError("mask must be given in full, got a masked array; pass mask.filled(0)")
    array = _array(mask)
    if array is None:
        raise PromptError("mask must be one array, got rows of unequal length")
    if array.dtype.kind not in "biuf":
        hint = ""
        if hasattr(mask, "segmentation"):
            hint = "; of a Mask pass mask.segmentation"
        elif isinstance(mask, str | os.PathLike):
            hint = "; of a file pass everymask.read_masks(path)[0].segmentation"
        raise PromptError(
            f"mask must be booleans, integers or floats, got values of type {array.dtype}{hint}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PromptError("mask must be finite numbers, got NaN or infinity")
    if array.dtype.kind == "f" and array.size and float(np.abs(array).max()) > HIGHEST_LOGIT:
        raise PromptError(f"mask logits must be within {HIGHEST_LOGIT:g}, got {np.abs(array).max():g}")
    return array


def _holds_only(array: np.ndarray, values: tuple[int, ...]) -> bool:
    return bool(np.isin(array, values).all())


def _size(hw: tuple[int, ...]) -> str:
    return f"{hw[0]} x {hw[1]} (H x W)"
