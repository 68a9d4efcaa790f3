"""LiteRT's reference kernels against our integers: no byte may differ, in outputs and in cell states.

The random models come from a fixed seed; the converter-made ones from the development data, where present.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert_models import LstmQuantities, TfliteModel, random_quantities, run_lstm

from accelsim import fixedpoint
from accelsim.quant import execute
from accelsim.quant.execute import linear, lstm_sequence
from accelsim.quant.model import QLinear, QLstm

SMALL_MODELS, WIDE_MODELS = 1000, 24
INVOCATIONS = 2
SATURATING = 5
"""Every fifth model is driven beyond its ranges."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One random model with what LiteRT made of it."""

    quantities: LstmQuantities
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    cells: list[np.ndarray]

    def wrong_bytes(self, change: Callable[[QLstm], QLstm] = lambda layer: layer) -> tuple[int, int]:
        """(output values, cell values) that differ from LiteRT's, the state kept between invocations."""
        layer = change(self.quantities.layer(self.inputs[0].shape[1]))
        hidden = cell = None
        outputs = cells = 0
        for x, y, c in zip(self.inputs, self.outputs, self.cells, strict=True):
            ours, hidden, cell = lstm_sequence(layer, x, hidden, cell)
            outputs += int((ours != y).sum())
            cells += int((cell != c).sum())
        return outputs, cells


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    rng = np.random.default_rng(20240607)
    models = []
    for index in range(SMALL_MODELS + WIDE_MODELS):
        high = 24 if index < SMALL_MODELS else 256
        units, inputs = (int(size) for size in rng.integers(1, high + 1, 2))
        batch, steps = int(rng.integers(1, 4)), int(rng.integers(1, 13))
        quantities = random_quantities(rng, units, inputs, saturating=index % SATURATING == 0)
        fed = [rng.integers(-128, 128, (batch, steps, inputs)).astype(np.int8) for _ in range(INVOCATIONS)]
        models.append(Judged(quantities, fed, *run_lstm(quantities, fed)))
    return models


def test_random_models_equal_litert_byte_for_byte(
    judged: list[Judged], record_property: Callable[[str, object], None]
) -> None:
    wrong = {index: counts for index, model in enumerate(judged) if any(counts := model.wrong_bytes())}
    compared = sum(values.size for model in judged for values in model.outputs + model.cells)
    record_property("models", len(judged))
    record_property("values", compared)
    assert wrong == {}
    assert len(judged) >= 500
    assert compared > 400_000


def test_the_random_models_reach_every_corner(judged: list[Judged]) -> None:
    quantities = [model.quantities for model in judged]
    assert {q.cell_scale_log2 for q in quantities} == set(range(-15, -8))
    assert {q.time_major for q in quantities} == {False, True}
    assert sum(q.recurrent_scale != q.hidden_scale for q in quantities) > 400
    assert sum(q.recurrent_zero_point != q.hidden_zero_point for q in quantities) > 400
    assert {q.input_zero_point for q in quantities} >= {-128, 0, 127}
    clips = Counter("none" if q.cell_clip == 0 else "10" if q.cell_clip == 10 else "small" for q in quantities)
    assert min(clips[kind] for kind in ("none", "10", "small")) > 100
    assert max(q.units for q in quantities) > 200
    # States at the bounds: the int16 range of an unclipped cell, and the clip of a clipped one.
    saturated = [model for model in judged if max(int(np.abs(c.astype(int)).max()) for c in model.cells) >= 32767]
    assert len(saturated) > 50
    clipped = [
        model
        for model in judged
        if 0 < model.quantities.cell_clip < 10
        and int(np.abs(model.cells[-1].astype(int)).max()) == model.quantities.layer(1).cell_clip
    ]
    assert len(clipped) > 50
    extremes = [model for model in judged if {-128, 127} <= set(np.unique(model.outputs[-1]).tolist())]
    assert len(extremes) > 20


# --- each rounding of the definition must be visible to the comparison ------------------------------------------

_divide = fixedpoint.rounding_divide_by_pot
_high_mul = fixedpoint.saturating_rounding_doubling_high_mul
_multiply = fixedpoint.multiply_by_quantized_multiplier


