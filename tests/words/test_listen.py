"""Speech becomes commands: a grammar for text, pocketsphinx for sound.

espeak-ng spoke ``find_the_dog.ogg``.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from everymask import errors
from everymask.errors import InputError, MissingExtraError, PromptError
from everymask.words.listen import audio
from everymask.words.listen.commands import Command, grammar, read_command, within_vocabulary
from everymask.words.listen.sphinx import Hearable, Sphinx, hearable, with_a_room
from everymask.words.listen.understand import understand
from everymask.words.listen.vocabulary import EVERYDAY
from everymask.words.names import names

SPEECH = Path(__file__).parent / "find_the_dog.ogg"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("find the dog", Command("find", ("dog",))),
        ("Segment every red car, and all the trucks.", Command("find", ("red car", "trucks"))),
        ("please remove the bin", Command("erase", ("bin",))),
        ("delete a cat and the cat", Command("erase", ("cat",))),
        ("show me the way", Command("find", ("way",))),
        ("Undo!", Command("undo")),
        ("next image", Command("next")),
        ("previous photo", Command("previous")),
    ],
)
def test_sentences_are_commands(text, command):
    assert read_command(text) == command


@pytest.mark.parametrize("text", ["", "the dog", "find", "remove", "hello there"])
def test_what_is_no_command_is_told_with_what_can_be_said(text):
    with pytest.raises(PromptError, match=r"is no command; say find, segment, .* or undo, redo"):
        read_command(text)


def test_every_sentence_of_the_grammar_is_read_back():
    text = grammar(["red car", "Dog"])
    assert "<name> = red car | dog;" in text
    assert text.startswith("#JSGF V1.0;")


def test_names_without_a_pronunciation_are_told_apart():
    known = {"red", "car", "dog"}
    found = hearable(["Red Car", "dog", "xyzzy", "dog 7", "red xyzzy", "Dog"], lambda word: word in known)
    assert found == Hearable(("red car", "dog"), ("xyzzy", "dog 7", "red xyzzy"))


def test_everyday_names_are_all_known_to_lite():
    for name in EVERYDAY:
        assert names().meaning(name).classes


def test_zeros_get_a_rooms_noise_and_nothing_overflows():
    loud = with_a_room(np.full(100, 32767, np.int16))
    assert loud.dtype == np.int16
    assert loud[8050] > 32000
    assert 0 < np.abs(with_a_room(np.zeros(0, np.int16)).astype(float)).mean() < 100


def test_speech_in_a_file_is_understood():
    pytest.importorskip("pocketsphinx")
    heard = understand(SPEECH, ["dog", "cat", "truck", "qwxz"])
    assert heard.command == Command("find", ("dog",))
    assert heard.unknown == ("qwxz",)


def test_silence_is_no_command():
    pytest.importorskip("pocketsphinx")
    with pytest.raises(PromptError, match="no command"):
        understand(np.zeros(16000, np.int16), ["dog"])


def test_names_that_cannot_be_heard_at_all_are_refused():
    pytest.importorskip("pocketsphinx")
    with pytest.raises(PromptError, match="no pronunciation is known of qwxz"):
        Sphinx(["qwxz"])


@pytest.mark.parametrize(("suffix", "codec", "rate"), [("wav", "pcm_s16le", 8000), ("flac", "flac", 44100)])
def test_sound_files_become_mono_at_16_khz(tmp_path, suffix, codec, rate):
    av = pytest.importorskip("av")
    path = tmp_path / f"tone.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        wave = (np.sin(np.arange(rate) * 440 * 2 * np.pi / rate) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
        frame.rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    samples = audio.read_audio(path)
    assert samples.dtype == np.int16
    assert abs(len(samples) - 16000) < 50
    middle = np.abs(np.fft.rfft(samples[2000:10000].astype(float)))
    assert middle.argmax() == 220  # 440 Hz in half a second


def test_broken_missing_long_and_silent_files_are_one_line(tmp_path, monkeypatch):
    pytest.importorskip("av")
    (tmp_path / "broken.wav").write_bytes(b"RIFFxxxx")
    with pytest.raises(InputError, match=r"broken.wav' cannot be decoded as sound: [A-Z][^\[]*$"):
        audio.read_audio(tmp_path / "broken.wav")
    with pytest.raises(InputError, match="there is no sound file"):
        audio.read_audio(tmp_path / "none.wav")
    monkeypatch.setattr(audio, "LONGEST_S", 0.1)
    with pytest.raises(InputError, match="longer than"):
        audio.read_audio(SPEECH)


def test_heard_names_become_those_of_the_vocabulary():
    heard = Command("erase", ("red cars", "dog"))
    assert within_vocabulary(heard, ["Dog", "red car"]) == Command("erase", ("red car", "Dog"))
    assert within_vocabulary(Command("undo"), ["Dog"]) == Command("undo")
    assert within_vocabulary(Command("find", ("hat",)), ["cat", "Dog"]).words == ("hat",)


def test_a_missing_extra_or_microphone_is_one_line(monkeypatch):
    modules = __import__("sys").modules

    class NoMicrophone:
        @staticmethod
        def rec(*_, **__):
            raise type("PortAudioError", (Exception,), {})("Error querying device -1")

    monkeypatch.setitem(modules, "sounddevice", NoMicrophone)
    with pytest.raises(InputError, match="no microphone can be used: Error querying device -1; give a file"):
        audio.record()
    for module, act in (
        ("sounddevice", audio.record),
        ("av", lambda: audio.read_audio(SPEECH)),
        ("pocketsphinx", lambda: Sphinx(["dog"])),
    ):
        monkeypatch.setitem(modules, module, None)
        with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[voice\]'"):
            act()


def test_where_pocketsphinx_has_no_wheels_another_way_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.setattr(errors, "PYTHON", (3, 13))
    with pytest.raises(MissingExtraError, match=r"not installed; run: pip install 'everymask\[voice\]'"):
        Sphinx(["dog"])
    monkeypatch.setattr(errors, "PYTHON", (3, 14))
    with pytest.raises(MissingExtraError, match=r"no wheels for Python 3.14; .*models pull whisper_base"):
        Sphinx(["dog"])
