"""The checked-in artefacts of the keyword workload are what its README says."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from accelsim.frontend.onnx import load_onnx
from accelsim.frontend.pytorch import load_pytorch, read_state_dict
from accelsim.graph.execute import run_float
from accelsim.resources import workload_folder
from workloads.kws12.corpus import CLASS_NAMES, HELD_OUT_WORDS, SILENCE, SPLITS, UNKNOWN, families_of, unknown_words_of
from workloads.kws12.synthesize import CLIPS_PER_CLASS

_FOLDER = workload_folder("kws12")
_TRAINED = ("kws.onnx", "kws12_calib.npz", "kws12_test.npz", "lstm.pth", "training.json")


def test_the_readme_names_every_file() -> None:
    folder = Path(__file__).parents[3] / "workloads" / "kws12"
    readme = (folder / "README.md").read_text()
    files = [*folder.glob("*.py"), *(folder / "artefacts").iterdir()]
    assert len(files) > 15
    assert [path.name for path in files if f"`{path.name}`" not in readme.replace("artefacts/", "")] == []


@cache
def _load(split: str) -> dict[str, np.ndarray]:
    with np.load(_FOLDER / f"kws12_{split}.npz") as file:  # allow_pickle is off
        return dict(file)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _logits(features: np.ndarray) -> tuple[np.ndarray, float]:
    """A float64 LSTM written out: logits, and the largest magnitude of any cell."""
    weights = {name: value.astype(np.float64) for name, value in read_state_dict(_FOLDER / "lstm.pth").items()}
    sequence, largest = features.astype(np.float64), 0.0
    for layer in range(4):
        hidden = np.zeros((len(features), 24))
        cell = np.zeros_like(hidden)
        steps = []
        for x in sequence.transpose(1, 0, 2):
            gates = x @ weights[f"lstm.weight_ih_l{layer}"].T + weights[f"lstm.bias_ih_l{layer}"]
            gates += hidden @ weights[f"lstm.weight_hh_l{layer}"].T + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(gates, 4, axis=1)
            cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
            hidden = _sigmoid(o) * np.tanh(cell)
            largest = max(largest, float(np.abs(cell).max()))
            steps.append(hidden)
        sequence = np.stack(steps, axis=1)
    return sequence[:, -1] @ weights["fc_1.weight"].T + weights["fc_1.bias"], largest


@pytest.mark.parametrize("split", ["calib", "test"])
def test_arrays_have_the_stated_shapes_and_types(split: str) -> None:
    data, clips = _load(split), sum(CLIPS_PER_CLASS[split].values())
    assert data["features"].shape == (clips, 25, 40)
    assert data["features"].dtype == np.float32
    assert np.isfinite(data["features"]).all()
    assert data["labels"].shape == data["words"].shape == data["voices"].shape == (clips,)
    assert data["labels"].dtype == np.int64
    assert tuple(data["class_names"]) == CLASS_NAMES


@pytest.mark.parametrize("split", ["calib", "test"])
def test_every_class_has_its_number_of_clips(split: str) -> None:
    found = Counter(CLASS_NAMES[label] for label in _load(split)["labels"])
    assert found == CLIPS_PER_CLASS[split]
    assert set(found) == set(CLASS_NAMES)


@pytest.mark.parametrize("split", ["calib", "test"])
def test_words_and_voices_belong_to_the_label_and_the_split(split: str) -> None:
    data = _load(split)
    own = {variant for family in families_of(split) for variant in family}
    for label, word, voice in zip(data["labels"], data["words"], data["voices"], strict=True):
        name = CLASS_NAMES[label]
        if name == SILENCE:
            assert voice == ""
            assert word in {"zeros", "noise", "hum"}
        else:
            assert voice.split("+")[1] in own
            assert word in unknown_words_of(split) if name == UNKNOWN else word == name


def test_no_voice_and_no_clip_is_in_both_files() -> None:
    calib, test = _load("calib"), _load("test")
    assert not set(calib["voices"]) & set(test["voices"]) - {""}
    spoken = [features.tobytes() for data in (calib, test) for features in data["features"][data["words"] != "zeros"]]
    assert len(spoken) == len(set(spoken)) == 60 + 50 - 2


@pytest.mark.parametrize("split", ["calib", "test"])
def test_one_clip_is_digital_silence(split: str) -> None:
    data = _load(split)
    zeros = data["features"][data["words"] == "zeros"]
    assert len(zeros) == 1
    assert zeros[0, :, 0] == pytest.approx(-247.139, abs=1e-3)
    assert data["features"].min() == zeros.min()


def test_the_test_file_says_words_the_network_was_not_trained_on() -> None:
    assert set(HELD_OUT_WORDS) <= set(_load("test")["words"])
    assert not set(HELD_OUT_WORDS) & set(_load("calib")["words"])


def test_float_accuracy_on_the_test_clips() -> None:
    data = _load("test")
    logits, largest = _logits(data["features"])
    np.testing.assert_allclose(logits, data["float_logits"], atol=1e-4)
    right = int((logits.argmax(axis=1) == data["labels"]).sum())
    assert right >= 0.95 * len(data["labels"])
    assert right == _report()["accuracy"]["test"]["right"]
    assert largest < 32.0


def test_the_calibration_clips_score_what_the_report_says() -> None:
    data = _load("calib")
    logits, largest = _logits(data["features"])
    assert int((logits.argmax(axis=1) == data["labels"]).sum()) == _report()["accuracy"]["calib"]["right"]
    # Cells that hardly move would leave the int16 cell of the tflite profile without a table.
    assert 0.5 < largest <= _report()["largest_cell"] + 1e-3


def test_both_model_files_give_the_recorded_logits() -> None:
    data = _load("test")
    for graph in (load_pytorch(_FOLDER / "lstm.pth", timesteps=25), load_onnx(_FOLDER / "kws.onnx")):
        logits = run_float(graph, data["features"])[graph.output.name]
        np.testing.assert_allclose(logits.reshape(50, 12), data["float_logits"], atol=1e-4)


def test_the_network_is_the_stated_one() -> None:
    weights = read_state_dict(_FOLDER / "lstm.pth")
    assert next(iter(weights)) == "lstm.weight_ih_l0"
    assert weights["lstm.weight_ih_l0"].shape == (96, 40)
    assert weights["lstm.weight_hh_l3"].shape == (96, 24)
    assert weights["fc_1.weight"].shape == (12, 24)
    assert sum(value.size for value in weights.values()) == _report()["parameters"] == 21_036
    for name, value in weights.items():
        assert value.dtype == np.float32
        assert np.abs(value).max() < 8.0, name


def test_the_artefacts_are_small() -> None:
    sizes = {name: (_FOLDER / name).stat().st_size for name in _TRAINED}
    assert sizes["kws.onnx"] < 120_000
    assert sum(path.stat().st_size for path in _FOLDER.iterdir()) < 850_000


def test_no_artefact_names_a_folder_of_the_machine_it_was_made_on() -> None:
    for name in _TRAINED:
        content = (_FOLDER / name).read_bytes()
        for folder in (b"/home/", b"/root/", b"/usr/", b"/work/", b"/tmp/"):
            assert folder not in content, name


def _report() -> dict[str, dict[str, object]]:
    return json.loads((_FOLDER / "training.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("one", SPLITS)
@pytest.mark.parametrize("other", SPLITS)
def test_splits_share_no_voice(one: str, other: str) -> None:
    voices = [{variant for family in families_of(split) for variant in family} for split in (one, other)]
    assert voices[0]
    assert (voices[0] & voices[1] == set()) == (one != other)
