"""Sets of sixteen-byte keys in sixteen bytes each: ten million are 160 MB, where a Python set takes 1 GB."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

KEY = np.dtype("V16")
EMPTY = np.empty(0, KEY)


def ticket(name: str, stamp: str) -> bytes:
    """Sixteen bytes that stand for a photo as it is now: another stamp, another ticket."""
    text = f"{name}\0{stamp}".encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=16).digest()


def as_keys(values: Iterable[bytes]) -> np.ndarray:
    """Keys [N] from bytes of sixteen each."""
    return np.frombuffer(b"".join(values), KEY)


class KeySet:
    """Keys to be asked for, many at a time; grows by merging sorted runs of like size."""

    def __init__(self, keys: np.ndarray = EMPTY) -> None:
        self._runs: list[np.ndarray] = []  # of uint64 [2, N], sorted
        self.add(keys)

    def __len__(self) -> int:
        return sum(run.shape[1] for run in self._runs)

    def add(self, keys: np.ndarray) -> None:
        """Take keys [N] in; none of them may be in already."""
        if len(keys):
            self._runs.append(_sorted(_words(keys)))
        while len(self._runs) > 1 and self._runs[-2].shape[1] < 2 * self._runs[-1].shape[1]:
            last = self._runs.pop()
            self._runs[-1] = _sorted(np.concatenate([self._runs[-1], last], axis=1))

    def __contains__(self, key: bytes) -> bool:
        return bool(self.has(as_keys([key]))[0])

    def has(self, keys: np.ndarray) -> np.ndarray:
        """Which of keys [N] are in the set, bool [N]."""
        words = _words(keys)
        found = np.zeros(len(keys), bool)
        for run in self._runs:
            found |= _find(run, words) >= 0
        return found


class KeyMap(KeySet):
    """A set that remembers which of its keys were asked for."""

    def __init__(self, keys: np.ndarray) -> None:
        super().__init__(keys)
        self._seen = np.zeros(len(self), bool)

    def see(self, keys: np.ndarray) -> np.ndarray:
        """Which of keys [N] are in the set, bool [N]; they are seen from now on."""
        if not self._runs:
            return np.zeros(len(keys), bool)
        places = _find(self._runs[0], _words(keys))
        self._seen[places[places >= 0]] = True
        return places >= 0

    def unseen(self) -> np.ndarray:
        """The keys that nobody asked for."""
        if not self._runs:
            return EMPTY
        return np.ascontiguousarray(self._runs[0][:, ~self._seen].T.astype(">u8")).view(KEY).ravel()


def _words(keys: np.ndarray) -> np.ndarray:
    """Keys [N] as native numbers [2, N], upper halves first: their order is that of the bytes."""
    return np.ascontiguousarray(keys).view(">u8").reshape(-1, 2).T.astype(np.uint64, order="C")


def _sorted(words: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(words[:, np.lexsort((words[1], words[0]))])


def _find(run: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Where each of ``words`` [2, N] is in a sorted run, int64 [N]; -1 where it is not."""
    first = np.searchsorted(run[0], words[0])
    places = np.full(words.shape[1], -1)
    asked = np.arange(words.shape[1])
    while len(asked):  # keys that share their upper half lie side by side; more than one is hardly ever
        at = first[asked]
        inside = at < run.shape[1]
        asked, at = asked[inside], at[inside]
        same = run[0, at] == words[0, asked]
        asked, at = asked[same], at[same]
        hit = run[1, at] == words[1, asked]
        places[asked[hit]] = at[hit]
        asked = asked[~hit]
        first[asked] += 1
    return places
