"""What mask files call their photos, whichever tool on whichever system wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

Parts = tuple[str, ...]


def ways_to_read(name: str) -> Iterator[Parts]:
    r"""The folders and file that a photo's name may mean, likelier readings first: a path of any system, an
    address, a file that Label Studio keeps.

    >>> list(ways_to_read(r"C:\data\a.png"))
    [('C:', 'data', 'a.png')]
    >>> next(ways_to_read("/data/local-files/?d=photos/a%20b.png"))
    ('photos', 'a b.png')
    """
    texts = [name]
    if "?" in name or "://" in name:
        address = urlsplit(name)
        texts = [*parse_qs(address.query).get("d", []), name, address.path]
    if "%" in name:
        texts += [unquote(text) for text in texts]
    seen = set()
    for text in texts:
        parts = tuple(part for part in re.split(r"[\\/]", text) if part not in ("", ".", ".."))
        for each in (parts, (*parts[:-1], UPLOADED.sub("", parts[-1]))) if parts else ():
            if each not in seen:
                seen.add(each)
                yield each
