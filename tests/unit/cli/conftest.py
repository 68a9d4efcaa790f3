"""A small model on its way through the toolchain: its files, made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from accelsim.cli import main
from tests.support.command_line import CLASSES, FEATURES, FRAMES, STEPS, UNITS, Files, Program
from tests.support.onnx_exports import Form, legacy_export, saved
from tests.support.pth_files import file_of, linear_tensors, lstm_tensors


@pytest.fixture
def accelsim(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toolchain")
    rng = np.random.default_rng(11)
    tensors = lstm_tensors(rng, "lstm.", FEATURES, UNITS, layers=2) | linear_tensors(rng, "fc.", UNITS, CLASSES)
    (folder / "lstm.pth").write_bytes(file_of(tensors))
    saved(legacy_export(Form(steps=STEPS, inputs=FEATURES, units=UNITS, outputs=CLASSES), 3), folder, "kws.onnx")
    features = rng.normal(size=(FRAMES, STEPS, FEATURES)).astype(np.float32)
    labels = rng.integers(0, CLASSES, FRAMES)
    np.savez(folder / "data.npz", features=features, labels=labels, class_names=np.array(["yes", "no", "stop"]))
    np.save(folder / "data.npy", features)
    features.astype("<f4").tofile(folder / "data.bin")
    assert main(["quant", "-m", str(folder / "kws.onnx"), "-d", str(folder / "data.npz"), "-s", str(folder)]) == 0
    assert main(["compile", str(folder / "kws_quantize.onnx"), "--outpath", str(folder)]) == 0
    return folder


@pytest.fixture
def files(made: Path, tmp_path: Path) -> Files:
    shutil.copytree(made, tmp_path / "work")
    return Files(tmp_path / "work")
