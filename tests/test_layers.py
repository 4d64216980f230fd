"""The house has floors: a module imports only from lower levels, or from its own room.

Read from the source (AST), so that imports inside functions count like those at the top. The table is
that of docs/design.md.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "everymask"

LEVEL_OF_ROOM = {
    "errors": 0,
    "quiet": 0,
    "geometry": 1,
    "opencv": 1,
    "pillow": 1,
    "tiff_tags": 1,
    "side_files": 1,
    "prompts": 1,
    "orientation": 2,
    "masks": 2,
    "maskset": 3,
    "nn": 3,
    "media": 4,
    "formats": 4,
    "models": 4,
    "image": 5,
    "everything": 5,
    "video": 5,
    "interop": 5,
    "compat": 6,
    "explore": 6,
    "export": 6,
    "words": 6,
    "inpaint": 6,
    "cli": 7,
    "evaluate": 7,
    "train": 7,
    "studio": 7,
    "batching": 7,
}
EDGE_LEVEL = 7
FRONT_DOOR = "the front door"
"""``import everymask`` and names like ``everymask.load``, which stand for any room: for the edges alone."""
FRONT_DOOR_LEVEL = 6

EXCEPTIONS = {
    # (importing file, imported room): why
    ("maskset.py", "formats"): "MaskSet.save is a convenience; imported when called",
    ("maskset.py", "media"): "MaskSet.draw and what notebooks show are conveniences; imported when called",
    ("maskset.py", "interop"): "MaskSet.to_pandas and its like are conveniences; imported when called",
}
EXCEPTIONS_AT_THE_EDGES = {
    # (importing file, imported room): why
    ("cli/train.py", "train"): "a command is the shell's door to its edge",
    ("cli/evaluate.py", "evaluate"): "a command is the shell's door to its edge",
    ("cli/batch.py", "batching"): "a command is the shell's door to its edge",
    ("batching/scoring.py", "evaluate"): "measured where a photo is done, by the measures of evaluate",
    ("cli/studio.py", "studio"): "a command is the shell's door to its edge",
}
MAY_PRINT = {"cli", "evaluate", "train", "studio", "batching"}


@dataclass(frozen=True)
class Import:
    file: str  # relative to the package, "masks/nms.py"
    line: int
    room: str  # of what is imported

    def __str__(self) -> str:
        return f"everymask/{self.file}:{self.line} imports {self.room}"


def room_of(file: str) -> str:
    """The room that a file of the package belongs to.

    ``masks/nms.py`` -> ``masks``, ``errors.py`` -> ``errors``.
    """
    return file.split("/")[0].removesuffix(".py")


def imports_of(source: str, file: str) -> list[Import]:
    """Every import of the package's own rooms, at the top or within a function."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for target in _targets(node, file):
            parts = target.split(".")
            if parts[0] == "everymask" and parts[1:] != ["__version__"]:
                room = parts[1] if parts[1:] and parts[1] in LEVEL_OF_ROOM else FRONT_DOOR
                found.append(Import(file, node.lineno, room))
    return found


def level_of(room: str) -> int:
    return FRONT_DOOR_LEVEL if room == FRONT_DOOR else LEVEL_OF_ROOM[room]


def _targets(node: ast.AST, file: str) -> list[str]:
    """The dotted modules that an import statement names, relative ones made absolute."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = ["everymask", *file.split("/")[:-1]]
    base = package[: len(package) - node.level + 1] if node.level else []
    module = [*base, *(node.module or "").split(".")] if node.module else base
    if module == ["everymask"]:  # from .. import errors; from everymask import geometry
        return [f"everymask.{alias.name}" for alias in node.names]
    return [".".join(module)]


def sources() -> list[tuple[str, str]]:
    """All files of the package but its two doors, which name rooms on purpose."""
    doors = PACKAGE / "__init__.py", PACKAGE / "__main__.py"
    files = sorted(path for path in PACKAGE.rglob("*.py") if path not in doors)
    return [(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")) for path in files]


def all_imports() -> list[Import]:
    return [each for file, source in sources() for each in imports_of(source, file)]


def test_imports_are_read_in_every_spelling():
    source = """
import everymask.masks.nms
from everymask.media import draw
from ..nn.records import Decoded
from .. import errors
from . import rle
def later():
    from ...formats import coco
