"""Random quantized graphs of any size for compiled programs, their integers scaled so that next to nothing saturates: a
wrong sum anywhere shows in the output. `quantized_graphs` makes the others, whose fields go to their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import (
    QConcat,
    QGraph,
    QGru,
    QLayer,
    QLinear,
    QLstm,
    QRnn,
    QSelectStep,
    QTensor,
    Requantizer,
    fold_zero_point,
)


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


def random_gru(rng: np.random.Generator, name: str, x: QTensor, y: QTensor, *, linear_before_reset: bool) -> QGru:
    inputs, units = x.features, y.features

    def factors(columns: int) -> tuple[Requantizer, Requantizer, Requantizer]:
        values = [Requantizer.of(float(rng.uniform(0.3, 3)) / np.sqrt(columns)) for _ in range(3)]
        return values[0], values[1], values[2]

    return QGru(
        name=name,
        x=x,
        y=y,
        input_weights=rng.integers(-127, 128, (3, units, inputs)).astype(np.int8),
        recurrent_weights=rng.integers(-127, 128, (3, units, units)).astype(np.int8),
        input_bias=rng.integers(-3000, 3000, (3, units)).astype(np.int32),
        recurrent_bias=rng.integers(-3000, 3000, (3, units)).astype(np.int32),
        input_requantizers=factors(inputs),
        recurrent_requantizers=factors(units),
        hidden_requantizer=Requantizer.of(2.0**-15 / float(y.scale[0])),
        hidden_zero_point=y.zero_point,
        linear_before_reset=linear_before_reset,
    )


def random_rnn(rng: np.random.Generator, name: str, x: QTensor, y: QTensor, activation: str) -> QRnn:
    inputs, units = x.features, y.features
    log2 = -12 if activation == "tanh" else int(rng.integers(-14, -10))
    hidden = 2.0**-15 if activation == "tanh" else 2.0**log2
    return QRnn(
        name=name,
        x=x,
        y=y,
        input_weights=rng.integers(-127, 128, (units, inputs)).astype(np.int8),
        recurrent_weights=rng.integers(-127, 128, (units, units)).astype(np.int8),
        input_bias=rng.integers(-3000, 3000, units).astype(np.int32),
        recurrent_bias=rng.integers(-3000, 3000, units).astype(np.int32),
        input_requantizer=Requantizer.of(float(rng.uniform(0.3, 3)) / np.sqrt(inputs)),
        recurrent_requantizer=Requantizer.of(float(rng.uniform(0.1, 1)) / np.sqrt(units)),
        preactivation_scale_log2=log2,
        activation=activation,
        hidden_requantizer=Requantizer.of(hidden / float(y.scale[0])),
        hidden_zero_point=y.zero_point,
    )


def random_recurrent(rng: np.random.Generator, name: str, x: QTensor, y: QTensor, reverse: bool) -> QLayer:
    """An LSTM, GRU or RNN."""
    kind = rng.integers(5)
    if kind == 0:
        layer: QLstm | QGru | QRnn = random_lstm(rng, name, x, y)
    elif kind <= 2:
        layer = random_gru(rng, name, x, y, linear_before_reset=bool(kind == 1))
    else:
        layer = random_rnn(rng, name, x, y, "tanh" if kind == 3 else "relu")
    return replace(layer, reverse=reverse)


def random_network(seed: int, *, steps: int, layers: int, largest: int = 16) -> QGraph:
    """Recurrent layers of any kind and direction, and any of the ends that exporters make of them."""
    rng = np.random.default_rng(seed)

    def fresh(name: str, shape: tuple[int, ...]) -> QTensor:
        return tensor(name, shape, float(rng.uniform(0.004, 0.03)), int(rng.integers(-30, 30)))

    x = start = fresh("x", (steps, int(rng.integers(1, largest + 1))))
    made: list[QLayer] = []
    for index in range(layers):
        if rng.random() < 0.2:
            y = fresh(f"between{index}", (steps, int(rng.integers(1, largest + 1))))
            made.append(random_linear(rng, f"between{index}", x, y))
            x = y
        units = int(rng.integers(1, largest + 1))
        direction = rng.choice(["forward", "reverse", "both"])
        y = fresh(f"h{index}", (steps, units))
        if direction != "both":
            made.append(random_recurrent(rng, f"layer{index}", x, y, direction == "reverse"))
            x = y
            continue
        back = replace(y, name=f"b{index}")
        made += [
            random_recurrent(rng, f"layer{index}", x, y, False),
            random_recurrent(rng, f"layer{index}_back", x, back, True),
        ]
        x = QTensor(f"y{index}", (steps, 2 * units), y.scale, y.zero_point)
        made.append(QConcat(f"concat{index}", (y, back), x))
    end = rng.integers(4)
    if end == 1:
        picked = QTensor("picked", (x.features,), x.scale, x.zero_point)
        made.append(QSelectStep("pick", x, picked, int(rng.integers(steps))))
        x = picked
    elif end == 2 and made:
        parts = []
        for place in (0, steps - 1):
            parts.append(QTensor(f"step{place}_{len(parts)}", (x.features,), x.scale, x.zero_point))
            made.append(QSelectStep(f"pick{len(parts)}", x, parts[-1], place))
        joined = QTensor("joined", (2 * x.features,), x.scale, x.zero_point)
        made.append(QConcat("join", tuple(parts), joined))
        x = joined
    if rng.random() < 0.6 or not layers:
        y = fresh("logits", (*x.shape[:-1], int(rng.integers(1, 10))))
        made.append(random_linear(rng, "fc", x, y))
        x = y
    return QGraph(f"network_{seed}", start, x, tuple(made))


def random_skips(seed: int, *, steps: int, largest: int = 10) -> QGraph:
    """Layers that read the graph's input beside other layers' results: joined in any order, and more than once."""
    rng = np.random.default_rng(seed)
    scale, zero_point = float(rng.uniform(0.004, 0.03)), int(rng.integers(-30, 30))
    made: list[QLayer] = []

    def fresh(name: str, *shape: int) -> QTensor:
        return tensor(name, shape, scale, zero_point)

    def size() -> int:
        return int(rng.integers(1, largest + 1))

    def join(name: str, *parts: QTensor) -> QTensor:
        order = rng.permutation(len(parts))
        y = fresh(name, *parts[0].shape[:-1], sum(part.features for part in parts))
        made.append(QConcat(name, tuple(parts[place] for place in order), y))
        return y

    def pick(name: str, x: QTensor, step: int) -> QTensor:
        made.append(QSelectStep(name, x, fresh(name, x.features), step))
        return made[-1].y

    def recurrent(name: str, x: QTensor) -> QTensor:
        y = fresh(name, steps, size())
        made.append(random_recurrent(rng, f"{name} layer", x, y, bool(rng.integers(2))))
        return y

    x = fresh("x", steps, size())
    first = fresh("first", steps, size())
    made.append(random_linear(rng, "dense", x, first))
    second = recurrent("second", first)
    third = recurrent("third", join("two", second, x) if rng.integers(2) else join("three", x, first, second))
    end = rng.integers(5)
    if end == 0:
        joined = join("end", first, x, third, x)
    elif end == 1:
        joined = pick("picked", join("end", second, third, x), int(rng.integers(steps)))
    elif end == 2:
        own, other = int(rng.integers(steps)), int(rng.integers(steps))
        joined = join("end", pick("picked", third, own), pick("picked input", x, other))
    elif end == 3:
        joined = join("end", join("inner", x, third), first)
    else:
        joined = join("end", x, x)
    y = fresh("logits", *joined.shape[:-1], size())
    made.append(random_linear(rng, "fc", joined, y))
    return QGraph(f"skips_{seed}", x, y, tuple(made))
