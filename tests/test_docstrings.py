"""The examples in docstrings run and say what they print; every public name tells what it is."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import everymask as em

PACKAGE = Path(em.__file__).parent


def modules_with_examples() -> list[str]:
    """Dotted names of the modules that have a ``>>>`` in their source."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    return [".".join(("everymask", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in files]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_say_what_they_print(name):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.failed == 0


NAMES = sorted(set(em.__all__) - {"__version__", "MODELS", "errors"})
CLASSES = ("ImagePredictor", "AutomaticMaskGenerator", "VideoTracker", "MaskSet", "Mask")


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_a_docstring_that_opens_with_a_sentence(name):
    text = inspect.getdoc(getattr(em, name)) or ""
    assert text.split("\n\n")[0].rstrip().endswith((".", ":", "``", "]")), f"em.{name}: {text[:80]!r}"


@pytest.mark.parametrize("name", CLASSES)
def test_public_methods_have_docstrings(name):
    methods = [value for key, value in vars(getattr(em, name)).items() if not key.startswith("_")]
    undocumented = [each.__name__ for each in methods if inspect.isfunction(each) and not each.__doc__]
    assert not undocumented
