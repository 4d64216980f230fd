"""What is in a built wheel beside the modules: files that programs look for in the installed package."""

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


def test_a_wheel_holds_every_file_of_the_package(tmp_path):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    package = ROOT / "everymask"
    for pattern in (
        "compat/sam2/configs/*/*.yaml",
        "export/web/*",
        "assets/*",
        "studio/web/**/*.*",
        "py.typed",
    ):
        found = [path.relative_to(ROOT).as_posix() for path in package.glob(pattern) if path.is_file()]
        assert found, pattern
        assert names.issuperset(found), pattern
    assert "everymask/compat/sam2/configs/sam2.1/sam2.1_hiera_b+.yaml" in names
