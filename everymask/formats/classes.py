"""Classes and their numbers: kept from file to file where both can hold them, changes said where not.

COCO numbers classes as it likes (1, 3, 18); YOLO counts from 0 without gaps. A file's numbers travel with
its photos (:class:`Classes`), also those of classes that no mask has: a trainer counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import FormatError

MOST = 100_000
"""Class numbers that count from 0: YOLO lists the names of all below the highest one."""


def checked_number(number: int, where: str) -> int:
    """A class number as YOLO has them. Raises :class:`FormatError`."""
    if not 0 <= number < MOST:
        raise FormatError(f"{where} has a class number from 0 to {MOST - 1:,}, got {number:.6g}")
    return number


@dataclass(frozen=True)
class Classes:
    """The classes of a file: their numbers by name, and what else it says of them."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    numbering: Literal["coco", "yolo"] = "coco"
    """Whose rule the numbers follow."""
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further values of a class, such as ``supercategory``."""

    def __bool__(self) -> bool:
        return bool(self.numbers)


def distinct(pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Names by number; names that several classes share get their number behind.

    >>> distinct([(1, "mouse"), (2, "cat"), (3, "mouse")])
    {1: 'mouse (1)', 2: 'cat', 3: 'mouse (3)'}
    """
    listed = list(pairs)
    names = [name for _, name in listed]
    shared = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    found: dict[int, str] = {}
    for number, name in listed:
        if number in found:
            raise FormatError(f"class {number} is named twice, {found[number]!r} and {name!r}")
        found[number] = f"{name} ({number})" if name in shared else name
    return found


def joined(each: Iterable[Classes], used: Iterable[str]) -> Classes:
    """The classes of several files as one; those of ``used`` that no file numbers come last.

    The first file to number a class decides; a number that is taken gives way to the next free one.

    >>> joined([Classes({"car": 3}), Classes({"dog": 3})], ["cat"]).numbers
    {'car': 3, 'dog': 4, 'cat': 5}
    """
    numbers: dict[str, int] = {}
    more: dict[str, Mapping[str, Any]] = {}
    numbering: Literal["coco", "yolo"] | None = None
    seen: set[int] = set()
    known: set[int] = set()  # of files already taken in: the photos of one file share its classes
    for classes in each:
        if not classes or id(classes) in known:
            continue
        known.add(id(classes))
        numbering = numbering or classes.numbering
        for name, number in classes.numbers.items():
            if name not in numbers:
                numbers[name] = number if number not in seen else max(seen) + 1
                seen.add(numbers[name])
        more |= classes.more
    for name in sorted(set(used) - numbers.keys()):
        numbers[name] = max(seen, default=0 if numbering != "yolo" else -1) + 1
        seen.add(numbers[name])
    return Classes(numbers, numbering or "coco", more)


def for_yolo(classes: Classes) -> list[str]:
    """The names in YOLO's order: its own numbers kept, gaps filled by their number; others counted from 0.

    >>> for_yolo(Classes({"dog": 2, "cat": 0}, "yolo")), for_yolo(Classes({"dog": 18, "cat": 1}))
    (['cat', '1', 'dog'], ['cat', 'dog'])
    """
    names = {number: name for name, number in classes.numbers.items()}
    if classes.numbering == "yolo":
        return [names.get(number, str(number)) for number in range(max(names, default=-1) + 1)]
    return [names[number] for number in sorted(names)]
