"""Programs written for the official packages run with nothing changed but ``everymask.compat.`` put
before the package's name, and give the same masks.
"""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from tests.compat import test_sam2_image as sam2_tests
from tests.compat import test_segment_anything_image as sam_tests
from tests.compat.cases import PIXELS
from tests.parity.conftest import seeded_photo
from tests.parity.official import seeded_pair

EXAMPLES = Path(__file__).parent / "examples"


def moved(program: str, package: str) -> str:
    """The program with its imports from ``package`` moved to ours."""
    return re.sub(rf"^from {package}\b", f"from everymask.compat.{package}", program, flags=re.MULTILINE)


def masks_of(program: str, folder: Path, arguments: list[str], monkeypatch) -> dict[str, np.ndarray]:
    script, output = folder / "program.py", folder / "masks.npz"
    script.write_text(program)
    monkeypatch.setattr(sys, "argv", [str(script), *arguments, str(output)])
    runpy.run_path(str(script), run_name="__main__")
    return dict(np.load(output))


def assert_same_masks(ours, official):
    assert ours.keys() == official.keys()
    for name, masks in official.items():
        assert (ours[name].shape, ours[name].dtype) == (masks.shape, masks.dtype), name
        assert (ours[name] != masks).mean() <= PIXELS, name


@pytest.fixture
def photo_path(tmp_path):
    Image.fromarray(seeded_photo(90, 160)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_the_segment_anything_example_runs_with_its_import_changed(tmp_path, photo_path, monkeypatch):
    package = pytest.importorskip("segment_anything")
    _, official = sam_tests.models()
    torch.save(official.state_dict(), tmp_path / "sam.pth")
    monkeypatch.setitem(MODELS, "sam_vit_b", sam_tests.TINY)
    monkeypatch.setitem(package.sam_model_registry, "vit_b", lambda checkpoint: official)
    program = (EXAMPLES / "segment_anything_predictor.py").read_text()
    arguments = [str(tmp_path / "sam.pth"), photo_path]
    reference = masks_of(program, tmp_path, arguments, monkeypatch)
    ours = masks_of(moved(program, "segment_anything"), tmp_path, arguments, monkeypatch)
    assert_same_masks(ours, reference)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # the official transforms
def test_the_sam2_example_runs_with_its_import_changed(tmp_path, photo_path, monkeypatch):
    module = pytest.importorskip("sam2.sam2_image_predictor")
    import sam2.build_sam

    _, official = sam2_tests.models()
    torch.save({"model": official.state_dict()}, tmp_path / "sam2.pt")
    monkeypatch.setitem(MODELS, "sam2.1_hiera_tiny", sam2_tests.TINY)
    program = (EXAMPLES / "sam2_image_predictor.py").read_text()
    arguments = [str(tmp_path / "sam2.pt"), photo_path]
    ours = masks_of(moved(program, "sam2"), tmp_path, arguments, monkeypatch)
    monkeypatch.setattr(sam2.build_sam, "build_sam2", lambda config, checkpoint, device: official)
    original = module.SAM2ImagePredictor
    monkeypatch.setattr(module, "SAM2ImagePredictor", lambda model: sam2_tests.of_its_size(original(model)))
    assert_same_masks(ours, masks_of(program, tmp_path, arguments, monkeypatch))


# --- the published sizes, real photos, photos of 4000 px ----------------------------------------------


@pytest.fixture
def real_photo(request):
    folder = Path(__file__).parents[3] / "shared" / "photos"
    path = folder / "truck.jpg"
    if not path.is_file():
        pytest.skip("the photos are not beside the repository")
    return path


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "package"), [("sam_vit_b", "segment_anything"), ("sam2.1_hiera_tiny", "sam2")]
)
@pytest.mark.parametrize("shape", ["as it is", "portrait", "4000 px"])
def test_published_sizes_equal_the_official_ones_on_real_photos(real_photo, name, package, shape):
    from everymask.compat.sam2 import SAM2ImagePredictor
    from everymask.compat.segment_anything import SamPredictor
    from everymask.compat.segment_anything.modeling import Sam
    from tests.compat.cases import KINDS, assert_equal_answers, prompt

    with Image.open(real_photo) as picture:
        if shape == "portrait":
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        if shape == "4000 px":
            picture = picture.resize((4000, 2667))
        pixels = np.array(picture)
    ours, official = seeded_pair(MODELS[name])
    if package == "sam2":
        predictors = (
            SAM2ImagePredictor(ours),
            sam2_tests._unaltered(pytest.importorskip("sam2.sam2_image_predictor"), official),
        )
    else:
        from segment_anything import SamPredictor as OfficialPredictor

        predictors = (
            SamPredictor(build(MODELS[name], to_official(ours), kind=Sam)),
            OfficialPredictor(official),
        )
    for predictor in predictors:
        predictor.set_image(pixels)
    kinds = KINDS if shape == "as it is" else ("click", "box, clicks and mask")
    for kind in kinds:
        given = prompt(kind, pixels.shape[:2], (256, 256))
        assert_equal_answers(*(predictor.predict(**given) for predictor in predictors))
