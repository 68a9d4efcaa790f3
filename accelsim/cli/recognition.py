"""Recognised classes beside labels, for data that has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.quant.calibration_data import load_companions


@dataclass(frozen=True)
class RecognisedFrame:
    """One frame: what was recognised, and what is right."""

    recognised: str
    label: str
    correct: bool


@dataclass(frozen=True)
class Recognition:
    """All frames of a data set."""

    frames: tuple[RecognisedFrame, ...]

    @property
    def correct(self) -> int:
        """Frames whose class is the label."""
        return sum(frame.correct for frame in self.frames)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `correct`, and of each frame what was recognised and the label."""
        return {"correct": self.correct, "frames": [asdict(frame) for frame in self.frames]}


def recognise(data: Path, values: NDArray[np.float32]) -> tuple[Recognition | None, str]:
    """The class of each frame, the index of its largest output, beside the labels of the data.

    Parameters
    ----------
    data : Path
        The file the frames are from; of a .npz the arrays `labels` int[N] and, for names, `class_names` text[C].
    values : float32[N, ...]
        The program's output.

    Returns
    -------
    (Recognition or None, str)
        None where the output is no vector or the data has no labels; where it has some that don't fit the output,
        the text says why.

    Raises
    ------
    InputError
        Labels that can't be read.
    """
    if data.suffix.lower() != ".npz" or values.ndim != 2:
        return None, ""
    arrays = load_companions(data, {"labels": "one whole number a frame", "class_names": "one text a class"})
    labels, names = arrays.get("labels"), arrays.get("class_names")
    if labels is None:
        return None, ""
    count, classes = values.shape
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        found = f"{labels.dtype} {list(labels.shape)}"
        return None, f"{data}: labels: {found} are not one whole number a frame; not compared"
    if labels.min() < 0 or labels.max() >= classes:
        found = f"{labels.min()} to {labels.max()}"
        return None, f"{data}: labels: {found}, where the model has {classes} classes; not compared"
    if names is None or names.shape != (classes,) or names.dtype.kind != "U":
        names = np.array([str(index) for index in range(classes)])
    chosen = values.argmax(axis=1)
    return Recognition(
        tuple(
            RecognisedFrame(str(names[index]), str(names[label]), bool(index == label))
            for index, label in zip(chosen, labels, strict=True)
        )
    ), ""
