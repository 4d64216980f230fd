"""The project keeps itself in order: versions, wheel, dependencies, no traces of a machine."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import everymask as em

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WHEEL_LIMIT_BYTES = 25_000_000
MACHINE_PATHS = re.compile(r"(?<![\w.}])/(work|root|home/\w+|Users/\w+|tmp/\w+)/\w")
REGISTRY_HOSTS = re.compile(
    r"pypi\.org/simple|files\.pythonhosted\.org|download\.pytorch\.org|index-url\s*=?\s*https?://"
)
UNNAMED_ENCODING = re.compile(
    r"\.(read|write)_text\(\)|\.write_text\([^,()]*\)$|(?<![.\w])open\([^)]*\"[wra]t?\"\)"
)
CPU_TORCH = re.compile(r"--(extra-)?index-url https://download\.pytorch\.org/whl/cpu\b")
"""The documented way to a PyTorch without CUDA: users have to be able to paste it."""
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".cfg", ".json", ".html", ".js", ".css", ""}


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def tracked_texts() -> list[tuple[str, str]]:
    files = [path for path in tracked_files() if path.suffix in TEXT_SUFFIXES and path.stat().st_size < 10**6]
    return [(path.relative_to(ROOT).as_posix(), path.read_text("utf-8", errors="replace")) for path in files]


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["paths", "registry hosts"])
def test_no_traces_of_a_machine_in_tracked_files(pattern):
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_texts()
        if name != "tests/test_project.py"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(CPU_TORCH.sub("", line))
    ]
    assert not found, "\n".join(found)


def test_machine_paths_are_recognised():
    assert MACHINE_PATHS.search("open('/" + "work/main/photo.jpg')")
    assert MACHINE_PATHS.search("/home/ann/photos")
    assert not MACHINE_PATHS.search("docs/home/page.md, out/tmp/x, /tmp, https://x.org/work")


def test_the_documented_index_of_cpu_builds_is_no_trace():
    line = "pip install torch --index-url https://download." + "pytorch.org/whl/cpu"
    assert not REGISTRY_HOSTS.search(CPU_TORCH.sub("", line))
    assert REGISTRY_HOSTS.search(CPU_TORCH.sub("", line + " --index-url https://mirror.example"))


def test_version_is_the_newest_in_the_changelog():
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heading[1] == em.__version__


def test_every_dependency_is_pinned_in_the_constraints():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {_normal(line.split("==")[0]) for line in lines if "==" in line}
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {_normal(re.match(r"[\w.-]+", line)[0]) for group in groups for line in group}
    assert wanted - {"everymask"} <= pinned


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_extra_that_errors_name_exists():
    extras = PROJECT["project"]["optional-dependencies"].keys()
    sources = [path.read_text("utf-8") for path in (ROOT / "everymask").rglob("*.py")]
    named = {name for text in sources for name in re.findall(r'require\(\s*"[\w.]+",\s*"(\w+)"', text)}
    assert named <= extras | {"json"}
    assert named, "the pattern above no longer finds the calls of errors.require"


def test_the_page_on_installing_names_every_extra_that_users_install():
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    named = set(re.findall(r"^\| `everymask\[(\w+)\]`", text, re.MULTILINE))
    assert named == PROJECT["project"]["optional-dependencies"].keys() - {"docs", "dev"}


def test_all_holds_every_extra_that_users_install():
    (everything,) = PROJECT["project"]["optional-dependencies"]["all"]
    inside = set(re.fullmatch(r"everymask\[(.*)\]", everything)[1].split(","))
    assert inside == PROJECT["project"]["optional-dependencies"].keys() - {"all", "docs", "dev"}


def test_documentation_names_only_pages_that_exist():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = re.findall(r"^\s+- .*: ([\w/-]+\.md)$", text, re.MULTILINE)
    assert len(pages) > 10
    assert [page for page in pages if not (ROOT / "docs" / page).exists()] == []


def test_every_documentation_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}" not in text] == []


def test_wheel_holds_the_package_and_its_assets_and_is_small(tmp_path):
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling, which make setup installs")
    code = (
        "import sys; from hatchling.builders.wheel import WheelBuilder; "
        "print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=['standard'])))"
    )
    command = [sys.executable, "-c", code, str(ROOT), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assets = {"everymask/assets/photo.jpg", "everymask/assets/nano.safetensors", "everymask/assets/README.md"}
    assert assets <= names
    assert [name for name in names if not name.startswith(("everymask/", "everymask-"))] == []
    assert [name for name in names if "__pycache__" in name] == []
    assert wheel.stat().st_size < WHEEL_LIMIT_BYTES


def test_the_numerical_tests_that_make_names_exist():
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    named = re.search(r"^NUMERICAL := (.+)$", text, re.MULTILINE)[1].split()
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_version_to_cite_is_the_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (\S+)$", text, re.MULTILINE)[1] == em.__version__


def test_the_workflow_runs_the_two_commands_on_three_systems():
    yaml = pytest.importorskip("yaml")
    flow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    job = flow["jobs"]["test"]
    systems = {row["system"].split("-")[0] for row in job["strategy"]["matrix"]["include"]}
    assert systems == {"ubuntu", "macos", "windows"}
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make demo", "make test"]


def test_every_text_file_is_opened_with_a_named_encoding():
    """Windows would take its own code page."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "everymask").rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNNAMED_ENCODING.search(line)
    ]
    assert wrong == []
