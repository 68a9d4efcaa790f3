"""The corpus maker: its noise and its refusals anywhere, its clips where eSpeak NG and scipy are installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.resources import workload_folder
from workloads.kws12 import synthesize as maker
from workloads.kws12.corpus import CLASS_NAMES, KEYWORDS, SILENCE, UNKNOWN, families_of, unknown_words_of
from workloads.kws12.features import mfcc, read_wav

_FEW = {SILENCE: 2, UNKNOWN: 2, "yes": 2, "stop": 1}


@pytest.fixture
def espeak() -> None:
    """Skip where the corpus can't be made."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    pytest.importorskip("scipy", reason="the extra accelsim[train] is not installed")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in eSpeak NG's place; tests write it."""
    if os.name != "posix":
        pytest.skip("stands in for the program with a shell script")
    path = tmp_path / "bin" / "espeak-ng"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", str(path.parent))
    maker._installed_voices.cache_clear()
    yield path
    maker._installed_voices.cache_clear()


def _script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("exponent", "decibels"), [(-2.0, 6.0), (-1.0, 3.0), (0.0, 0.0), (1.0, -3.0), (2.0, -6.0)])
def test_noise_has_the_slope_of_its_colour(exponent: float, decibels: float) -> None:
    noise = maker.coloured_noise(np.random.default_rng(5), 1 << 16, exponent)
    assert np.mean(noise**2) == pytest.approx(1.0)
    assert np.mean(noise) == pytest.approx(0.0, abs=1e-9)
    power = np.abs(np.fft.rfft(noise)) ** 2
    bins_hz = np.fft.rfftfreq(noise.size, 1 / 16000)
    octaves = [power[(bins_hz >= low) & (bins_hz < 2 * low)].mean() for low in (250, 500, 1000, 2000)]
    per_octave = np.diff(10 * np.log10(octaves)).mean()
    assert per_octave == pytest.approx(decibels, abs=0.5)


def test_wav_files_keep_every_sample(tmp_path: Path) -> None:
    audio = np.random.default_rng(1).integers(-32768, 32768, 16000).astype(np.int16)
    maker.write_wav(tmp_path / "a.wav", audio)
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav") * 32768, audio)


@pytest.mark.parametrize("ask", [families_of, unknown_words_of, lambda split: next(maker.synthesize(split))])
def test_an_unknown_split_is_refused(ask: object) -> None:
    with pytest.raises(InputError) as caught:
        ask("dev")  # type: ignore[operator]
    assert str(caught.value) == "keyword corpus: split: 'dev'; expected one of train, calib, test"


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(InputError, match="keyword corpus: class: 'maybe'; expected one of _silence_"):
        next(maker.synthesize("test", {"maybe": 1}))


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    maker._installed_voices.cache_clear()
    with pytest.raises(InputError, match="espeak-ng: not found on the path; expected eSpeak NG"):
        next(maker.synthesize("test", _FEW))


def test_a_missing_voice_is_named(program: Path) -> None:
    _script(program, "echo Pty Language; echo ' 5 en-us --/M x gmw/en-US'; echo ' 5 variant --/M f2 !v/f2   (en 5)'")
    with pytest.raises(InputError) as caught:
        next(maker.synthesize("test", _FEW))
    text = str(caught.value)
    assert "voices: does not have en-029, en-gb" in text
    assert "klatt" in text
    assert " f2" not in text
    assert "en-us," not in text


def test_a_failing_program_is_reported(program: Path) -> None:
    pytest.importorskip("scipy")
    _script(program, "echo no such device >&2; exit 3")
    with pytest.raises(InputError) as caught:
        maker.speak("yes", "en-us+f2")
    assert str(caught.value) == "espeak-ng: exit code 3: no such device"


def test_a_program_that_cannot_be_run_is_reported(program: Path) -> None:
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match=r"espeak-ng: .*No such file"):
        maker.espeak_version()


@pytest.mark.parametrize(("content", "text"), [(b"", "no sound"), (b"RIFFabcdWAVEjunk", "no sound")])
def test_a_program_that_writes_no_sound_is_reported(program: Path, content: bytes, text: str) -> None:
    pytest.importorskip("scipy")
    (program.parent / "out").write_bytes(content)
    _script(program, f"while read -r line; do echo \"$line\"; done < '{program.parent / 'out'}'")
    with pytest.raises(InputError, match=f"en-us.f2 saying 'yes': {text}"):
        maker.speak("yes", "en-us+f2")


def test_silence_where_speech_should_be_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    maker.write_wav(tmp_path / "zeros.wav", np.zeros(400, dtype=np.int16))
    monkeypatch.setattr(maker, "_espeak", lambda: "espeak-ng")
    monkeypatch.setattr(maker, "_run", lambda command: (tmp_path / "zeros.wav").read_bytes())
    with pytest.raises(InputError, match="saying 'yes': only zeros; expected sound"):
        maker.speak("yes", "en-us+f2")


@pytest.mark.usefixtures("espeak")
def test_clips_are_a_second_of_what_they_say_they_are() -> None:
    clips = list(maker.synthesize("test", _FEW))
    assert [CLASS_NAMES[clip.label] for clip in clips] == [SILENCE] * 2 + [UNKNOWN] * 2 + ["yes"] * 2 + ["stop"]
    for clip in clips:
        assert clip.audio.shape == (16000,)
        assert clip.audio.dtype == np.int16
    assert not clips[0].audio.any()
    assert all(clip.audio.any() for clip in clips[1:])


@pytest.mark.usefixtures("espeak")
def test_a_clip_depends_on_its_seed_and_on_no_other_clip() -> None:
    def audio(counts: dict[str, int], seed: int) -> list[np.ndarray]:
        return [clip.audio for clip in maker.synthesize("calib", counts, seed)]

    alone, among = audio({"go": 1}, 3), audio({"yes": 1, "go": 2}, 3)
    np.testing.assert_array_equal(alone[0], among[1])
    assert (audio({"go": 1}, 4)[0] != alone[0]).any()
    assert (among[1] != among[2]).any()


@pytest.mark.usefixtures("espeak")
def test_a_longer_vocal_tract_makes_the_word_longer_and_lower() -> None:
    short, long = (maker.speak("no", "en-us+m3", length_percent=percent) for percent in (100, 120))
    assert long.size / short.size == pytest.approx(1.2, rel=0.02)
    centre = [
        np.average(np.fft.rfftfreq(x.size, 1 / 16000), weights=np.abs(np.fft.rfft(x)) ** 2) for x in (short, long)
    ]
    assert centre[0] / centre[1] == pytest.approx(1.2, rel=0.1)


@pytest.mark.usefixtures("espeak")
def test_the_checked_in_clips_are_remade_bit_for_bit() -> None:
    report = json.loads((workload_folder("kws12") / "training.json").read_text(encoding="utf-8"))
    made_with = report["versions"]["espeak-ng"]
    if maker.espeak_version() != made_with:
        pytest.skip(f"the clips were made with {made_with}")
    with np.load(workload_folder("kws12") / "kws12_calib.npz") as file:
        features, words, voices = file["features"], file["words"], file["voices"]
    clips = list(maker.synthesize("calib"))
    assert [clip.word for clip in clips] == words.tolist()
    assert [clip.voice for clip in clips] == voices.tolist()
    remade = np.stack([mfcc(clip.audio / 32768.0) for clip in clips])
    # Another numpy or scipy may round a sample the other way, which is 1/32768 of the range.
    np.testing.assert_allclose(remade, features, atol=0.05)


@pytest.mark.usefixtures("espeak")
def test_the_command_writes_wav_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(maker.CLIPS_PER_CLASS, "calib", {SILENCE: 1, UNKNOWN: 1, KEYWORDS[0]: 1})
    monkeypatch.setattr(sys, "argv", ["synthesize", "--split", "calib", "--outpath", str(tmp_path)])
    assert maker.main() == 0
    written = sorted(tmp_path.glob("*/*.wav"))
    assert [path.parent.name for path in written] == [SILENCE, UNKNOWN, "yes"]
    for path, clip in zip(written, maker.synthesize("calib"), strict=True):
        np.testing.assert_array_equal(read_wav(path) * 32768, clip.audio)


def test_the_command_reports_a_mistake_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    maker._installed_voices.cache_clear()
    monkeypatch.setattr(sys, "argv", ["synthesize", "--outpath", str(tmp_path / "clips")])
    assert maker.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
