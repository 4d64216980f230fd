"""Whisper on a small random model: opened without a network, its text that of `transformers`."""

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from everymask.errors import CheckpointError, MissingExtraError, OfflineError, OptionError, PromptError
from everymask.words.listen import recogniser as table
from everymask.words.listen import whisper
from everymask.words.listen.audio import read_audio
from everymask.words.listen.recogniser import open_recogniser, recogniser_name
from everymask.words.listen.understand import understand
from everymask.words.listen.weights import WHISPERS
from tests.parity.torchvision_standin import hidden

with hidden():
    tiny = pytest.importorskip("tests.words.tiny", reason="needs transformers")

pytestmark = pytest.mark.filterwarnings("ignore")
SPEECH = Path(__file__).parent / "find_the_dog.ogg"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("somebody went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with hidden():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture
def speech():
    pytest.importorskip("av")
    return read_audio(SPEECH)


def test_the_text_is_that_of_transformers(folder, speech):
    ours = whisper.Whisper(folder)
    features = ours.processor(speech / 32768.0, sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        tokens = ours.model.generate(features, language="en", task="transcribe", max_new_tokens=24)
    theirs = ours.processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert theirs
    assert ours.transcribe(speech) == theirs


def test_a_model_for_english_alone_is_told_no_language(tmp_path, speech):
    ours = whisper.Whisper(tiny.whisper(tmp_path / "english", several_languages=False))
    assert isinstance(ours.transcribe(speech), str)


def test_what_it_hears_becomes_a_command_of_the_vocabulary(folder, speech, monkeypatch):
    for heard, words in ((" Find the dogs.", ("dog",)), ("Remove the red car, please", ("red car",))):
        monkeypatch.setattr(whisper.Whisper, "transcribe", lambda self, samples, heard=heard: heard.strip())
        assert understand(speech, ["dog", "red car"], str(folder)).command.words == words
    monkeypatch.setattr(whisper.Whisper, "transcribe", lambda self, samples: "find the purple elephant")
    assert understand(speech, None, str(folder)).command.words == ("purple elephant",)
    monkeypatch.setattr(whisper.Whisper, "transcribe", lambda self, samples: "Thank you.")
    with pytest.raises(PromptError, match="is no command"):
        understand(speech, None, str(folder))


def test_weights_come_by_our_own_download_and_become_the_default(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "mirror" / "whisper_base")
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    assert recogniser_name(None) == "pocketsphinx"
    assert open_recogniser("whisper_base", ["dog"]).name == "whisper_base"
    assert recogniser_name(None) == "whisper_base"
    assert (WHISPERS["whisper_base"].folder / "model.safetensors.sha256").is_file()
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    with pytest.raises(OfflineError, match="whisper_tiny is not in the cache"):
        open_recogniser("whisper_tiny", ["dog"])
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda name: None)
    assert recogniser_name(None) == "pocketsphinx"


def test_what_is_missing_or_wrong_is_one_line(folder, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="recogniser must be one of pocketsphinx, whisper_small"):
        open_recogniser("magic", ["dog"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is no Whisper that transformers opens") as told:
        open_recogniser(str(tmp_path / "empty"), ["dog"])
    assert "\n" not in str(told.value)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[text\]'"):
        open_recogniser(str(folder), ["dog"])
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[whisper\]'"):
        open_recogniser("faster_whisper_base", ["dog"])


@pytest.fixture(scope="module")
def converted(folder, tmp_path_factory):
    """The same weights as CTranslate2 wants them."""
    pytest.importorskip("faster_whisper")
    from ctranslate2.converters import TransformersConverter

    target = tmp_path_factory.mktemp("faster") / "tiny"
    with hidden():
        TransformersConverter(str(folder), copy_files=["tokenizer.json"]).convert(str(target))
    return target


def test_faster_whisper_hears_with_the_same_weights(converted, speech):
    ears = open_recogniser(str(converted), ["dog"])
    assert ears.name == "tiny"
    assert isinstance(ears.transcribe(speech), str)
    assert ears.transcribe(np.zeros(1600, np.int16)) == ears.transcribe(np.zeros(1600, np.int16))


def test_a_folder_without_a_tokenizer_is_refused_before_it_is_looked_for_elsewhere(converted, tmp_path):
    shutil.copytree(converted, tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer.json"):
        open_recogniser(str(tmp_path / "bare"), ["dog"])
    (tmp_path / "bare" / "tokenizer.json").write_text("{}")
    (tmp_path / "bare" / "model.bin").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="is no Whisper that CTranslate2 opens"):
        open_recogniser(str(tmp_path / "bare"), ["dog"])