"""
    assert [each.room for each in imports_of(source, "models/deep/file.py")] == [
        "masks",
        "media",
        "models",
        "models",
        "models",
        "formats",
    ]
    assert [each.room for each in imports_of("from .. import errors", "models/sam.py")] == ["errors"]
    assert [each.room for each in imports_of("from .errors import require", "image.py")] == ["errors"]
    assert [each.room for each in imports_of("from everymask import load", "cli/a.py")] == [FRONT_DOOR]
    assert [each.room for each in imports_of("import everymask as em", "cli/a.py")] == [FRONT_DOOR]
    assert imports_of("from .. import __version__", "cli/a.py") == []


def test_every_room_has_a_level():
    unknown = {room_of(file) for file, _ in sources()} - LEVEL_OF_ROOM.keys()
    assert not unknown, f"put these rooms into the table here and in docs/design.md: {sorted(unknown)}"


def test_design_document_gives_the_same_levels():
    text = (ROOT / "docs/design.md").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    level_line = {int(cells[1]): cells[2] for cells in rows}
    for room, level in LEVEL_OF_ROOM.items():
        assert f"`{room}" in level_line[level], f"docs/design.md does not list {room} at level {level}"


def test_modules_import_only_downward():
    wrong = [
        str(each)
        for each in all_imports()
        if (room := room_of(each.file)) != each.room
        and level_of(each.room) >= level_of(room)
        and level_of(room) < EDGE_LEVEL
        and (each.file, each.room) not in EXCEPTIONS
    ]
    assert not wrong, "\n".join(wrong)


def test_edges_do_not_import_each_other():
    wrong = [
        str(each)
        for each in all_imports()
        if (room := room_of(each.file)) != each.room
        and level_of(room) == EDGE_LEVEL == level_of(each.room)
        and (each.file, each.room) not in EXCEPTIONS_AT_THE_EDGES
    ]
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_imports_within_a_function():
    source = (PACKAGE / "maskset.py").read_text("utf-8")
    at_the_top = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    rooms = {
        target.split(".")[1]
        for node in at_the_top
        for target in _targets(node, "maskset.py")
        if "." in target
    }
    assert not rooms & {"formats", "media", "interop"}


def test_no_exception_is_left_over():
    used = {(each.file, each.room) for each in all_imports()}
    for file, room in EXCEPTIONS | EXCEPTIONS_AT_THE_EDGES:
        assert (file, room) in used, f"{file} no longer imports {room}; take the exception out"


def modules_imported(source: str, file: str, known: set[str]) -> set[str]:
    """The modules of ``known`` that a file imports when it runs, at the top or within a function."""
    found = set()
    for node in _running(ast.parse(source)):
        for target in _targets(node, file):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            inner = {f"{target}.{name}" for name in names} & known  # from everymask.media import draw
            found |= inner or ({target} & known)
    return found - {module_of(file)}


def module_of(file: str) -> str:
    return f"everymask/{file}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _running(child)


def test_imported_modules_are_those_that_run():
    known = {"everymask.media", "everymask.media.draw", "everymask.nn.records", "everymask.errors"}
    source = """
from typing import TYPE_CHECKING
from everymask.media import draw
if TYPE_CHECKING:
    from everymask.nn.records import Decoded
def later():
    from ..errors import OptionError
"""
    assert modules_imported(source, "models/sam.py", known) == {"everymask.media.draw", "everymask.errors"}


def test_no_modules_import_each_other_in_a_circle():
    texts = {module_of(file): (file, text) for file, text in sources()}
    upward = {(module_of(file), room) for file, room in EXCEPTIONS}
    graph = {
        name: {
            other
            for other in modules_imported(text, file, set(texts))
            if (name, other.split(".")[1]) not in upward
        }
        for name, (file, text) in texts.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]) + ": put what both need into a module of its own")


def prints_in(source: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


@pytest.mark.parametrize("room", sorted(LEVEL_OF_ROOM.keys() - MAY_PRINT))
def test_no_print_below_the_edges(room):
    wrong = [f"{file}:{n}" for file, text in sources() if room_of(file) == room for n in prints_in(text)]
    assert not wrong, f"return a value or take a callback instead of printing: {wrong}"


EFFECTS = ("set_num_threads", "basicConfig", "manual_seed", "set_default_device", "set_default_dtype")


def test_importing_changes_no_global_setting():
    wrong = []
    for file, source in sources():
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                continue
            calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
            names = [node.func.attr for node in calls if isinstance(node.func, ast.Attribute)]
            wrong += [f"{file}:{statement.lineno} {name}" for name in names if name in EFFECTS]
    assert not wrong, "\n".join(wrong)
