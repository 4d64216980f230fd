"""``everymask doctor``: what it finds, what it advises, and that it fits a narrow terminal."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from everymask.cli import checks
from everymask.cli.checks import Check, threads
from everymask.cli.doctor import doctor, in_words, verdict
from everymask.models import places


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "60")
    for setting in ("EVERYMASK_OFFLINE", "EVERYMASK_MIRROR"):
        monkeypatch.delenv(setting, raising=False)
    app = typer.Typer()
    app.command()(doctor)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def found(source) -> dict[str, Check]:
    return {check.name: check for check in source()}


def test_quick_doctor_reports_every_group_but_the_self_test(run):
    lines = run("--quick").stdout.splitlines()
    assert [line for line in lines if line in ("software", "extras", "machine", "weights", "self-test")] == [
        "software",
        "extras",
        "machine",
        "weights",
    ]


def test_report_fits_sixty_columns_without_colour_codes(run):
    text = run("--quick").stdout
    assert "\x1b" not in text
    too_long = [
        line for line in text.splitlines() if len(line) > 60 and "/" not in line and "Linux" not in line
    ]
    assert not too_long


def test_json_is_one_document_with_the_same_checks(run):
    report = json.loads(run("--quick", "--json").stdout)
    names = {check["name"] for check in report["checks"]}
    assert {"everymask", "python", "torch", "device", "threads", "bf16", "cache", "offline", "nano"} <= names
    assert report["works"] == all(check["state"] != "problem" for check in report["checks"])


@pytest.mark.full
def test_self_test_of_a_sound_installation_finds_the_cup_and_more(run):
    result = run("--json")
    steps = {
        each["name"]: each for each in json.loads(result.stdout)["checks"] if each["group"] == "self-test"
    }
    assert result.exit_code == 0
    assert list(steps) == ["load nano", "encode the photo", "one click", "everything"]
    assert steps["one click"]["value"] == "1 mask"
    assert all(step["seconds"] > 0 for step in steps.values())


def test_missing_bundled_model_is_a_problem_with_advice_and_exit_1(run, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "ASSETS", tmp_path)
    result = run("--quick")
    assert result.exit_code == 1
    assert "PROBLEM nano" in result.stdout
    assert "pip install --force-reinstall" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 problem: nano"


def test_self_test_that_stops_is_a_problem_not_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "ASSETS", tmp_path)
    (check,) = checks.self_test()
    assert (check.name, check.state) == ("stopped", "problem")
    assert "nano.safetensors should have come with the package" in check.value


def test_more_threads_than_cores_is_noted_with_the_setting():
    check = threads(8, 2)
    assert (check.state, check.value) == ("note", "8 of 2 cores")
    assert check.advice.endswith("export OMP_NUM_THREADS=2")


def test_missing_package_is_a_problem_with_the_command(monkeypatch):
    monkeypatch.setattr(checks, "PACKAGES", ("numpy", "no-such-package"))
    check = found(checks.software)["no-such-package"]
    assert (check.state, check.advice) == ("problem", "run: pip install no-such-package")


def test_missing_extra_is_only_a_note(monkeypatch):
    monkeypatch.setattr(checks, "EXTRAS", {"video": ("no_such_module", "video files")})
    check = found(checks.extras)["video"]
    assert (check.state, check.advice) == ("note", "for video files: pip install 'everymask[video]'")


def test_offline_setting_is_noted(monkeypatch):
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    assert found(checks.weights)["offline"].state == "note"


def test_cache_that_cannot_be_a_folder_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "file"))
    check = found(checks.weights)["cache"]
    assert check.state == "problem"
    assert "EVERYMASK_HOME" in check.advice


def test_little_disk_space_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path))
    usage = checks.shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    assert found(checks.weights)["cache"].state == "note"


def test_a_container_share_counts_as_cores(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_: "150000 100000\n")
    assert checks.usable_cores() <= 2


def test_verdict_names_the_problems():
    found = [
        Check("a", "one", "problem", ""),
        Check("a", "two", "ok", ""),
        Check("b", "three", "problem", ""),
    ]
    assert verdict(found) == "2 problems: one, three"


def test_doctor_says_in_words_what_half_precision_costs():
    slow = checks.bf16(0.0058, chosen=False)
    assert slow.value == "170 times slower than float32 in large products"
    assert slow.advice == "everything runs in float32 here; leave out --effort bf16 and dtype bfloat16"
    fast = checks.bf16(2.2, chosen=True)
    assert fast.value == "2.2 times as fast as float32 in large products"
    assert fast.advice.startswith("--effort fast and training use it")


def test_the_checks_are_told_in_words():
    sentences = in_words(
        [
            Check("machine", "device", "ok", "cuda, H200"),
            Check("machine", "threads", "ok", "2 of 2 cores"),
            Check("machine", "memory", "note", "1.0 GB available"),
            Check("extras", "video", "note", "not installed"),
            Check("extras", "geo", "note", "not installed"),
            Check("weights", "cached", "ok", "sam_vit_b (375 MB)"),
            Check("self-test", "one click", "ok", "1 mask", seconds=0.05),
            Check("self-test", "everything", "ok", "40 masks", seconds=1.25),
        ]
    )
    assert sentences == [
        "Models run on the graphics card (cuda, H200).",
        "Optional parts that are not here: video, geo. To get them: pip install 'everymask[video,geo]'",
        "Besides nano you have sam_vit_b (375 MB).",
        "nano finds every object of a small photo in 1.2 s here, and answers a click in 0.05 s.",
        "Worth a look above: memory.",
    ]
