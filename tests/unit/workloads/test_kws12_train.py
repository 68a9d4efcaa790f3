"""The training script on a corpus small enough for a test; needs the extra `accelsim[train]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra accelsim[train] is not installed")
pytest.importorskip("scipy", reason="the extra accelsim[train] is not installed")

from accelsim.errors import InputError  # noqa: E402
from accelsim.frontend.pytorch import load_pytorch  # noqa: E402
from accelsim.graph.execute import run_float  # noqa: E402
from workloads.kws12 import train as trainer  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, much slower on a busy machine; then as it was found."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def _data(clips: int = 256, seed: int = 0) -> trainer.Dataset:
    """Clips whose class is written in their coefficients: class k is loud in coefficient k."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 12, clips)
    features = rng.normal(size=(clips, 25, 40)).astype(np.float32)
    features[:, :, 0] -= 30.0
    features[np.arange(clips), :, labels] += 8.0
    words = np.array(trainer.CLASS_NAMES)[labels]
    return trainer.Dataset(features, labels.astype(np.int64), words, np.full(clips, "en-us+f2"))


def test_the_folded_network_gives_on_raw_features_what_it_gave_on_normalized_ones() -> None:
    torch.manual_seed(1)
    network = trainer.KeywordNetwork()
    raw = torch.randn(4, 25, 40) * 3 + 5
    mean, deviation = torch.randn(40) + 5, torch.rand(40) + 2
    with torch.no_grad():
        before = network((raw - mean) / deviation)
        trainer._fold_normalization(network, mean, deviation)
        torch.testing.assert_close(network(raw), before, atol=1e-4, rtol=1e-4)


def test_training_learns_and_repeats_itself() -> None:
    data, unseen = _data(512), _data(128, seed=9)
    networks = [trainer.train(data, epochs=12, seed=3) for _ in range(2)]
    scores = trainer.score(networks[0], unseen)
    assert scores["clips"] == 128
    assert scores["right"] > 64  # chance is 11
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_largest_cell_is_that_of_the_float_graph(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network, data = trainer.KeywordNetwork().eval(), _data(8)
    trainer.write_network(tmp_path, network)
    graph = load_pytorch(tmp_path / "lstm.pth", timesteps=25)
    values = run_float(graph, data.features)
    expected = max(float(np.abs(value).max()) for name, value in values.items() if name.endswith(".cell"))
    assert trainer.largest_cell(network, data) == pytest.approx(expected, rel=1e-4)


def test_files_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    network, data = trainer.KeywordNetwork().eval(), _data(8)
    contents = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        trainer.write_network(folder, network)
        trainer.write_dataset(folder / "a.npz", data, trainer.logits_of(network, data))
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(contents[0]) == {"lstm.pth", "kws.onnx", "a.npz"}
    assert contents[0] == contents[1]


def test_the_onnx_model_takes_any_number_of_clips(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network, data = trainer.KeywordNetwork().eval(), _data(5)
    trainer.write_network(tmp_path, network)
    session = onnxruntime.InferenceSession(str(tmp_path / "kws.onnx"))
    for clips in (1, 5):
        logits = session.run(["logits"], {"features": data.features[:clips]})[0]
        np.testing.assert_allclose(logits, trainer.logits_of(network, data)[:clips], atol=1e-5)


def test_the_command_writes_every_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "build_dataset", lambda split, seed, counts=None: _data(128, seed))
    monkeypatch.setattr(trainer, "espeak_version", lambda: "none")
    monkeypatch.setattr(sys, "argv", ["train", "--outpath", str(tmp_path / "new"), "--epochs", "1", "--seed", "7"])
    assert trainer.main() == 0
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"kws.onnx", "kws12_calib.npz", "kws12_test.npz", "lstm.pth", "training.json"}
    report = json.loads((tmp_path / "new" / "training.json").read_text())
    assert report["recipe"]["epochs"] == 1
    assert report["recipe"]["seed"] == 7
    with np.load(tmp_path / "new" / "kws12_test.npz") as file:
        right = int((file["float_logits"].argmax(axis=1) == file["labels"]).sum())
    assert report["accuracy"]["test"] == {"clips": 128, "right": right}


def test_the_command_reports_a_mistake_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> trainer.Dataset:
        raise InputError("espeak-ng", "", "not found on the path")

    monkeypatch.setattr(trainer, "build_dataset", missing)
    monkeypatch.setattr(sys, "argv", ["train", "--outpath", str(tmp_path / "new")])
    assert trainer.main() == 2
    assert capsys.readouterr().err == "espeak-ng: not found on the path\n"
    assert not (tmp_path / "new").exists()
