"""Float execution of a graph: every tensor's value, for calibration and as the reference of quantized results."""

from __future__ import annotations

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.check import cell_key
from accelsim.graph.model import FloatArray, Gate, Graph, Linear, Lstm


def run_float(graph: Graph, features: FloatArray) -> dict[str, FloatArray]:
    """Run a graph in float32 on many frames at once.

    Parameters
    ----------
    graph : Graph
        A valid one (see `check_graph`).
    features : float32[N, T, F] or float32[N, F]
        N frames, each of the shape of the graph's input.

    Returns
    -------
    dict of str to float32[N, ...]
        Every tensor's value by its name, frame axis first, and each LSTM's cell state float32[N, T, units] as
        ``f"{layer.name}.cell"``.

    Raises
    ------
    InputError
        If the features are not float32 of the input's shape.
    """
    found = f"{features.dtype}{list(features.shape)}"
    if features.dtype != np.float32 or features.ndim != 1 + len(graph.input.shape):
        raise InputError("features", graph.input.name, found, f"float32[N, {', '.join(map(str, graph.input.shape))}]")
    if features.shape[1:] != graph.input.shape:
        raise InputError("features", graph.input.name, f"frames of shape {features.shape[1:]}", f"{graph.input.shape}")
    values = {graph.input.name: features}
    for layer in graph.layers:
        x = values[layer.x.name]
        if isinstance(layer, Lstm):
            values[layer.y.name], values[cell_key(layer)] = _lstm(layer, x)
        elif isinstance(layer, Linear):
            values[layer.y.name] = x @ layer.weights.T + layer.bias
        else:
            values[layer.y.name] = x[:, layer.step]
    return values


def sigmoid(x: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))`` in float32, without overflow for any finite `x`."""
    small = np.exp(-np.abs(x))
    numerator = np.where(x >= 0, np.float32(1), small)
    return np.divide(numerator, np.float32(1) + small, dtype=np.float32)


def _lstm(layer: Lstm, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hidden and cell states, float32[N, T, units] each, from float32[N, T, inputs]; both start from zero.

    Source: ONNX operator LSTM without peepholes: c = f * c + i * tanh(g), h = o * tanh(c).
    """
    frames, steps, inputs = x.shape
    units = layer.units
    hidden = np.empty((frames, steps, units), np.float32)
    cell = np.empty((frames, steps, units), np.float32)
    input_weights = layer.input_weights.reshape(-1, inputs).T
    recurrent_weights = layer.recurrent_weights.reshape(-1, units).T
    bias = layer.bias.reshape(-1)
    h = np.zeros((frames, units), np.float32)
    c = np.zeros((frames, units), np.float32)
    for step in range(steps):
        gates = (x[:, step] @ input_weights + h @ recurrent_weights + bias).reshape(frames, len(Gate), units)
        # One exp for the three sigmoids: the cell candidate's column is computed too and not used.
        gate = sigmoid(gates)
        candidate = np.tanh(gates[:, Gate.CELL])
        c = gate[:, Gate.FORGET] * c + gate[:, Gate.INPUT] * candidate
        h = gate[:, Gate.OUTPUT] * np.tanh(c)
        hidden[:, step] = h
        cell[:, step] = c
    return hidden, cell
