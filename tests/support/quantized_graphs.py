"""Random quantized graphs for tests, and their comparison field by field."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import QGraph, QLayer, QLinear, QLstm, QSelectStep, QTensor


def random_tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...], *, per_feature: bool = False) -> QTensor:
    size = shape[-1] if per_feature else 1
    scale = (10.0 ** rng.uniform(-3, 0, size)).astype(np.float32)
    return QTensor(name, shape, scale, int(rng.integers(-128, 128)))


def random_lstm(rng: np.random.Generator, name: str, x: QTensor, units: int, *, excess: float = 1.0) -> QLstm:
    """Gates spread over about +-2 for `excess` 1; much more saturates them."""
    y = random_tensor(rng, f"{name}.y", (x.shape[0], units))
    input_scale, recurrent_scale = 0.05, float(rng.uniform(0.3, 1.5)) / 127

    def weight_scales(columns: int, operand_scale: float) -> np.ndarray:
        aim = 2.0 * excess / (75 * 75 * np.sqrt(columns) * operand_scale)
        return (aim * rng.uniform(0.5, 2.0, 4)).astype(np.float32)

    input_weight_scales = weight_scales(x.features, input_scale)
    bias = rng.normal(0.0, 1.0, (4, units)) / (input_weight_scales[:, None] * input_scale)
    return lstm_from_scales(
        name,
        x,
        y,
        input_weights=rng.integers(-128, 128, (4, units, x.features)).astype(np.int8),
        input_weight_scales=input_weight_scales,
        recurrent_weights=rng.integers(-127, 128, (4, units, units)).astype(np.int8),
        recurrent_weight_scales=weight_scales(units, recurrent_scale),
        bias=bias.astype(np.int32),
        input_scale=input_scale,
        input_zero_point=x.zero_point,
        recurrent_scale=recurrent_scale,
        recurrent_zero_point=int(rng.integers(-128, 128)),
        hidden_scale=float(rng.uniform(0.3, 1.2)) / 127,
        hidden_zero_point=int(rng.integers(-60, 61)),
        cell_scale_log2=int(rng.integers(-15, -8)),
        cell_clip=float(rng.choice([0.0, float(rng.uniform(0.05, 1.0)), 10.0])),
    )


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
    rng: np.random.Generator, *, largest: int = 16, most_lstms: int = 3, excess: float = 1.0, steps: int | None = None
) -> QGraph:
    """Up to `most_lstms` LSTM layers, perhaps a fully connected one between, perhaps a step selected, one to end."""
    steps = int(rng.integers(1, 7)) if steps is None else steps
    features = int(rng.integers(1, largest + 1))
    source = random_tensor(rng, "features", (steps, features), per_feature=bool(rng.random() < 0.5))
    layers: list[QLayer] = []
    x = source
    for index in range(int(rng.integers(1, most_lstms + 1))):
        layers.append(random_lstm(rng, f"lstm{index}", x, int(rng.integers(1, largest + 1)), excess=excess))
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
