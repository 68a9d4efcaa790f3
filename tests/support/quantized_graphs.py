"""Random quantized graphs of every cell and direction for arithmetic and files, and their comparison field by field.

Scales and zero points go to their limits and many outputs saturate; `random_models` makes graphs where few do.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import (
    QConcat,
    QGraph,
    QGru,
    QLayer,
    QLinear,
    QLstm,
    QRecurrent,
    QRnn,
    QSelectStep,
    QTensor,
)
from accelsim.quant.recurrent_parameters import gru_from_scales, rnn_from_scales

CELLS = ("lstm", "gru, linear before reset", "gru", "rnn, tanh", "rnn, relu")
DIRECTIONS = ("forward", "reverse", "bidirectional")
INPUT_SCALE = 0.05
"""With which cells read their input's bytes, whatever scale describes them: they are all that counts."""


def random_tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...], *, per_feature: bool = False) -> QTensor:
    size = shape[-1] if per_feature else 1
    scale = (10.0 ** rng.uniform(-3, 0, size)).astype(np.float32)
    return QTensor(name, shape, scale, int(rng.integers(-128, 128)))


def weight_scales(rng: np.random.Generator, columns: int, operand_scale: float, aim: float, gates: int) -> np.ndarray:
    """Such that products of random bytes spread over about +-`aim`."""
    spread = aim / (75 * 75 * np.sqrt(columns) * operand_scale)
    return (spread * rng.uniform(0.5, 2.0, gates)).astype(np.float32)


def random_weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def random_bias(rng: np.random.Generator, scales: np.ndarray, units: int, deviation: float = 1.0) -> np.ndarray:
    return (rng.normal(0.0, deviation, (len(scales), units)) / scales[:, None]).astype(np.int32)


def random_lstm(
    rng: np.random.Generator,
    name: str,
    x: QTensor,
    units: int,
    *,
    y: QTensor | None = None,
    excess: float = 1.0,
    bias: bool = True,
    reverse: bool = False,
) -> QLstm:
    """Gates spread over about +-2 for `excess` 1; much more saturates them."""
    recurrent_scale = float(rng.uniform(0.3, 1.5)) / 127
    input_weight_scales = weight_scales(rng, x.features, INPUT_SCALE, 2.0 * excess, 4)
    biases = random_bias(rng, input_weight_scales * INPUT_SCALE, units)
    return lstm_from_scales(
        name,
        x,
        random_tensor(rng, f"{name}.y", (x.shape[0], units)) if y is None else y,
        input_weights=rng.integers(-128, 128, (4, units, x.features)).astype(np.int8),
        input_weight_scales=input_weight_scales,
        recurrent_weights=random_weights(rng, 4, units, units),
        recurrent_weight_scales=weight_scales(rng, units, recurrent_scale, 2.0 * excess, 4),
        bias=biases if bias else np.zeros_like(biases),
        input_scale=INPUT_SCALE,
        input_zero_point=x.zero_point,
        recurrent_scale=recurrent_scale,
        recurrent_zero_point=int(rng.integers(-128, 128)),
        hidden_scale=float(rng.uniform(0.3, 1.2)) / 127,
        hidden_zero_point=int(rng.integers(-60, 61)),
        cell_scale_log2=int(rng.integers(-15, -8)),
        cell_clip=float(rng.choice([0.0, float(rng.uniform(0.05, 1.0)), 10.0])),
        reverse=reverse,
    )


def random_gru(
    rng: np.random.Generator,
    name: str,
    x: QTensor,
    units: int,
    *,
    linear_before_reset: bool,
    y: QTensor | None = None,
    excess: float = 1.0,
    bias: bool = True,
    reverse: bool = False,
) -> QGru:
    hidden_scale = float(rng.uniform(0.3, 1.2)) / 127
    input_weight_scales = weight_scales(rng, x.features, INPUT_SCALE, 2.0 * excess, 3)
    recurrent_weight_scales = weight_scales(rng, units, hidden_scale, 2.0 * excess, 3)
    input_bias = random_bias(rng, input_weight_scales * INPUT_SCALE, units)
    recurrent_bias = random_bias(rng, recurrent_weight_scales * hidden_scale, units)
    return gru_from_scales(
        name,
        x,
        random_tensor(rng, f"{name}.y", (x.shape[0], units)) if y is None else y,
        input_weights=random_weights(rng, 3, units, x.features),
        input_weight_scales=input_weight_scales,
        recurrent_weights=random_weights(rng, 3, units, units),
        recurrent_weight_scales=recurrent_weight_scales,
        input_bias=input_bias if bias else np.zeros_like(input_bias),
        recurrent_bias=recurrent_bias if bias else np.zeros_like(recurrent_bias),
        input_scale=INPUT_SCALE,
        input_zero_point=x.zero_point,
        hidden_scale=hidden_scale,
        hidden_zero_point=int(rng.integers(-60, 61)),
        linear_before_reset=linear_before_reset,
        reverse=reverse,
    )


