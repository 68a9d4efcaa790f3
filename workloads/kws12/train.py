"""Train the keyword network on the synthetic corpus and write the checked-in artefacts.

    python -m workloads.kws12.train

Needs the program `espeak-ng` and the extra `accelsim[train]`. One thread and fixed seeds: the same versions of the
tools on the same kind of processor give the same files.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy
import torch
from torch import nn

from accelsim.errors import InputError
from workloads.kws12.corpus import CLASS_NAMES, HELD_OUT_WORDS, KEYWORDS, SILENCE, UNKNOWN, Split
from workloads.kws12.features import COEFFICIENTS, FRAMES, mfcc
from workloads.kws12.synthesize import CLIPS_PER_CLASS, SEED, espeak_version, synthesize

HIDDEN = 24
LAYERS = 4

EPOCHS = 40
BATCH = 128
PEAK_LEARNING_RATE = 6e-3
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.05
GRADIENT_NORM = 1.0
# Noise added to the raw features while training, about one int8 step of a range that holds digital silence: the network
# must not lean on differences the quantized input will not have.
FEATURE_NOISE = 0.5
# One offset a clip and coefficient, in deviations: what another microphone or speaker adds to all frames alike.
CHANNEL_NOISE = 0.3
# Features are divided by their deviation, but by no less than this: the high coefficients vary by 0.2 and would
# otherwise get first-layer weights so large, once the division is folded in, that int8 would leave none for the first.
LEAST_DEVIATION = 2.0

_HELD_OUT_CLIPS = {SILENCE: 60, UNKNOWN: 240, **dict.fromkeys(KEYWORDS, 60)}

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dataset:
    """Clips of a split as the network sees them.

    Attributes
    ----------
    features : float32[clips, 25, 40]
        Cepstral coefficients.
    labels : int64[clips]
        Index into `CLASS_NAMES`.
    words, voices : str[clips]
        What is said and by whom; the voice is empty for silence.
    """

    features: Float32Array
    labels: npt.NDArray[np.int64]
    words: npt.NDArray[np.str_]
    voices: npt.NDArray[np.str_]


class KeywordNetwork(nn.Module):
    """Four recurrent layers of 24, and a linear layer on the last time step.

    Parameters
    ----------
    operator : str
        lstm, gru or rnn (tanh); also the name its parameters begin with, as the vendor names them.
    bidirectional : bool
    """

    def __init__(self, operator: str = "lstm", bidirectional: bool = False) -> None:
        super().__init__()
        self._operator = operator
        module = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[operator]
        directions = 2 if bidirectional else 1
        recurrent = module(COEFFICIENTS, HIDDEN, num_layers=LAYERS, batch_first=True, bidirectional=bidirectional)
        self.add_module(operator, recurrent)
        self.fc_1 = nn.Linear(directions * HIDDEN, len(CLASS_NAMES))

    @property
    def recurrent(self) -> nn.RNNBase:
        """The recurrent layers."""
        module: nn.RNNBase = getattr(self, self._operator)
        return module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """float32[batch, 25, 40] -> float32[batch, 12]: logits."""
        hidden, _ = self.recurrent(features)
        logits: torch.Tensor = self.fc_1(hidden[:, -1])
        return logits


def build_dataset(split: Split, seed: int, clips_per_class: Mapping[str, int] | None = None) -> Dataset:
    """Synthesize a split and take its features.

    Raises
    ------
    InputError
        If eSpeak NG can't be used.
    """
    clips = [
        (mfcc(clip.audio / 32768.0), clip.label, clip.word, clip.voice)
        for clip in synthesize(split, clips_per_class, seed)
    ]
    features, labels, words, voices = zip(*clips, strict=True)
    return Dataset(np.stack(features), np.array(labels, dtype=np.int64), np.array(words), np.array(voices))


def train(
    data: Dataset,
    epochs: int,
    seed: int,
    build: Callable[[], KeywordNetwork] = KeywordNetwork,
    peak_learning_rate: float = PEAK_LEARNING_RATE,
) -> KeywordNetwork:
    """Train a network; it takes raw features, their normalization being folded into its first layer.

    Parameters
    ----------
    data : Dataset
        The train split.
    epochs : int
        Passes over it; the last one's parameters are kept, no split is looked at on the way.
    seed : int
        Seed of initial values, batches and noise.
    build : callable
        Makes the network.
    peak_learning_rate : float
        Of the one-cycle schedule.
    """
    torch.manual_seed(seed)
    network = build()
    _initialize(network)
    features, labels = torch.from_numpy(data.features), torch.from_numpy(data.labels)
    mean = features.mean(dim=(0, 1))
    spread = features.std(dim=(0, 1))
    deviation = spread.clamp(min=LEAST_DEVIATION)
    weights = [value for name, value in network.named_parameters() if "weight" in name]
    biases = [value for name, value in network.named_parameters() if "bias" in name]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": biases, "weight_decay": 0.0}],
        lr=peak_learning_rate,
    )
    batches = len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak_learning_rate, total_steps=epochs * batches, pct_start=0.1
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    for epoch in range(epochs):
        order = torch.randperm(len(labels))
        total = 0.0
        for chosen in order[: batches * BATCH].view(batches, BATCH):
            noisy = features[chosen] + FEATURE_NOISE * torch.randn(BATCH, FRAMES, COEFFICIENTS)
            noisy += CHANNEL_NOISE * spread * torch.randn(BATCH, 1, COEFFICIENTS)
            loss = criterion(network((noisy - mean) / deviation), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:3}/{epochs}  loss {total / batches:.4f}", flush=True)
    _fold_normalization(network, mean, deviation)
    return network.eval()


def _initialize(network: KeywordNetwork) -> None:
    with torch.no_grad():
        for name, value in network.recurrent.named_parameters():
            if "weight_hh" in name:
                for gate in value.view(-1, HIDDEN, HIDDEN):
                    nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(value)
            else:
                value.zero_()
                if "bias_ih" in name and isinstance(network.recurrent, nn.LSTM):
                    value[HIDDEN : 2 * HIDDEN] = 1.0  # forget gate: remember at first


def _fold_normalization(network: KeywordNetwork, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Make W((x - mean) / deviation) + b a function of x: divide W's columns, subtract what the mean gives from b."""
    with torch.no_grad():
        parameters = dict(network.recurrent.named_parameters())
        for direction in ("", "_reverse"):
            if f"weight_ih_l0{direction}" in parameters:
                parameters[f"weight_ih_l0{direction}"].div_(deviation)
                parameters[f"bias_ih_l0{direction}"].sub_(parameters[f"weight_ih_l0{direction}"] @ mean)


