"""Every job of the cookbook, run as it stands on made files: small ones, with a coarse grid."""

import dataclasses

import pytest

from everymask.cli import main as cli
from everymask.everything import findings, generate
from tests.docs.pages import examples
from tests.docs.test_shell_examples import commands

PAGE = "docs/cookbook.md"
NOT_RUN = {"studio", "batch"}  # a server, and Ray: tests/studio and tests/batching run them


@pytest.fixture
def files(tmp_path, monkeypatch):
    pytest.importorskip("rasterio")
    from tests.docs.made_files import make_files

    make_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    for module in (generate, findings):
        fine = module.grids
        coarse = lambda options, fine=fine: fine(dataclasses.replace(options, points_per_side=4))  # noqa: E731
        monkeypatch.setattr(module, "grids", coarse)
    return tmp_path


def test_every_job_of_the_cookbook_runs_as_it_stands(files, capsys):
    for words in commands(PAGE):
        if words[0] not in NOT_RUN:
            assert cli.run(words) == 0, f"everymask {' '.join(words)}\n{capsys.readouterr().err}"
    for code in examples(PAGE, "python"):
        exec(compile(code, PAGE, "exec"), {})
    expected = [
        "yolo/yolo/data.yaml",
        "cells/labelmap",
        "transparent/cutouts",
        "white/cutouts",
        "fields/geojson",
        "tuned.toml",
        "tuned.html",
        "without.png",
        "review/label-studio.json",
        "reviewed/coco.json",
        "mine.safetensors",
        "compared/index.html",
        "sizes.csv",
    ]
    assert [name for name in expected if not (files / name).exists()] == []
