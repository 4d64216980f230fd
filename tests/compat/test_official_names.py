"""Every module, class, method and function of the official packages is there, with their arguments."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

NOT_HERE = {
    "sam2.benchmark",  # a script
    "sam2.sam2_video_predictor_legacy",  # kept there for old states
    "sam2.utils.misc.AsyncVideoFrameLoader.__init__",  # frames come from any source
    "sam2.sam2_video_predictor.SAM2VideoPredictorVOS._compile_all_components",  # nothing is compiled
}


def modules(package):
    official = pytest.importorskip(package)
    names = [each.name for each in pkgutil.walk_packages(official.__path__, package + ".")]
    return [name for name in names if name not in NOT_HERE]


def own(module):
    """What a module defines itself, public or not."""
    return {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("__")
    }


def arguments(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def lacking(function, official):
    """Arguments that can be given by name there and not here."""
    ours = arguments(function)
    if any(each.kind is each.VAR_KEYWORD for each in ours.values()):
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, value in arguments(official).items() if value.kind in named and name not in ours]


@pytest.mark.parametrize("package", ["segment_anything", "sam2"])
def test_names_and_arguments_are_there(package):
    faults = []
    for name in modules(package):
        official = importlib.import_module(name)
        ours = importlib.import_module(f"everymask.compat.{name}")
        for key, value in own(official).items():
            mine = getattr(ours, key, None)
            if mine is None:
                faults.append(f"{name}.{key} is missing")
                continue
            if inspect.isfunction(value):
                faults += [f"{name}.{key}({each}=)" for each in lacking(mine, value)]
            if not inspect.isclass(value):
                continue
            for method, what in vars(value).items():
                where = f"{name}.{key}.{method}"
                if where in NOT_HERE or (method.startswith("__") and method != "__init__"):
                    continue
                if not hasattr(mine, method):
                    faults.append(f"{where} is missing")
                elif inspect.isfunction(what):
                    faults += [f"{where}({each}=)" for each in lacking(getattr(mine, method), what)]
    assert not faults, "\n".join(faults)
