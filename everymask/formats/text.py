"""Reading and writing the text files under the formats, with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import FormatError


def read_text(path: Path) -> str:
    """The text of a file. Raises :class:`FormatError` when it is not there or is not text."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text file (byte {error.start} is not UTF-8)") from error
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises :class:`FormatError` with the line when it is malformed."""
    try:
        return json.loads(read_text(path), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise FormatError(f"{path} is not JSON: {error.msg} at line {error.lineno}") from error
    except _NoNumber as error:
        raise FormatError(f"{path} holds {error}, which is not a number in JSON") from None
    except (RecursionError, ValueError) as error:  # ValueError: an integer of many thousand digits
        raise FormatError(f"{path} cannot be read as JSON: {error}") from error


class _NoNumber(ValueError):
    """NaN or Infinity, which Python's writer produces and JSON does not have."""


def _no_number(text: str) -> float:
    raise _NoNumber(text)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON: compact, UTF-8, one line, and never NaN (which is not JSON)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path.write_text(
        text, "utf-8", errors="backslashreplace"
    )  # file names may be no UTF-8: an escape for them


def want(value: Any, kind: type | tuple[type, ...], where: str) -> Any:
    """``value`` if it is of ``kind``, or a :class:`FormatError` that names the place in the file."""
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    expected = " or ".join(each.__name__ for each in kinds)
    raise FormatError(f"{where} must be {expected}, got {type(value).__name__}")


def entry(record: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """``record[key]``, checked; ``where`` names the record for the message."""
    if key not in want(record, dict, where):
        raise FormatError(f"{where} has no {key!r}")
    return want(record[key], kind, f"{key!r} of {where}")
