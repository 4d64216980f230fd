"""VALUE@ID=NAME: whose a prompt is, and what the object is called."""

from __future__ import annotations


def split_name(text: str) -> tuple[str, str, str]:
    """Value, id and name; "" where there is none. The last @ counts, so that paths may hold one.

    >>> split_name("3,4"), split_name("3,4@2"), split_name("3,4@2=big dog")
    (('3,4', '', ''), ('3,4', '2', ''), ('3,4', '2', 'big dog'))
    """
    value, at, who = text.rpartition("@")
    if not at:
        return text, "", ""
    object_id, _, name = who.partition("=")
    return value, object_id, name.strip()
