"""Random quantized graphs with well-scaled integers, of any size."""

from __future__ import annotations

import numpy as np

from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import QGraph, QLinear, QLstm, QSelectStep, QTensor, fold_zero_point


def tensor(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> QTensor:
    return QTensor(name, shape, np.array([scale], np.float32), zero_point)


def random_lstm(rng: np.random.Generator, name: str, x: QTensor, y: QTensor, clip: float = 0.0) -> QLstm:
    inputs, units = x.features, y.features
    cell_scale_log2 = int(rng.integers(-15, -8))
    hidden_scale, hidden_zero = float(y.scale[0]), y.zero_point
    # Scales such that gates reach their curved parts and, now and then, saturate.
    spread = float(rng.uniform(1, 6))
    return lstm_from_scales(
        name=name,
        x=x,
        y=y,
        input_weights=rng.integers(-127, 128, (4, units, inputs)).astype(np.int8),
        input_weight_scales=[spread / 127 / np.sqrt(inputs) / max(float(x.scale[0]) * 64, 1e-6)] * 4,
        recurrent_weights=rng.integers(-127, 128, (4, units, units)).astype(np.int8),
        recurrent_weight_scales=[float(s) for s in rng.uniform(0.5, 2, 4) * spread / 127 / np.sqrt(units)],
        bias=rng.integers(-3000, 3000, (4, units)).astype(np.int32),
        input_scale=float(x.scale[0]),
        input_zero_point=x.zero_point,
        recurrent_scale=hidden_scale,
        recurrent_zero_point=hidden_zero,
        hidden_scale=hidden_scale,
        hidden_zero_point=hidden_zero,
        cell_scale_log2=cell_scale_log2,
        cell_clip=clip,
    )


def random_linear(rng: np.random.Generator, name: str, x: QTensor, y: QTensor) -> QLinear:
    weights = rng.integers(-127, 128, (y.features, x.features)).astype(np.int8)
    bias = rng.integers(-2000, 2000, y.features).astype(np.int32)
    scale = rng.uniform(0.2, 2, y.features) / 64 / np.sqrt(x.features)
    return QLinear(name, x, y, weights, fold_zero_point(weights, bias, x.zero_point), scale.astype(np.float64))


def random_graph(
    seed: int,
    *,
    steps: int = 5,
    sizes: tuple[int, ...] = (10, 8),
    linear: int | None = None,
    linear_first: int | None = None,
    select: int | None = None,
    clip: float = 0.0,
) -> QGraph:
    """A stack of LSTMs `sizes[0] -> sizes[1] -> ...`, with linear layers around and a selected step on request."""
    rng = np.random.default_rng(seed)

    def fresh(name: str, shape: tuple[int, ...]) -> QTensor:
        return tensor(name, shape, float(rng.uniform(0.004, 0.03)), int(rng.integers(-30, 30)))

    x = start = fresh("x", (steps, sizes[0]))
    layers: list[QLstm | QLinear | QSelectStep] = []
    if linear_first:
        y = fresh("pre", (steps, linear_first))
        layers.append(random_linear(rng, "pre", x, y))
        x = y
    for index, units in enumerate(sizes[1:]):
        y = fresh(f"h{index}", (steps, units))
        layers.append(random_lstm(rng, f"lstm_{index}", x, y, clip))
        x = y
    if select is not None:
        y = QTensor("selected", (x.features,), x.scale, x.zero_point)
        layers.append(QSelectStep("select", x, y, select % steps))
        x = y
    if linear:
        y = fresh("logits", (*x.shape[:-1], linear))
        layers.append(random_linear(rng, "fc", x, y))
        x = y
    return QGraph(f"random_{seed}", start, x, tuple(layers))
