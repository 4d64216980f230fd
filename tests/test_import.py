"""``import everymask`` is quick, lazy and complete."""

import subprocess
import sys

import pytest

import everymask as em

HEAVY = ("torch", "cv2", "numpy", "PIL", "pycocotools", "av", "rich", "typer")


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_takes_less_than_three_tenths_of_a_second():
    # Processor time, so that what else the machine does is not counted.
    code = "import time; t = time.process_time(); import everymask; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.3


def test_import_loads_no_heavy_package():
    code = f"import sys, everymask; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code).strip() == "[]"


def test_looking_at_the_names_loads_no_heavy_package():
    code = f"import sys, everymask; dir(everymask); print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code).strip() == "[]"


@pytest.mark.parametrize("name", em.__all__)
def test_every_public_name_can_be_used_first(name):
    assert getattr(em, name) is not None


def test_the_table_of_lazy_names_and_all_say_the_same():
    assert sorted(em.__all__) == sorted({*em._HOME_OF, "errors", "__version__"})


def test_dir_lists_names_that_were_not_used_yet():
    assert "VideoTracker" in python("import everymask; print(dir(everymask))")


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'everymask' has no attribute 'segmnet'"):
        em.segmnet  # noqa: B018


def test_star_import_gives_the_public_names():
    assert python("from everymask import *; print(EverymaskError.__name__)").strip() == "EverymaskError"


def test_a_first_run_imports_no_compiler():
    code = """
import sys
import numpy as np, torch, everymask as em
before = set(sys.modules)
photo = np.zeros((64, 96, 3), np.uint8)
model = em.load("nano", device="cpu")
em.AutomaticMaskGenerator(model, points_per_side=2).generate(photo)
predictor = em.ImagePredictor(model)
predictor.set_image(photo)
predictor.predict(points=[(20, 30)], labels=[1])
print([name for name in ("sympy", "torch._dynamo", "torch._inductor") if name in set(sys.modules) - before])
"""
    assert python(code).strip() == "[]"
