"""What programs import and these tests do not need: web frameworks, libraries for maps."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Anything(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of these packages; whatever is asked of one is an empty class."""

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        found = name.partition(".")[0] in self.packages
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def exec_module(self, module: ModuleType) -> None:
        def named(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = named  # type: ignore[method-assign]


def absent(*packages: str) -> None:
    """Let these packages be imported where they are not installed."""
    sys.meta_path.append(_Anything(*packages))


def module_with(name: str, **members: Any) -> None:
    """A module that holds ``members`` and nothing else."""
    module = ModuleType(name)
    vars(module).update(members, __path__=[])
    sys.modules[name] = module


def package_without_init(name: str) -> None:
    """A package whose modules can be imported, and whose ``__init__`` is not run."""
    folder = next(Path(each) / name for each in sys.path if (Path(each) / name).is_dir())
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def definitions(path: Path, *names: str, **known: Any) -> dict[str, Any]:
    """Classes and functions of a script that does its work when it is imported; ``known`` are its globals."""
    tree = ast.parse(path.read_text("utf-8"))
    tree.body = [
        node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names
    ]
    assert len(tree.body) == len(names), f"{path} has no longer {names}"
    exec(compile(tree, str(path), "exec"), known)
    return {name: known[name] for name in names}
