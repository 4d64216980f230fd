"""``everymask models``, run through its typer app; a folder plays the labs' servers."""

import hashlib
import json
from dataclasses import replace

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from everymask.cli import main as cli
from everymask.cli.models import app
from everymask.cli.shared.downloads import size_text
from everymask.models import catalog

DATA = b"weights" * 1000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command on 60 columns with an empty cache and a mirror that has one small file."""
    entry = catalog.WeightsFile(
        "tiny_test", "tiny_test.pt", "https://x.invalid/tiny_test.pt", 7000, HASH, "CC0", "a test"
    )
    monkeypatch.setitem(catalog.CATALOG, "tiny_test", entry)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EVERYMASK_OFFLINE", raising=False)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "tiny_test.pt").write_bytes(DATA)
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("COLUMNS", "60")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def without_paths(text: str) -> list[str]:
    return [line for line in text.splitlines() if "/" not in line]


def test_list_names_every_model_with_size_licence_and_purpose(run):
    result = run("list")
    assert result.exit_code == 0
    assert "sam2.1_hiera_tiny        156 MB  Apache-2.0  -" in result.stdout
    assert "    photos and video, quick: the one to try first" in result.stdout
    assert all(name in result.stdout for name in catalog.CATALOG)


def test_list_fits_sixty_columns_and_has_no_colour_codes_in_a_pipe(run):
    text = run("list").stdout
    assert max(len(line) for line in without_paths(text)) <= 60
    assert "\x1b" not in text


def test_list_as_json_is_one_document(run):
    facts = {each["name"]: each for each in json.loads(run("list", "--json").stdout)}
    assert facts["sam_vit_h"]["size_bytes"] == 2_564_550_879
    assert facts["nano"]["bundled"] is True
    assert facts["tiny_test"]["cached"] is False


def test_pull_prints_the_path_alone_on_stdout_and_progress_on_stderr(run, tmp_path):
    result = run("pull", "tiny_test")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}/home/models/tiny_test.pt\n"
    assert "tiny_test: 7 kB of 7 kB (100%)" in result.stderr
    assert "cached" in next(line for line in run("list").stdout.splitlines() if "tiny_test" in line)


def test_pull_goes_on_after_a_failure_and_ends_with_one(run):
    result = run("pull", "sam_vit_b", "tiny_test")
    assert result.exit_code == 1
    assert "error: sam_vit_b cannot be read from" in result.stderr
    assert result.stdout.endswith("tiny_test.pt\n")


def test_pull_of_an_unknown_name_says_which_are_near(capsys):
    assert cli.run(["models", "pull", "sam_vit_x"]) == 2
    assert "no model is called 'sam_vit_x'; did you mean" in capsys.readouterr().err


def test_pull_of_a_file_without_published_hash_says_so(run, tmp_path, monkeypatch):
    (tmp_path / "mirror" / "sam_hq_vit_b.pth").write_bytes(DATA)
    monkeypatch.setitem(catalog.CATALOG, "sam_hq_vit_b", unhashed(catalog.CATALOG["sam_hq_vit_b"]))
    result = run("pull", "sam_hq_vit_b")
    assert result.exit_code == 0
    assert "note: no published SHA-256 of sam_hq_vit_b.pth is known to everymask" in result.stderr
    assert HASH in result.stderr


def unhashed(entry):
    return replace(entry, size_bytes=None, sha256=None, listed=False)


def test_a_file_that_is_not_the_listed_one_is_refused_with_a_way_out(run, tmp_path):
    (tmp_path / "mirror" / "edgetam.pt").write_bytes(DATA)
    assert "(listed: size and hash as mirrors have them)" in run("list").stdout.replace("\n    ", " ")
    result = run("pull", "edgetam")
    assert result.exit_code == 1
    assert "load it by its path" in result.stderr
    assert not list((tmp_path / "home/models").glob("edgetam.pt"))


def test_verify_tells_good_from_bad(run, tmp_path):
    run("pull", "tiny_test")
    good = run("verify", "tiny_test")
    assert (good.exit_code, good.stdout) == (0, "tiny_test: good, the published bytes\n")
    (tmp_path / "home/models/tiny_test.pt").write_bytes(DATA[::-1])
    bad = run("verify", "tiny_test")
    assert bad.exit_code == 1
    assert "everymask models rm tiny_test && everymask models pull tiny_test" in bad.stdout


def test_verify_of_an_absent_model_says_how_to_get_it(run):
    result = run("verify", "sam_vit_b")
    assert result.exit_code == 1
    assert "not here; fetch it with: everymask models pull sam_vit_b" in result.stdout


def test_verify_as_json(run):
    run("pull", "tiny_test")
    (verdict,) = json.loads(run("verify", "tiny_test", "--json").stdout)
    assert (verdict["state"], verdict["sha256"]) == ("good", HASH)


def test_rm_frees_the_space(run, tmp_path):
    run("pull", "tiny_test")
    result = run("rm", "tiny_test")
    assert (result.exit_code, result.stdout) == (0, "tiny_test: 7 kB freed\n")
    assert not (tmp_path / "home/models/tiny_test.pt").exists()


def test_rm_leaves_the_bundled_model_alone(run):
    result = run("rm", "nano")
    assert result.exit_code == 0
    assert "nano is part of the package and stays" in result.stderr


def test_info_of_a_name_that_is_not_here_gives_the_catalog(run):
    facts = json.loads(run("info", "sam2.1-hiera-tiny", "--json").stdout)
    assert facts["name"] == "sam2.1_hiera_tiny"
    assert facts["hub_id"] == "facebook/sam2.1-hiera-tiny"
    assert facts["cached"] is False


def test_info_recognises_a_checkpoint_from_its_keys(run, tmp_path):
    from everymask.models.load import build
    from everymask.models.specs import MODELS
    from everymask.models.weights import to_official

    model = build(MODELS["nano"])
    state = {key: value.contiguous() for key, value in to_official(model).items()}
    save_file(state, tmp_path / "unnamed.safetensors")
    facts = json.loads(run("info", str(tmp_path / "unnamed.safetensors"), "--json").stdout)
    assert (facts["architecture"], facts["family"], facts["video"]) == ("nano", "sam2", True)
    assert facts["parameters"] == sum(value.numel() for value in state.values() if value.is_floating_point())
    assert facts["dtypes"] == ["float32"]
    assert facts["published_as"] is None
    lines = run("info", str(tmp_path / "unnamed.safetensors")).stdout.splitlines()
    assert f"image size    {MODELS['nano'].image_size}" in lines


def test_info_of_neither_file_nor_name_is_an_error(run):
    from everymask.errors import CheckpointError, UnknownModelError

    for what in ("no/such/file", "file.pt"):
        error = run("info", what).exception
        assert type(error) is CheckpointError
        assert str(error) == f"there is no file {what}; give a weights file or a model's name"
    assert isinstance(run("info", "sam9").exception, UnknownModelError)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (40_728_226, "41 MB"),
        (2_564_550_879, "2.6 GB"),
        (None, "?"),
    ],
)
def test_sizes_read_as_on_download_pages(size_bytes, text):
    assert size_text(size_bytes) == text


def test_detectors_are_listed_with_their_licences(run):
    listed = run("list").stdout
    assert "llmdet_tiny" in listed
    rows = json.loads(run("list", "--json").stdout)
    row = next(each for each in rows if each["name"] == "llmdet_tiny")
    assert (row["licence"], row["used_by"], row["cached"]) == ("Apache-2.0", "everymask find", False)
