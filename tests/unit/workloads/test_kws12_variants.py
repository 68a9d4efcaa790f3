"""The keyword network's other kinds: what is checked in, and the script that makes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.frontend.pytorch import load_pytorch
from accelsim.graph.execute import run_float
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import quantize_input, run_quantized
from accelsim.quant.quantize import quantize
from accelsim.resources import workload_folder

FOLDER = workload_folder("kws12")
CHECKED_IN = ("gru", "rnn", "brnn")


def report() -> dict[str, dict[str, object]]:
    return json.loads((FOLDER / "variants.json").read_text(encoding="utf-8"))


def clips(split: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(FOLDER / f"kws12_{split}.npz", allow_pickle=False) as file:
        return file["features"], file["labels"]


@pytest.mark.parametrize("name", CHECKED_IN)
def test_a_variant_scores_what_the_report_says(name: str) -> None:
    graph = load_pytorch(FOLDER / f"{name}.pth", timesteps=25, variant=name)
    assert sum(layer.name.startswith(("gru", "rnn")) for layer in graph.layers) >= 4
    for split in ("calib", "test"):
        features, labels = clips(split)
        right = int((run_float(graph, features)[graph.output.name].argmax(axis=1) == labels).sum())
        assert report()[name]["accuracy"][split] == {"clips": len(labels), "right": right}  # type: ignore[index]
        assert right > 0.7 * len(labels)


@pytest.mark.parametrize("name", CHECKED_IN)
def test_a_quantized_variant_agrees_with_float(name: str) -> None:
    graph = load_pytorch(FOLDER / f"{name}.pth", timesteps=25)
    qgraph = quantize(graph, load_frames(FOLDER / "kws12_calib.npz")).qgraph
    features, _ = clips("test")
    classes = run_quantized(qgraph, quantize_input(qgraph.input, features))[qgraph.output.name].argmax(axis=1)
    assert (classes == run_float(graph, features)[graph.output.name].argmax(axis=1)).sum() >= 48  # of 50


def test_files_are_small_and_name_no_folder() -> None:
    for name in CHECKED_IN:
        content = (FOLDER / f"{name}.pth").read_bytes()
        assert len(content) < 100_000
        for folder in (b"/home/", b"/root/", b"/usr/", b"/work/", b"/tmp/"):
            assert folder not in content


# --- the script --------------------------------------------------------------------------------------------------


@pytest.fixture
def script() -> Iterator[object]:
    """The module, one thread, and no clips to synthesize."""
    torch = pytest.importorskip("torch", reason="the extra accelsim[train] is not installed")
    pytest.importorskip("scipy", reason="the extra accelsim[train] is not installed")
    from workloads.kws12 import variants

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield variants
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def few_clips(split: str, seed: int) -> object:
    from workloads.kws12.train import Dataset

    rng = np.random.default_rng(seed)
    features = rng.normal(size=(128, 25, 40)).astype(np.float32)
    words = np.full(128, split)
    return Dataset(features, rng.integers(0, 12, 128).astype(np.int64), words, words)


def test_the_command_writes_the_kinds_asked_for(
    script: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "build_dataset", few_clips)
    monkeypatch.setattr(script, "espeak_version", lambda: "none")
    names = ["blstm", "gru", "bgru", "rnn", "brnn"]
    contents = []
    for folder in ("one", "two"):
        arguments = [*names, "--epochs", "1", "--seed", "3", "--outpath", str(tmp_path / folder)]
        monkeypatch.setattr(sys, "argv", ["variants", *arguments])
        assert script.main() == 0  # type: ignore[attr-defined]
        contents.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"variants.json", *(f"{name}.pth" for name in names)}
    written = json.loads(contents[0]["variants.json"])
    assert (written["seed"], written["gru"]["epochs"], written["versions"]["espeak-ng"]) == (3, 1, "none")
    for name in names:
        graph = load_pytorch(tmp_path / "one" / f"{name}.pth", timesteps=25, variant=name)
        features, labels = few_clips("test", 3).features, few_clips("test", 3).labels  # type: ignore[attr-defined]
        right = int((run_float(graph, features)[graph.output.name].argmax(axis=1) == labels).sum())
        assert written[name]["accuracy"]["test"] == {"clips": 128, "right": right}


def test_an_unknown_kind(script: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["variants", "transformer"])
    with pytest.raises(SystemExit) as caught:
        script.main()  # type: ignore[attr-defined]
    assert caught.value.code == 2
    assert "no variant 'transformer'; there are blstm, gru, bgru, rnn, brnn" in capsys.readouterr().err


def test_the_command_reports_a_mistake_in_one_line(
    script: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> object:
        raise InputError("espeak-ng", "", "not found on the path")

    monkeypatch.setattr(script, "build_dataset", missing)
    monkeypatch.setattr(sys, "argv", ["variants", "--outpath", str(tmp_path / "new")])
    assert script.main() == 2  # type: ignore[attr-defined]
    assert capsys.readouterr().err == "espeak-ng: not found on the path\n"
    assert not (tmp_path / "new").exists()
