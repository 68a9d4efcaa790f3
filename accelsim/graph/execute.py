"""Float execution of a graph: every tensor's value, for calibration and as the reference of quantized results."""

from __future__ import annotations

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.check import cell_key, preactivation_key
from accelsim.graph.model import Concat, FloatArray, Gate, Graph, Gru, GruGate, Linear, Lstm, Recurrent, Rnn, SelectStep


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
        Every tensor's value by its name, frame axis first; and, in the order of time as their layer's output is,
        each LSTM's cell state float32[N, T, units] as ``f"{layer.name}.cell"`` and what each relu RNN applies its
        activation to, of the same shape, as ``f"{layer.name}.preactivation"``.

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
        if isinstance(layer, Concat):
            values[layer.y.name] = np.concatenate([values[part.name] for part in layer.parts], axis=-1)
        elif isinstance(layer, Linear):
            values[layer.y.name] = values[layer.x.name] @ layer.weights.T + layer.bias
        elif isinstance(layer, SelectStep):
            values[layer.y.name] = values[layer.x.name][:, layer.step]
        else:
            values.update(_recurrent(layer, values[layer.x.name]))
    return values


def sigmoid(x: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))`` in float32, without overflow for any finite `x`."""
    small = np.exp(-np.abs(x))
    numerator = np.where(x >= 0, np.float32(1), small)
    return np.divide(numerator, np.float32(1) + small, dtype=np.float32)


def _recurrent(layer: Recurrent, x: FloatArray) -> dict[str, FloatArray]:
    """A recurrent layer's output, and what is reported beside it, by name."""
    found: dict[str, FloatArray] = {}
    steps = x[:, ::-1] if layer.reverse else x
    if isinstance(layer, Lstm):
        found[layer.y.name], found[cell_key(layer)] = _lstm(layer, steps)
    elif isinstance(layer, Gru):
        found[layer.y.name] = _gru(layer, steps)
    else:
        found[layer.y.name], preactivation = _rnn(layer, steps)
        if layer.activation == "relu":
            found[preactivation_key(layer)] = preactivation
    return {name: value[:, ::-1] for name, value in found.items()} if layer.reverse else found


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


def _gru(layer: Gru, x: FloatArray) -> FloatArray:
    """Hidden states float32[N, T, units] from float32[N, T, inputs], starting from zero.

    Source: ONNX operator GRU, as `Gru` writes it out.
    """
    frames, steps, inputs = x.shape
    units = layer.units
    hidden = np.empty((frames, steps, units), np.float32)
    input_weights = layer.input_weights.reshape(-1, inputs).T
    # The reset and the update gate stand before the candidate.
    gates, candidate_row = slice(0, int(GruGate.CANDIDATE)), GruGate.CANDIDATE
    gate_weights, gate_bias = layer.recurrent_weights[gates].reshape(-1, units).T, layer.recurrent_bias[gates]
    candidate_weights = layer.recurrent_weights[candidate_row].T
    candidate_bias = layer.recurrent_bias[candidate_row]
    h = np.zeros((frames, units), np.float32)
    for step in range(steps):
        inner = (x[:, step] @ input_weights).reshape(frames, len(GruGate), units) + layer.input_bias
        gate = sigmoid(inner[:, gates] + (h @ gate_weights).reshape(frames, -1, units) + gate_bias)
        reset, update = gate[:, GruGate.RESET], gate[:, GruGate.UPDATE]
        if layer.linear_before_reset:
            recalled = reset * (h @ candidate_weights + candidate_bias)
        else:
            recalled = (reset * h) @ candidate_weights + candidate_bias
        candidate = np.tanh(inner[:, candidate_row] + recalled)
        h = (np.float32(1) - update) * candidate + update * h
        hidden[:, step] = h
    return hidden


def _rnn(layer: Rnn, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hidden states and pre-activations, float32[N, T, units] each, from float32[N, T, inputs]."""
    frames, steps, _ = x.shape
    hidden = np.empty((frames, steps, layer.units), np.float32)
    preactivation = x @ layer.input_weights.T + layer.bias
    h = np.zeros((frames, layer.units), np.float32)
    for step in range(steps):
        preactivation[:, step] += h @ layer.recurrent_weights.T
        p = preactivation[:, step]
        h = np.tanh(p) if layer.activation == "tanh" else np.maximum(p, np.float32(0))
        hidden[:, step] = h
    return hidden, preactivation