def logits_of(network: KeywordNetwork, data: Dataset) -> Float32Array:
    """float32[clips, 12]: the network's output."""
    with torch.no_grad():
        logits: Float32Array = network(torch.from_numpy(data.features)).numpy()
    return logits


def largest_cell(network: KeywordNetwork, data: Dataset) -> float:
    """Largest magnitude of any cell state after any time step of any clip."""
    largest = 0.0
    with torch.no_grad():
        batch = torch.from_numpy(data.features)
        for layer in range(LAYERS):
            alone = nn.LSTM(batch.shape[-1], HIDDEN, batch_first=True)
            alone.load_state_dict(
                {name: getattr(network.recurrent, name[:-1] + str(layer)) for name in alone.state_dict()}
            )
            state = None
            hidden = []
            for step in range(FRAMES):
                output, state = alone(batch[:, step : step + 1], state)
                hidden.append(output)
                largest = max(largest, state[1].abs().max().item())
            batch = torch.cat(hidden, dim=1)
    return largest


def _right(logits: Float32Array, data: Dataset) -> npt.NDArray[np.bool_]:
    right: npt.NDArray[np.bool_] = logits.argmax(axis=1) == data.labels
    return right


def score(network: KeywordNetwork, data: Dataset) -> dict[str, int]:
    """Clips, and how many of them the network classifies right."""
    right = _right(logits_of(network, data), data)
    return {"clips": right.size, "right": int(right.sum())}


