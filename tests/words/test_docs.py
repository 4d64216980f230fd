"""The examples of docs/words.md run as they stand, beside the bundled photos."""

import shutil
from pathlib import Path

import everymask as em
from tests.docs.pages import examples


def test_the_tour_of_words(tmp_path, monkeypatch, capsys):
    for name in ("photo.jpg", "cat.jpg"):
        shutil.copyfile(Path(em.__file__).parent / "assets" / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    names: dict[str, object] = {}
    for code in examples("docs/words.md", "python"):
        exec(compile(code, "docs/words.md", "exec"), names)
    assert capsys.readouterr().out.startswith("cat 0.")
    assert names["without"].shape == (400, 600, 3)