def _single_rounding(x: Any, multiplier: Any, shift: Any) -> Any:
    total = 31 - np.asarray(shift)
    return (x * multiplier + (np.int64(1) << (total - 1))) >> total


def _second_rounding_half_up(x: Any, multiplier: Any, shift: Any) -> Any:
    right = np.maximum(-np.asarray(shift), 0)
    left = np.maximum(np.asarray(shift), 0)
    return (_high_mul(fixedpoint.wrap32(x << left), multiplier) + ((np.int64(1) << right) >> 1)) >> right


def _unchanged_multiply(x: Any, multiplier: Any, shift: Any) -> Any:
    left, right = np.maximum(np.asarray(shift), 0), np.maximum(-np.asarray(shift), 0)
    return _divide(_high_mul(fixedpoint.wrap32(x << left), multiplier), right)


def _exact_tables() -> np.ndarray:
    arguments = np.arange(-32768, 32768)
    rows = [1 / (1 + np.exp(-arguments * 2.0**-12))] + [np.tanh(arguments * 2.0 ** (k - 15)) for k in range(7)]
    return np.clip(np.rint(np.stack(rows) * 32768), -32768, 32767).astype(np.int16)


def _change_cell_products(monkeypatch: pytest.MonkeyPatch, divide: Callable[[Any, int], Any]) -> None:
    """Another rounding of f * c and i * z, requantization left as it is."""
    monkeypatch.setattr(fixedpoint, "rounding_divide_by_pot", divide)
    monkeypatch.setattr(fixedpoint, "multiply_by_quantized_multiplier", _unchanged_multiply)


def _without_first_clamp(values: Any) -> Any:
    # The requantized input products are the only four-dimensional values that get clamped.
    return values if values.ndim == 4 else fixedpoint.saturate(values, -32768, 32767)