def write_dataset(path: Path, data: Dataset, float_logits: Float32Array | None = None) -> None:
    """Write a split as a compressed `.npz`, the same bytes each time."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "features": data.features,
        "labels": data.labels,
        "class_names": np.array(CLASS_NAMES),
        "words": data.words,
        "voices": data.voices,
    }
    if float_logits is not None:
        arrays["float_logits"] = float_logits
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its own options


def write_network(folder: Path, network: KeywordNetwork) -> None:
    """Write `lstm.pth` (a state_dict in torch's zip format) and `kws.onnx` (any number of clips)."""
    torch.save(network.state_dict(), folder / "lstm.pth")
    with warnings.catch_warnings():
        # The exporter made of TorchScript is deprecated, and warns that an LSTM's exported batch is fixed unless its
        # initial state is an input. Not here: forward() gives none, and the exporter shapes zeros by the batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, FRAMES, COEFFICIENTS),),
            folder / "kws.onnx",
            dynamo=False,
            input_names=["features"],
            output_names=["logits"],
            dynamic_axes={"features": {0: "clips"}, "logits": {0: "clips"}},
            opset_version=17,
        )


def main() -> int:
    """Make the corpus, train, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m workloads.kws12.train", description="Remake the artefacts.")
    parser.add_argument("--outpath", type=Path, default=Path(__file__).resolve().parent / "artefacts")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    start = time.monotonic()
    try:
        training = build_dataset("train", options.seed)
        calibration, test = build_dataset("calib", options.seed), build_dataset("test", options.seed)
        held_out = build_dataset("test", options.seed + 1, _HELD_OUT_CLIPS)
        espeak = espeak_version()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{len(training.labels)} clips to train on, made in {time.monotonic() - start:.0f} s", flush=True)
    network = train(training, options.epochs, options.seed)
    test_logits = logits_of(network, test)
    unheard = np.isin(held_out.words, HELD_OUT_WORDS)
    unheard_right = _right(logits_of(network, held_out), held_out)[unheard]
    report = {
        "recipe": {
            "seed": options.seed,
            "epochs": options.epochs,
            "batch": BATCH,
            "optimizer": "AdamW, one-cycle schedule",
            "peak_learning_rate": PEAK_LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": LABEL_SMOOTHING,
            "gradient_norm": GRADIENT_NORM,
            "feature_noise": FEATURE_NOISE,
            "channel_noise": CHANNEL_NOISE,
            "least_deviation": LEAST_DEVIATION,
            "train_clips_per_class": CLIPS_PER_CLASS["train"],
        },
        "parameters": sum(value.numel() for value in network.parameters()),
        "accuracy": {
            "train": score(network, training),
            "calib": score(network, calibration),
            "test": score(network, test),
            "held_out": score(network, held_out),
            "held_out_words_never_trained_on": {"clips": unheard_right.size, "right": int(unheard_right.sum())},
        },
        "largest_cell": round(max(largest_cell(network, data) for data in (calibration, held_out)), 3),
        "largest_weight": {
            name: round(value.abs().max().item(), 4) for name, value in network.named_parameters() if "weight" in name
        },
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "torch": torch.__version__,
            "espeak-ng": espeak,
        },
    }
    options.outpath.mkdir(parents=True, exist_ok=True)
    write_dataset(options.outpath / "kws12_calib.npz", calibration)
    write_dataset(options.outpath / "kws12_test.npz", test, test_logits)
    write_network(options.outpath, network)
    text = json.dumps(report, indent=2) + "\n"
    (options.outpath / "training.json").write_text(text, encoding="utf-8")
    print(text, end="")
    print(f"{time.monotonic() - start:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
