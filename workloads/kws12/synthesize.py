"""Make the keyword corpus: one-second clips spoken by eSpeak NG, with noise made here.

    python -m workloads.kws12.synthesize --split test --outpath clips

writes the clips of a split as WAV files. The same seed, eSpeak NG, numpy and scipy give the same samples. Needs the
program `espeak-ng` and the extra `accelsim[train]`.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError
from workloads.kws12.corpus import (
    ACCENTS,
    CLASS_NAMES,
    KEYWORDS,
    SILENCE,
    SPLITS,
    UNKNOWN,
    Split,
    families_of,
    unknown_words_of,
)
from workloads.kws12.features import CLIP_SAMPLES, SAMPLE_RATE_HZ

SEED = 12
"""Seed of the checked-in artefacts."""

CLIPS_PER_CLASS: dict[Split, dict[str, int]] = {
    "train": {SILENCE: 900, UNKNOWN: 5400, **dict.fromkeys(KEYWORDS, 1500)},
    "calib": {SILENCE: 8, UNKNOWN: 12, **dict.fromkeys(KEYWORDS, 4)},
    "test": {SILENCE: 4, UNKNOWN: 6, **dict.fromkeys(KEYWORDS, 4)},
}
"""Clips of each class in each split of the checked-in artefacts."""

_PROGRAM = "espeak-ng"
_PROGRAM_SECONDS = 30.0
_INT16_MAX = 32767
# Power of coloured noise falls as frequency to this exponent: violet, blue, white, pink, brown.
_NOISE_EXPONENTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_SILENCE_PERIOD = 100  # one silence clip in this many is all zeros

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """One second of audio and what it holds.

    Attributes
    ----------
    audio : int16[16000]
        The samples as a WAV file holds them, so that features taken from the file are the same.
    label : int
        Index into `CLASS_NAMES`.
    word : str
        The word said; for silence what is heard instead.
    voice : str
        `accent+variant`; empty for silence.
    """

    audio: npt.NDArray[np.int16]
    label: int
    word: str
    voice: str


def synthesize(split: Split, clips_per_class: Mapping[str, int] | None = None, seed: int = SEED) -> Iterator[Clip]:
    """Make the clips of a split, class by class.

    Every clip has a random generator of its own, seeded by `seed`, split, class and number: asking for more clips of a
    class leaves the others as they were. Unknown words are taken in turn, voices at random from the split's.

    Parameters
    ----------
    split : {"train", "calib", "test"}
        Which voices speak.
    clips_per_class : mapping of class name to int, optional
        How many; `CLIPS_PER_CLASS[split]` if not given.
    seed : int
        Seed of everything random.

    Raises
    ------
    InputError
        If there is no such split or class, or eSpeak NG is missing, fails, or lacks a voice of the split.
    """
    families = families_of(split)
    counts = CLIPS_PER_CLASS[split] if clips_per_class is None else clips_per_class
    for name in counts:
        if name not in CLASS_NAMES:
            raise InputError("keyword corpus", "class", repr(name), "one of " + ", ".join(CLASS_NAMES))
    _check_voices(split)
    unknown = unknown_words_of(split)
    for label, class_name in enumerate(CLASS_NAMES):
        for number in range(counts.get(class_name, 0)):
            rng = np.random.default_rng([seed, SPLITS.index(split), label, number])
            if class_name == SILENCE:
                # The first is digital silence: the extreme of coefficient 0, which calibration must have met.
                digital = number % _SILENCE_PERIOD == 0
                audio, word = (np.zeros(CLIP_SAMPLES), "zeros") if digital else _background(rng)
                voice = ""
            else:
                word = unknown[number % len(unknown)] if class_name == UNKNOWN else class_name
                family = families[rng.integers(len(families))]
                voice = f"{_pick(rng, ACCENTS)}+{_pick(rng, family)}"
                # Training voices are stretched to sound like more speakers than there are; the others are left alone.
                length_percent = int(rng.integers(86, 117)) if split == "train" else 100
                audio = _spoken_clip(rng, word, voice, length_percent)
            yield Clip(np.round(audio * _INT16_MAX).astype(np.int16), label, word, voice)


def speak(word: str, voice: str, words_per_minute: int = 160, pitch: int = 50, length_percent: int = 100) -> FloatArray:
    """Let eSpeak NG say a word.

    Parameters
    ----------
    word : str
        What to say.
    voice : str
        `accent+variant`.
    words_per_minute : int
        Speed, from 80.
    pitch : int
        0 to 99; 50 is the voice's own.
    length_percent : int
        Play the word this much longer, which lowers pitch and formants alike as a longer vocal tract does.

    Returns
    -------
    float64[samples]
        At 16 kHz in [-1, 1], silence before and after removed.

    Raises
    ------
    InputError
        If eSpeak NG is missing, fails, or gives no sound.
    """
    from scipy.signal import resample_poly

    command = [_espeak(), "-z", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", word]
    output = _run(command)
    try:
        with wave.open(io.BytesIO(output), "rb") as file:
            rate_hz = file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise InputError(_PROGRAM, f"{voice} saying {word!r}", f"no sound: {error}", "a WAV file") from error
    spoken = np.frombuffer(data, dtype="<i2") / 32768.0
    up, down = SAMPLE_RATE_HZ * length_percent, rate_hz * 100
    divisor = math.gcd(up, down)
    resampled: FloatArray = resample_poly(spoken, up // divisor, down // divisor)
    peak = np.abs(resampled).max(initial=0.0)
    if peak == 0.0:
        raise InputError(_PROGRAM, f"{voice} saying {word!r}", "only zeros", "sound")
    loud = np.flatnonzero(np.abs(resampled) > 0.01 * peak)
    word_alone: FloatArray = resampled[loud[0] : loud[-1] + 1] / max(1.0, peak)
    return word_alone


def coloured_noise(rng: np.random.Generator, samples: int, exponent: float) -> FloatArray:
    """Gaussian noise whose power falls as frequency to `exponent`: 0 white, 1 pink, 2 brown, -1 blue, -2 violet.

    Returns
    -------
    float64[samples]
        Of root mean square 1 and mean 0.
    """
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    # Bin 0 is dropped below; 20 Hz bounds what brown noise puts into the lowest ones.
    bins_hz = np.maximum(np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE_HZ), 20.0)
    spectrum *= bins_hz ** (-exponent / 2.0)
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, n=samples)
    normalized: FloatArray = noise / np.sqrt(np.mean(noise**2))
    return normalized


def write_wav(path: Path, audio: npt.NDArray[np.int16]) -> None:
    """Write `int16[samples]` as a WAV file of one channel at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(audio.astype("<i2").tobytes())