def _merge_requantizations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both products scaled without rounding, then one rounding and one clamp of their sum."""

    def multiply(x: Any, multiplier: Any, shift: Any) -> Any:
        if np.ndim(multiplier) == 0:  # the hidden state's
            return _multiply(x, multiplier, shift)
        return x * multiplier * 2.0 ** (np.asarray(shift, dtype=float) - 31)

    def clamp(values: Any) -> Any:
        return values if values.ndim == 4 else np.clip(np.rint(values), -32768, 32767).astype(np.int64)

    monkeypatch.setattr(fixedpoint, "multiply_by_quantized_multiplier", multiply)
    monkeypatch.setattr(execute, "_clamp16", clamp)


MUTATIONS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "single rounding": lambda m: m.setattr(fixedpoint, "multiply_by_quantized_multiplier", _single_rounding),
    "second rounding half up": lambda m: m.setattr(
        fixedpoint, "multiply_by_quantized_multiplier", _second_rounding_half_up
    ),
    "exact sigmoid and tanh": lambda m: m.setattr(fixedpoint, "activation_tables", _exact_tables),
    "truncated cell products": lambda m: _change_cell_products(m, lambda x, e: x >> e),
    "cell products half up": lambda m: _change_cell_products(m, lambda x, e: (x + (1 << (e - 1))) >> e),
    "merged requantization": _merge_requantizations,
    "no clamp between the products": lambda m: m.setattr(execute, "_clamp16", _without_first_clamp),
}


def _wrong(models: list[Judged], change: Callable[[QLstm], QLstm] = lambda layer: layer) -> np.ndarray:
    return np.sum([model.wrong_bytes(change) for model in models], axis=0)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_rounding_is_caught(name: str, judged: list[Judged], monkeypatch: pytest.MonkeyPatch) -> None:
    # Ties of a negative product are one in 2**16: that mutation takes every model, and shows in few values.
    rare = name == "cell products half up"
    sample = judged if rare else judged[:200]
    if name == "merged requantization":  # which also drops a clamp: only where nothing was driven to saturate
        sample = [model for index, model in enumerate(sample) if index % SATURATING]
    assert not _wrong(sample).any()
    MUTATIONS[name](monkeypatch)
    outputs, cells = _wrong(sample)
    assert cells > 0
    assert outputs > 0 or rare


def test_the_rewritten_multiplication_of_the_mutations_is_the_original(
    judged: list[Judged], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise "truncated cell products" could be caught for a wrong multiplication instead.
    monkeypatch.setattr(fixedpoint, "multiply_by_quantized_multiplier", _unchanged_multiply)
    assert not _wrong(judged[:50]).any()


LAYER_MUTATIONS: dict[str, Callable[[QLstm], QLstm]] = {
    "state starts at the produced zero point": lambda q: replace(q, initial_hidden=q.hidden_zero_point),
    "produced with the consumed zero point": lambda q: replace(q, hidden_zero_point=q.initial_hidden),
    "no cell clip": lambda q: replace(q, cell_clip=0),
    "gates in ONNX's order": lambda q: replace(q, input_weights=q.input_weights[[0, 2, 3, 1]]),
    "recurrent weights transposed": lambda q: replace(q, recurrent_weights=q.recurrent_weights.swapaxes(1, 2)),
}


@pytest.mark.parametrize("name", LAYER_MUTATIONS)
def test_a_changed_layer_is_caught(name: str, judged: list[Judged]) -> None:
    outputs, cells = _wrong(judged[:200], LAYER_MUTATIONS[name])
    assert outputs > 0
    assert cells > 0


# --- the converter's models ---------------------------------------------------------------------------------------

# Integer LSTM and FULLY_CONNECTED operators of each model of the development data.
COMPARED_OPERATORS = {
    "a_lstm32_dense16_t1": (1, 1),
    "b_lstm24x4_t25_dense12": (4, 1),
    "c_lstm257_t10_sigmoid": (1, 0),
    "d_bilstm24_t12": (2, 1),
    "g_gru16_unroll_t5": (0, 10),
    "h_digits_lstm24": (2, 1),
    "j_lstm16_asym_in_t7": (2, 0),
    "k_lstm32_batch4_t6": (1, 0),
    "m_lstm64_backwards_t9": (1, 0),
    "q_lstm20_fc_per_tensor": (2, 2),
}
RECORDED_INPUTS = 4
# f is a float model (dynamic range): no integers to compare.
FLOAT_MODELS = {"f_dynrange_lstm32"}


def _load(folder: Path) -> TfliteModel:
    return TfliteModel((folder / "model.tflite").read_bytes())


def _apply(layer: QLinear, floor: int, x: np.ndarray) -> np.ndarray:
    return np.maximum(linear(layer, x.reshape(-1, layer.weights.shape[1])), np.int8(floor))


def test_every_converted_model_is_named(shared_data: Path) -> None:
    names = {folder.name for folder in (shared_data / "tflite").iterdir() if folder.is_dir()}
    assert names == COMPARED_OPERATORS.keys() | FLOAT_MODELS


@pytest.mark.parametrize("name", COMPARED_OPERATORS)
def test_operators_of_converted_models(name: str, shared_data: Path) -> None:
    """Every operator alone, fed with the recorded output of the operator before it."""
    folder = shared_data / "tflite" / name
    model, features = _load(folder), np.load(folder / "input.npy")
    recorded = np.load(folder / "tensors.npz")
    compared = Counter[str]()
    for frame in range(RECORDED_INPUTS):
        values: dict[int, np.ndarray] = {int(model.subgraph.inputs[0]): features[frame]}
        for position, kind, operator in model.operators():
            key = f"in{frame}_op{position}_{kind}"
            x = values.get(int(operator.inputs[0]))
            if kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
                assert x is not None
                y, _, cell = lstm_sequence(model.lstm(operator).layer(x.shape[1]), x)
                np.testing.assert_array_equal(y, recorded[key])
                np.testing.assert_array_equal(cell, recorded[f"in{frame}_op{position}_final_cell_state"])
                compared[kind] += 1
            elif kind == "FULLY_CONNECTED" and model.is_int8(operator.inputs[0]):
                assert x is not None
                y = _apply(*model.fully_connected(operator), x)
                np.testing.assert_array_equal(y, recorded[key].reshape(y.shape))
                compared[kind] += 1
            if kind == "UNPACK":  # of several outputs only the first is recorded
                values.update({int(index): x[n] for n, index in enumerate(operator.outputs)})
            elif key in recorded:
                values[int(operator.outputs[0])] = recorded[key]
    lstms, linears = COMPARED_OPERATORS[name]
    assert compared["UNIDIRECTIONAL_SEQUENCE_LSTM"] == lstms * RECORDED_INPUTS
    assert compared["FULLY_CONNECTED"] == linears * RECORDED_INPUTS


class UncomparedOperatorError(Exception):
    """An operator this test has no integers for."""


def _run_whole(model: TfliteModel, x: np.ndarray, states: dict[int, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Run a converted model on int8[N, T, F]; `states` keeps each LSTM's state by its position."""
    values = {int(model.subgraph.inputs[0]): x}
    for position, kind, operator in model.operators():
        x = values[int(operator.inputs[0])]
        match kind:
            case "UNIDIRECTIONAL_SEQUENCE_LSTM":
                layer = model.lstm(operator).layer(x.shape[1])
                y, *state = lstm_sequence(layer, x, *states.get(position, (None, None)))
                states[position] = (state[0], state[1])
            case "FULLY_CONNECTED":
                layer, floor = model.fully_connected(operator)
                y = _apply(layer, floor, x).reshape(*x.shape[:-1], -1)
            case "REVERSE_V2":
                y = x[:, ::-1]
            case "STRIDED_SLICE":  # every one of these models' is "the last step"
                assert [model.constant(index).tolist() for index in operator.inputs[1:]] == [
                    [0, -1, 0],
                    [0] * 3,
                    [1] * 3,
                ]
                y = x[:, -1]
            case "CONCATENATION":
                operands = [int(index) for index in operator.inputs]
                assert len({(model.scale(index), model.zero_point(index)) for index in operands}) == 1
                y = np.concatenate([values[index] for index in operands], axis=-1)
            case "LOGISTIC":
                real = np.float32(model.scale(operator.inputs[0])) * (
                    np.arange(-128, 128) - model.zero_point(operator.inputs[0])
                ).astype(np.float32)
                table = np.floor(256 / (1 + np.exp(-real)) + 0.5) - 128
                y = np.clip(table, -128, 127).astype(np.int8)[x.astype(int) + 128]
            case _:
                raise UncomparedOperatorError(kind)
        values[int(operator.outputs[0])] = y
    return values[int(model.subgraph.outputs[0])]


