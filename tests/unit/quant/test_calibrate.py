"""Calibration: what is observed, in which batches, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizer_graphs import features, linear_model, recurrent_model

from accelsim.errors import InputError
from accelsim.graph.execute import run_float
from accelsim.quant.calibrate import calibrate, cell_scale, split_batches
from accelsim.quant.observers import Range


def test_min_max_of_every_tensor_and_cell() -> None:
    graph = recurrent_model()
    data = features(graph)
    tensors = run_float(graph, data)
    calibration = calibrate(graph, data, batch_size=5)
    assert calibration.frames == len(data)
    assert set(calibration.ranges) == {"x", "first_h", "second_h", "head_y"}
    for name, interval in calibration.ranges.items():
        assert interval.low == pytest.approx(min(0.0, float(tensors[name].min())), rel=1e-5)
        assert interval.high == pytest.approx(max(0.0, float(tensors[name].max())), rel=1e-5)
    for name in ("first", "second"):
        largest = float(np.abs(tensors[f"{name}.cell"]).max())
        assert calibration.cells[name].largest == pytest.approx(largest, rel=1e-5)
        assert 2.0 ** (calibration.cells[name].log2 + 15) >= largest


def test_only_the_asked_batches_are_run() -> None:
    graph = linear_model()
    data = features(graph, frames=10)
    data[6:] *= 100
    calibration = calibrate(graph, data, batches=3, batch_size=2)
    assert calibration.frames == 6
    assert calibration.ranges["x"] == Range(float(data[:6].min()), float(data[:6].max()))


def test_progress_counts_batches_and_also_sees_every_tensor() -> None:
    graph = recurrent_model()
    calls: list[tuple[int, int]] = []
    seen: list[int] = []
    calibrate(
        graph,
        features(graph, frames=7),
        batch_size=3,
        progress=lambda done, total: calls.append((done, total)),
        also=[lambda tensors: seen.append(len(tensors["first.cell"]))],
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert seen == [3, 3, 1]


@settings(deadline=None)
@given(frames=st.integers(1, 40), batch_size=st.integers(1, 12))
def test_batches_are_the_data_in_order(frames: int, batch_size: int) -> None:
    data = np.arange(frames, dtype=np.float32)[:, np.newaxis]
    np.testing.assert_array_equal(np.concatenate(split_batches(data, None, batch_size)), data)


@pytest.mark.parametrize(
    ("batches", "batch_size", "message"),
    [
        (0, 1, "batches: 0; expected 1 to 5 (5 frames, 1 a batch)"),
        (4, 2, "batches: 4; expected 1 to 3 (5 frames, 2 a batch)"),
        (-1, 1, "batches: -1"),
        (1, 0, "batch size: 0; expected at least 1"),
    ],
)
def test_bad_batches_are_refused(batches: int, batch_size: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        split_batches(np.zeros((5, 2), np.float32), batches, batch_size)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("largest", "log2", "note"),
    [
        (0.0, -15, ""),
        (0.3, -15, "raised to 2^-15"),
        (1.0, -15, ""),
        (1.01, -14, ""),
        (24.9, -10, ""),
        (64.0, -9, ""),
        (64.1, -9, "lowered to 2^-9, the cell state saturates at 64"),
        (1e30, -9, "lowered to 2^-9"),
    ],
)
def test_cell_scale(largest: float, log2: int, note: str) -> None:
    found = cell_scale(largest)
    assert (found.log2, found.largest) == (log2, largest)
    assert note in found.note
    assert bool(note) == bool(found.note)


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((3, 6), np.float64),
        np.zeros((3, 5), np.float32),
        np.zeros(6, np.float32),
        np.zeros((0, 6), np.float32),
        np.zeros((2, 3, 6), np.float32),
    ],
)
def test_features_that_do_not_fit_are_refused(data: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected float32 \[N, 6\], N at least 1"):
        calibrate(linear_model(), data)


def test_features_that_are_no_numbers_are_refused() -> None:
    data = np.zeros((3, 6), np.float32)
    data[1, 4] = np.nan
    with pytest.raises(InputError, match=r"nan at index \[1, 4\]"):
        calibrate(linear_model(), data)


def test_a_model_that_overflows_is_refused() -> None:
    graph = linear_model()
    huge = replace(graph.layers[0], weights=np.full((3, 6), 3e38, np.float32))  # type: ignore[type-var]
    with pytest.raises(InputError, match="tensor 'head_y': overflows float32 on the calibration data"):
        calibrate(replace(graph, layers=(huge,)), np.ones((2, 6), np.float32))


def test_an_invalid_graph_is_refused() -> None:
    graph = linear_model()
    with pytest.raises(InputError, match="is defined twice"):
        calibrate(replace(graph, layers=graph.layers * 2), np.ones((2, 6), np.float32))


def test_a_bad_method_is_refused() -> None:
    graph = linear_model()
    with pytest.raises(InputError, match="method"):
        calibrate(graph, features(graph), method="best")  # type: ignore[arg-type]
