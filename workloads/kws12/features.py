"""The keyword model's front end: 25 frames of 40 mel-frequency cepstral coefficients from one second of audio.

numpy alone, so that a clip can be turned into the network's input wherever the simulator runs.
"""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError

SAMPLE_RATE_HZ = 16_000
"""The rate the front end is defined at."""

CLIP_SAMPLES = 16_000
"""Length of a clip in samples: one second."""

FRAMES = 25
"""Time steps of a clip."""

COEFFICIENTS = 40
"""Cepstral coefficients of a frame; as many as mel bands."""

_WINDOW_SAMPLES = 640  # 40 ms, and the stride too: windows do not overlap
_FFT_SAMPLES = 1024  # the next power of two above the window
_LOWEST_HZ = 20.0
_HIGHEST_HZ = 4000.0
_FLOOR = 1e-12  # keeps the logarithm of digital silence finite: ln(1e-12) = -27.6 in every band

FloatArray = npt.NDArray[np.float64]


def mfcc(audio: npt.ArrayLike, sample_rate: int = SAMPLE_RATE_HZ) -> npt.NDArray[np.float32]:
    """Mel-frequency cepstral coefficients of one clip.

    Parameters
    ----------
    audio : float32[samples]
        Samples in [-1, 1]; a clip shorter than one second is padded with zeros at its end.
    sample_rate : int
        Samples a second; 16,000 is the only rate the front end is defined for.

    Returns
    -------
    float32[25, 40]
        Time step first; neither scaled nor normalized.

    Raises
    ------
    InputError
        For another rate, more than one channel, an empty clip, one longer than a second, or samples that are no
        numbers or outside [-1, 1].

    Notes
    -----
    Source: the front end of TensorFlow's speech_commands example: power-of-two Fourier transform of periodic Hann
    windows, triangular bands on the mel scale over the magnitude (not the power), logarithm, and a discrete cosine
    transform of type II scaled by sqrt(2 / bands).
    """
    samples = _checked_clip(audio, sample_rate)
    padded = np.zeros(CLIP_SAMPLES)
    padded[: samples.size] = samples
    frames = padded.reshape(FRAMES, _WINDOW_SAMPLES) * _periodic_hann()
    magnitude = np.abs(np.fft.rfft(frames, n=_FFT_SAMPLES, axis=1))
    energies = magnitude @ _mel_bands()
    return (np.log(np.maximum(energies, _FLOOR)) @ _cosine_transform()).astype(np.float32)


def read_wav(path: str | Path) -> npt.NDArray[np.float32]:
    """Read a WAV file of 16-bit samples, one channel, 16 kHz.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    float32[samples]
        Samples divided by 32,768, hence in [-1, 1).

    Raises
    ------
    InputError
        If the file can't be read, is no WAV file, is cut short, or has another rate, width or number of channels.
    """
    try:
        with wave.open(str(path), "rb") as file:
            found = file.getparams()
            data = file.readframes(found.nframes)
    except OSError as error:
        raise InputError(path, "", error.strerror or str(error)) from error
    except (wave.Error, EOFError) as error:
        raise InputError(path, "header", str(error) or "the file ends early", "a PCM WAV file") from error
    if found.nchannels != 1:
        raise InputError(path, "channels", str(found.nchannels), "1")
    if found.sampwidth != 2:
        raise InputError(path, "bits a sample", str(8 * found.sampwidth), "16")
    if found.framerate != SAMPLE_RATE_HZ:
        raise InputError(path, "sample rate", f"{found.framerate} Hz", f"{SAMPLE_RATE_HZ} Hz")
    if len(data) != 2 * found.nframes:
        raise InputError(path, "data", f"{len(data)} bytes", f"{2 * found.nframes} as the header says")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32768)


def _checked_clip(audio: npt.ArrayLike, sample_rate: int) -> FloatArray:
    try:
        samples = np.asarray(audio, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("audio clip", "samples", f"no array of numbers: {error}") from error
    if sample_rate != SAMPLE_RATE_HZ:
        raise InputError("audio clip", "sample rate", f"{sample_rate} Hz", f"{SAMPLE_RATE_HZ} Hz")
    if samples.ndim != 1:
        raise InputError("audio clip", "shape", str(samples.shape), "one axis, one channel")
    if not 0 < samples.size <= CLIP_SAMPLES:
        raise InputError("audio clip", "length", f"{samples.size} samples", f"1 to {CLIP_SAMPLES}")
    if not np.all(np.abs(samples) <= 1.0):  # false for NaN too
        raise InputError("audio clip", "samples", "a value that is not a number or is out of range", "all in [-1, 1]")
    return samples


@cache
def _periodic_hann() -> FloatArray:
    """float64[640]: Hann window of period 640, which a symmetric one (period 639) is not."""
    phase = 2.0 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES
    return 0.5 - 0.5 * np.cos(phase)


def _mel(frequency_hz: npt.ArrayLike) -> FloatArray:
    """Mel scale. Source: O'Shaughnessy, "Speech Communication" (1987): 1127 ln(1 + f / 700 Hz)."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0)


@cache
def _mel_bands() -> FloatArray:
    """float64[513, 40]: triangles whose corners are evenly spaced in mel; band b rises from corner b to b + 1.

    Bins below the lowest or above the highest frequency belong to no band.
    """
    bins_hz = np.arange(_FFT_SAMPLES // 2 + 1) * (SAMPLE_RATE_HZ / _FFT_SAMPLES)
    bins_mel = _mel(bins_hz)[:, None]
    corners = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), COEFFICIENTS + 2)
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    triangles: FloatArray = np.minimum((bins_mel - low) / (centre - low), (high - bins_mel) / (high - centre))
    return np.maximum(triangles, 0.0)


@cache
def _cosine_transform() -> FloatArray:
    """float64[40 bands, 40 coefficients]: DCT-II scaled by sqrt(2 / bands), coefficient 0 included."""
    band = np.arange(COEFFICIENTS)[:, None] + 0.5
    coefficient = np.arange(COEFFICIENTS)[None, :]
    transform: FloatArray = np.sqrt(2.0 / COEFFICIENTS) * np.cos(np.pi / COEFFICIENTS * band * coefficient)
    return transform