def _spoken_clip(rng: np.random.Generator, word: str, voice: str, length_percent: int) -> FloatArray:
    """float64[16000]: a word at a random speed, pitch, loudness, tilt and place, over noise."""
    words_per_minute, pitch = int(rng.integers(120, 211)), int(rng.integers(25, 76))
    speech = speak(word, voice, words_per_minute, pitch, length_percent)[:CLIP_SAMPLES]
    speech = _tilted(rng, speech)
    speech *= _from_decibels(rng.uniform(-18.0, -1.0)) / np.abs(speech).max()
    start = int(rng.integers(0, CLIP_SAMPLES - speech.size + 1))
    clip = np.zeros(CLIP_SAMPLES)
    clip[start : start + speech.size] = speech
    below_speech = rng.uniform(8.0, 45.0)
    noise = coloured_noise(rng, CLIP_SAMPLES, rng.choice(_NOISE_EXPONENTS))
    clip += noise * np.sqrt(np.mean(speech**2)) / _from_decibels(below_speech)
    return np.clip(clip, -1.0, 1.0)


def _background(rng: np.random.Generator) -> tuple[FloatArray, str]:
    """float64[16000] without speech, and its name: noise of some colour, or mains hum and noise."""
    clip = coloured_noise(rng, CLIP_SAMPLES, rng.choice(_NOISE_EXPONENTS))
    name = "noise"
    if rng.random() < 0.25:
        time = np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ
        mains_hz = rng.choice([50.0, 60.0])
        for harmonic in range(1, 6):
            clip += rng.uniform(0.0, 2.0) * np.sin(2 * np.pi * (mains_hz * harmonic * time + rng.random()))
        name = "hum"
    clip *= _from_decibels(rng.uniform(-70.0, -20.0)) / np.sqrt(np.mean(clip**2))
    return np.clip(clip, -1.0, 1.0), name


def _tilted(rng: np.random.Generator, speech: FloatArray) -> FloatArray:
    """float64[samples]: speech with up to 4 dB an octave taken from or given to the treble, as microphones do."""
    decibels_per_octave = rng.uniform(-4.0, 4.0)
    spectrum = np.fft.rfft(speech)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(speech.size, 1.0 / SAMPLE_RATE_HZ), 50.0) / 1000.0)
    return np.fft.irfft(spectrum * 10.0 ** (decibels_per_octave * octaves / 20.0), n=speech.size)


def _from_decibels(level: float) -> float:
    return float(10.0 ** (level / 20.0))


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


def _espeak() -> str:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise InputError(_PROGRAM, "", "not found on the path", "eSpeak NG (Debian package espeak-ng)")
    return program


def _run(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PROGRAM_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(_PROGRAM, "", str(error)) from error
    if done.returncode != 0:
        raise InputError(_PROGRAM, f"exit code {done.returncode}", done.stderr.decode(errors="replace").strip())
    return done.stdout


def espeak_version() -> str:
    """What `espeak-ng --version` says, without the folder of its data."""
    return _run([_espeak(), "--version"]).decode().split("Data at")[0].strip()


@cache
def _installed_voices() -> tuple[frozenset[str], frozenset[str]]:
    """Accents and variants eSpeak NG has; it says nothing and takes another when asked for one it lacks."""
    accents = _run([_espeak(), "--voices=en"]).decode().splitlines()[1:]
    variants = _run([_espeak(), "--voices=variant"]).decode().splitlines()[1:]
    return (
        frozenset(line.split()[1] for line in accents),
        frozenset(line.split("!v/")[1].split("(")[0].strip() for line in variants if "!v/" in line),
    )


def _check_voices(split: Split) -> None:
    accents, variants = _installed_voices()
    missing = [name for name in ACCENTS if name not in accents]
    missing += [name for family in families_of(split) for name in family if name not in variants]
    if missing:
        raise InputError(_PROGRAM, "voices", "does not have " + ", ".join(missing), "eSpeak NG 1.51 or later")


def main() -> int:
    """Write the clips of a split as `CLASS/NUMBER_WORD_VOICE.wav`."""
    parser = argparse.ArgumentParser(
        prog="python -m workloads.kws12.synthesize", description="Write clips as WAV files."
    )
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--outpath", type=Path, required=True)
    options = parser.parse_args()
    try:
        number = 0
        for number, clip in enumerate(synthesize(options.split, seed=options.seed), start=1):
            folder = options.outpath / CLASS_NAMES[clip.label]
            folder.mkdir(parents=True, exist_ok=True)
            parts = [f"{number:05d}", clip.word, *([clip.voice.replace(" ", "-")] if clip.voice else [])]
            write_wav(folder / ("_".join(parts) + ".wav"), clip.audio)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{number} clips in {options.outpath}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
