"""The keyword model's front end on signals whose coefficients can be worked out."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from workloads.kws12.features import CLIP_SAMPLES, mfcc, read_wav

_RATE_HZ = 16_000


def _noise(samples: int = CLIP_SAMPLES, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples)


def _mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


def _hertz(mel: float) -> float:
    return 700.0 * (math.exp(mel / 1127.0) - 1.0)


def _corners_mel() -> list[float]:
    return [_mel(20.0) + i * (_mel(4000.0) - _mel(20.0)) / 41 for i in range(42)]


def _log_energies(coefficients: np.ndarray) -> np.ndarray:
    """Undo the cosine transform: float64[frames, 40 bands]."""
    band, k = np.arange(40)[:, None], np.arange(40)[None, :]
    inverse = math.sqrt(2 / 40) * np.cos(np.pi / 40 * k * (band + 0.5))
    inverse[:, 0] /= 2
    return coefficients.astype(np.float64) @ inverse.T


def test_digital_silence_is_the_floor_in_coefficient_0_alone() -> None:
    features = mfcc(np.zeros(CLIP_SAMPLES))
    assert features.shape == (25, 40)
    assert features.dtype == np.float32
    # 40 bands of ln(1e-12), times sqrt(2/40)
    np.testing.assert_allclose(features[:, 0], 40 * math.log(1e-12) * math.sqrt(2 / 40), rtol=1e-6)
    np.testing.assert_allclose(features[:, 1:], 0.0, atol=1e-10)


@pytest.mark.parametrize("band", [0, 5, 17, 30, 39])
def test_a_tone_at_the_centre_of_a_band_is_loudest_there(band: int) -> None:
    # The nearest bin: the lowest bands are little wider than a bin, and a tone between bins is spread over both.
    bin_hz = round(_hertz(_corners_mel()[band + 1]) / 15.625) * 15.625
    tone = 0.5 * np.sin(2 * np.pi * bin_hz * np.arange(CLIP_SAMPLES) / _RATE_HZ)
    assert (_log_energies(mfcc(tone)).argmax(axis=1) == band).all()


def test_a_tone_above_the_highest_band_is_hardly_heard() -> None:
    time = np.arange(CLIP_SAMPLES) / _RATE_HZ
    inside, above = (0.5 * np.sin(2 * np.pi * hertz * time) for hertz in (2000.0, 6000.0))
    assert mfcc(inside)[0, 0] - mfcc(above)[0, 0] > 15.0


def test_one_frame_equals_the_definition_written_out() -> None:
    frame = _noise(640)
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 640) for n in range(640)]
    corners = _corners_mel()
    energies = np.zeros(40)
    for k in range(1, 257):  # 4000 Hz is bin 256
        hertz = k * 15.625
        turn = np.exp(-2j * np.pi * k * np.arange(640) / 1024)
        magnitude = abs(np.sum(frame * hann * turn))
        for band in range(40):
            low, centre, high = corners[band : band + 3]
            if low < _mel(hertz) <= centre:
                energies[band] += magnitude * (_mel(hertz) - low) / (centre - low)
            elif centre < _mel(hertz) < high:
                energies[band] += magnitude * (high - _mel(hertz)) / (high - centre)
    expected = [
        math.sqrt(2 / 40) * sum(math.log(energies[b]) * math.cos(math.pi / 40 * k * (b + 0.5)) for b in range(40))
        for k in range(40)
    ]
    np.testing.assert_allclose(mfcc(frame)[0], expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(samples=st.integers(1, CLIP_SAMPLES - 1))
def test_a_short_clip_is_padded_with_zeros(samples: int) -> None:
    clip = _noise(samples)
    np.testing.assert_array_equal(mfcc(clip), mfcc(np.concatenate([clip, np.zeros(CLIP_SAMPLES - samples)])))


@settings(deadline=None)
@given(gain=st.floats(1e-3, 1.0))
def test_loudness_moves_coefficient_0_alone(gain: float) -> None:
    loud, quiet = mfcc(_noise()), mfcc(gain * _noise())
    np.testing.assert_allclose(quiet[:, 0] - loud[:, 0], math.sqrt(80) * math.log(gain), atol=1e-4)
    np.testing.assert_allclose(quiet[:, 1:], loud[:, 1:], atol=1e-5)


@settings(deadline=None)
@given(frame=st.integers(0, 24))
def test_frames_do_not_overlap(frame: int) -> None:
    clip = _noise()
    before = mfcc(clip)
    clip[frame * 640 : (frame + 1) * 640] = _noise(640, seed=4)
    assert set(np.flatnonzero((mfcc(clip) != before).any(axis=1))) == {frame}


@pytest.mark.parametrize(
    ("audio", "rate", "text"),
    [
        (np.zeros(CLIP_SAMPLES), 8000, "audio clip: sample rate: 8000 Hz; expected 16000 Hz"),
        (np.zeros((CLIP_SAMPLES, 2)), 16000, "audio clip: shape: (16000, 2); expected one axis, one channel"),
        (np.zeros(0), 16000, "audio clip: length: 0 samples; expected 1 to 16000"),
        (np.zeros(CLIP_SAMPLES + 1), 16000, "audio clip: length: 16001 samples; expected 1 to 16000"),
        (np.array([0.0, math.nan]), 16000, "is not a number or is out of range; expected all in [-1, 1]"),
        (np.array([0.0, -32768.0]), 16000, "is not a number or is out of range; expected all in [-1, 1]"),
        (["yes"], 16000, "audio clip: samples: no array of numbers"),
    ],
)
def test_a_wrong_clip_is_refused(audio: object, rate: int, text: str) -> None:
    with pytest.raises(InputError) as caught:
        mfcc(audio, rate)  # type: ignore[arg-type]
    assert text in str(caught.value)


def _wav(path: Path, data: bytes, channels: int = 1, width: int = 2, rate: int = _RATE_HZ) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def test_read_wav_scales_by_32768(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", np.array([0, 1, -32768, 32767], dtype="<i2").tobytes())
    samples = read_wav(path)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, np.array([0.0, 1 / 32768, -1.0, 32767 / 32768], dtype=np.float32))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"channels": 2}, "channels: 2; expected 1"),
        ({"width": 1}, "bits a sample: 8; expected 16"),
        ({"rate": 44100}, "sample rate: 44100 Hz; expected 16000 Hz"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, change: dict[str, int], text: str) -> None:
    path = _wav(tmp_path / "a.wav", bytes(8), **change)
    with pytest.raises(InputError) as caught:
        read_wav(path)
    assert str(caught.value) == f"{path}: {text}"


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", bytes(200))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError) as caught:
        read_wav(path)
    assert "150 bytes" in str(caught.value)
    assert "200 as the header says" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound at all, but long enough for a header"])
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"header: .*; expected a PCM WAV file"):
        read_wav(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_wav(tmp_path / "none.wav")
