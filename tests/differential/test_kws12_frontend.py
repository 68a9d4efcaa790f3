"""The keyword workload on clips of real speech: its front end, and a network that only heard synthetic speech."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# `workloads/` is no part of the installed package. Last, so that an installed `accelsim` is not hidden.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from accelsim.frontend.pytorch import load_pytorch
from accelsim.graph.execute import run_float
from accelsim.resources import workload_folder
from workloads.kws12.features import mfcc, read_wav

_TOLERANCE = 1e-3  # of values up to 247; measured: 0, every float32 equal


def test_every_clip_gives_the_recorded_features(shared_data: Path) -> None:
    recorded: dict[str, np.ndarray] = {}
    for name in ("kws12_calib", "kws12_test"):
        with np.load(shared_data / "kws12" / f"{name}.npz") as file:
            recorded.update(zip(file["files"].tolist(), file["features"], strict=True))
    clips = sorted((shared_data / "kws12" / "wavs").glob("*/*.wav"))
    assert len(clips) == 24
    for path in clips:
        difference = np.abs(mfcc(read_wav(path)) - recorded[f"{path.parent.name}/{path.name}"])
        assert difference.max() <= _TOLERANCE, path.name


def test_real_speech_scores_what_the_readme_says(shared_data: Path) -> None:
    with np.load(shared_data / "kws12" / "kws12_test.npz") as file:
        features, labels, groups = file["features"], file["labels"], file["groups"]
    graph = load_pytorch(workload_folder("kws12") / "lstm.pth", timesteps=25)
    logits = run_float(graph, features)[graph.output.name].reshape(len(labels), 12)
    right = logits.argmax(axis=1) == labels
    found = {group: (int(right[groups == group].sum()), int((groups == group).sum())) for group in set(groups.tolist())}
    assert found == {"keyword": (64, 137), "unknown": (254, 315), "silence": (2, 2), "noise": (36, 36)}