# g computes its GRU with operators this package has no layer for; its fully connected ones are compared above.
WHOLE_MODELS = sorted(COMPARED_OPERATORS.keys() - {"g_gru16_unroll_t5"})


@pytest.mark.parametrize("name", WHOLE_MODELS)
def test_whole_converted_models(name: str, shared_data: Path) -> None:
    folder = shared_data / "tflite" / name
    model, features = _load(folder), np.load(folder / "input.npy")
    expected = np.load(folder / "output.npy")
    frames, batch = features.shape[:2]
    fresh = _run_whole(model, features.reshape(frames * batch, *features.shape[2:]), {})
    np.testing.assert_array_equal(fresh.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", WHOLE_MODELS)
def test_whole_converted_models_with_kept_state(name: str, shared_data: Path) -> None:
    folder = shared_data / "tflite" / name
    model, features = _load(folder), np.load(folder / "input.npy")
    expected = np.load(folder / "output_stream.npy")
    assert len(expected) == 8
    states: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for x, y in zip(features, expected, strict=False):
        np.testing.assert_array_equal(_run_whole(model, x, states).reshape(y.shape), y)
    assert len(states) == COMPARED_OPERATORS[name][0]


def test_an_operator_without_integers_is_not_passed_over(shared_data: Path) -> None:
    folder = shared_data / "tflite" / "g_gru16_unroll_t5"
    with pytest.raises(UncomparedOperatorError, match="RESHAPE"):
        _run_whole(_load(folder), np.load(folder / "input.npy")[0], {})