def random_rnn(
    rng: np.random.Generator,
    name: str,
    x: QTensor,
    units: int,
    *,
    activation: str,
    y: QTensor | None = None,
    excess: float = 1.0,
    bias: bool = True,
    reverse: bool = False,
) -> QRnn:
    log2 = -12 if activation == "tanh" else int(rng.integers(-20, -4))
    # What the pre-activations are to spread over: a quarter of their range for relu, which has no curved part.
    aim = 2.0 if activation == "tanh" else 2.0 ** (log2 + 13)
    hidden_scale = float(rng.uniform(0.3, 1.2)) / 127 * (1.0 if activation == "tanh" else aim * 4)
    input_weight_scales = weight_scales(rng, x.features, INPUT_SCALE, aim * excess, 1)
    biases = random_bias(rng, input_weight_scales * INPUT_SCALE, units, aim / 2)[0]
    return rnn_from_scales(
        name,
        x,
        random_tensor(rng, f"{name}.y", (x.shape[0], units)) if y is None else y,
        input_weights=random_weights(rng, units, x.features),
        input_weight_scale=float(input_weight_scales[0]),
        recurrent_weights=random_weights(rng, units, units),
        recurrent_weight_scale=float(weight_scales(rng, units, hidden_scale, aim * excess, 1)[0]),
        bias=biases if bias else np.zeros_like(biases),
        input_scale=INPUT_SCALE,
        input_zero_point=x.zero_point,
        hidden_scale=hidden_scale,
        hidden_zero_point=int(rng.integers(-128, 0)),
        activation=activation,
        preactivation_scale_log2=log2,
        reverse=reverse,
    )


def random_cell(
    rng: np.random.Generator, cell: str, name: str, x: QTensor, units: int, **options: Any
) -> QLstm | QGru | QRnn:
    """One direction of a layer of one of `CELLS`."""
    kind, _, which = cell.partition(", ")
    if kind == "lstm":
        return random_lstm(rng, name, x, units, **options)
    if kind == "gru":
        return random_gru(rng, name, x, units, linear_before_reset=bool(which), **options)
    return random_rnn(rng, name, x, units, activation=which, **options)


def concat(name: str, *parts: QTensor) -> QConcat:
    shape = (*parts[0].shape[:-1], sum(part.features for part in parts))
    return QConcat(name, parts, QTensor(f"{name}.y", shape, parts[0].scale, parts[0].zero_point))


def random_layers(
    rng: np.random.Generator, cell: str, direction: str, name: str, x: QTensor, units: int, **options: Any
) -> list[QRecurrent | QConcat]:
    """One layer of one of `CELLS` in one of `DIRECTIONS`; the last one's y is its output."""
    if direction != "bidirectional":
        return [random_cell(rng, cell, name, x, units, reverse=direction == "reverse", **options)]
    joined = random_tensor(rng, f"{name}.y", (x.shape[0], units))
    forward = random_cell(rng, cell, name, x, units, y=joined, **options)
    backward = random_cell(
        rng, cell, f"{name}_back", x, units, y=replace(joined, name=f"{name}_back.y"), reverse=True, **options
    )
    return [forward, backward, concat(f"{name}_both", forward.y, backward.y)]


def random_linear(rng: np.random.Generator, name: str, x: QTensor, outputs: int) -> QLinear:
    return QLinear(
        name,
        x,
        random_tensor(rng, f"{name}.y", (*x.shape[:-1], outputs)),
        rng.integers(-128, 128, (outputs, x.features)).astype(np.int8),
        rng.integers(-20000, 20000, outputs).astype(np.int32),
        rng.uniform(0.001, 0.02, outputs),
    )


def select_step(name: str, x: QTensor, step: int) -> QSelectStep:
    return QSelectStep(name, x, QTensor(f"{name}.y", (x.features,), x.scale, x.zero_point), step)


def random_graph(
    rng: np.random.Generator,
    *,
    largest: int = 16,
    most_cells: int = 3,
    excess: float = 1.0,
    steps: int | None = None,
    cells: tuple[str, ...] = CELLS,
) -> QGraph:
    """Recurrent layers, perhaps fully connected ones between, perhaps a step selected, perhaps one to end."""
    steps = int(rng.integers(1, 7)) if steps is None else steps
    features = int(rng.integers(1, largest + 1))
    source = random_tensor(rng, "features", (steps, features), per_feature=bool(rng.random() < 0.5))
    layers: list[QLayer] = []
    x = source
    for index in range(int(rng.integers(1, most_cells + 1))):
        cell, direction = str(rng.choice(cells)), str(rng.choice(DIRECTIONS))
        units = int(rng.integers(1, largest + 1))
        bias = bool(rng.random() < 0.8)
        layers += random_layers(rng, cell, direction, f"cell{index}", x, units, excess=excess, bias=bias)
        x = layers[-1].y
        if rng.random() < 0.25:
            layers.append(random_linear(rng, f"between{index}", x, int(rng.integers(1, largest + 1))))
            x = layers[-1].y
    if rng.random() < 0.7:
        layers.append(select_step("select", x, int(rng.integers(0, steps))))
        x = layers[-1].y
    if rng.random() < 0.7:
        layers.append(random_linear(rng, "fc", x, int(rng.integers(1, largest + 1))))
        x = layers[-1].y
    return QGraph("random", source, x, tuple(layers))


def difference(first: Any, second: Any, place: str = "graph") -> str:
    """Where two quantized graphs differ, in type or value; empty where they don't."""
    if type(first) is not type(second):
        return f"{place}: {type(first)} and {type(second)}"
    if is_dataclass(first):
        pairs = [(field.name, getattr(first, field.name), getattr(second, field.name)) for field in fields(first)]
    elif isinstance(first, tuple):
        if len(first) != len(second):
            return f"{place}: {len(first)} and {len(second)}"
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(first, second, strict=True))]
    elif isinstance(first, np.ndarray):
        same = first.dtype == second.dtype and np.array_equal(first, second)
        return "" if same else f"{place}: arrays"
    else:
        return "" if first == second else f"{place}: {first} and {second}"
    return next(filter(None, (difference(a, b, f"{place}.{name}") for name, a, b in pairs)), "")
