"""Train the keyword network's other kinds: GRU, vanilla RNN, and all three cells in both directions.

    python -m workloads.kws12.variants

Needs what `train` needs, and makes the same training clips first. What `train` says of repeating itself holds here.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from accelsim.errors import InputError
from workloads.kws12.synthesize import SEED, espeak_version
from workloads.kws12.train import PEAK_LEARNING_RATE, Dataset, KeywordNetwork, build_dataset, score, train


@dataclass(frozen=True)
class Variant:
    """A kind of network and how long it is trained.

    Attributes
    ----------
    operator : str
        lstm, gru or rnn (tanh).
    bidirectional : bool
    epochs : int
        Chosen for less than two minutes of processor time, not for the last point of accuracy.
    peak_learning_rate : float
    """

    operator: str
    bidirectional: bool
    epochs: int
    peak_learning_rate: float = PEAK_LEARNING_RATE

    @property
    def build(self) -> Callable[[], KeywordNetwork]:
        """Makes an untrained network."""
        return partial(KeywordNetwork, self.operator, self.bidirectional)


VARIANTS = {
    "blstm": Variant("lstm", True, epochs=12),
    "gru": Variant("gru", False, epochs=12),
    "bgru": Variant("gru", True, epochs=12),
    # Without gates the gradient's path is long: larger steps do not settle.
    "rnn": Variant("rnn", False, epochs=60, peak_learning_rate=2e-3),
    "brnn": Variant("rnn", True, epochs=40, peak_learning_rate=2e-3),
}
"""By the vendor's name; the remaining one, lstm, is `train`'s."""

CHECKED_IN = ("gru", "rnn", "brnn")
"""The others are too large to: 170 and 230 kB."""


def train_variant(name: str, data: Dataset, seed: int, epochs: int | None = None) -> KeywordNetwork:
    """Train one of `VARIANTS`.

    Parameters
    ----------
    name : str
    data : Dataset
        The train split.
    seed : int
    epochs : int, optional
        The variant's own where absent.
    """
    variant = VARIANTS[name]
    return train(data, epochs or variant.epochs, seed, variant.build, variant.peak_learning_rate)


def main() -> int:
    """Make the corpus, train, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m workloads.kws12.variants", description="Remake the artefacts.")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of {', '.join(VARIANTS)}; default: those kept")
    parser.add_argument("--outpath", type=Path, default=Path(__file__).resolve().parent / "artefacts")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    names = options.variants or list(CHECKED_IN)
    unknown = sorted(set(names) - VARIANTS.keys())
    if unknown:
        parser.error(f"no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        data = {split: build_dataset(split, options.seed) for split in ("train", "calib", "test")}
        espeak = espeak_version()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    options.outpath.mkdir(parents=True, exist_ok=True)
    report: dict[str, object] = {}
    for name in names:
        start = time.process_time()
        network = train_variant(name, data["train"], options.seed, options.epochs)
        print(f"{name}: {time.process_time() - start:.0f} s of processor time", flush=True)
        torch.save(network.state_dict(), options.outpath / f"{name}.pth")
        report[name] = {
            "epochs": options.epochs or VARIANTS[name].epochs,
            "peak_learning_rate": VARIANTS[name].peak_learning_rate,
            "parameters": sum(value.numel() for value in network.parameters()),
            "accuracy": {split: score(network, clips) for split, clips in data.items()},
        }
    report["seed"] = options.seed
    report["versions"] = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "espeak-ng": espeak,
    }
    text = json.dumps(report, indent=2) + "\n"
    (options.outpath / "variants.json").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
