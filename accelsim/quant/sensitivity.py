"""How much a recurrent layer's result moves with each pre-activation: what an error there costs.

The effect on later time steps is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.graph.check import cell_key
from accelsim.graph.execute import sigmoid
from accelsim.graph.model import FloatArray, Gate, Gru, GruGate, Lstm, Recurrent

Float64Array = NDArray[np.float64]


def sensitivity(layer: Recurrent, tensors: dict[str, FloatArray]) -> Float64Array:
    """Squared derivative of the hidden state by each pre-activation of its own time step.

    Parameters
    ----------
    layer : Recurrent
    tensors : dict of str to float32[N, ...]
        As `graph.execute.run_float` returns them.

    Returns
    -------
    float64[rows, gates, units]
        Rows are frames times time steps, in the order of time; a vanilla RNN has one gate.
    """

    def taken(name: str) -> FloatArray:
        """A sequence in the order in which the layer takes its steps."""
        return tensors[name][:, ::-1] if layer.reverse else tensors[name]

    x, hidden = taken(layer.x.name), taken(layer.y.name)
    if isinstance(layer, Lstm):
        derivative = _lstm(layer, x, hidden, taken(cell_key(layer)))
    elif isinstance(layer, Gru):
        derivative = _gru(layer, x, hidden)
    else:
        wide = hidden.astype(np.float64)
        slope = 1 - wide**2 if layer.activation == "tanh" else (wide > 0).astype(np.float64)
        derivative = slope[:, :, np.newaxis] ** 2
    in_time = derivative[:, ::-1] if layer.reverse else derivative
    return in_time.reshape(-1, *derivative.shape[2:])


def _lstm(layer: Lstm, x: FloatArray, hidden: FloatArray, cell: FloatArray) -> Float64Array:
    """float64[N, T, 4, units]. Source: c = f * c' + i * tanh(g), h = o * tanh(c), differentiated."""
    hidden_before, cell_before = _delayed(hidden), _delayed(cell)
    gates = _products(x, layer.input_weights) + _products(hidden_before, layer.recurrent_weights) + layer.bias
    opened = sigmoid(gates).astype(np.float64)
    slope = opened * (1 - opened)
    candidate = np.tanh(gates[..., Gate.CELL, :].astype(np.float64))
    squashed = np.tanh(cell.astype(np.float64))
    through_cell = opened[..., Gate.OUTPUT, :] * (1 - squashed**2)
    derivative = np.empty(gates.shape)
    derivative[..., Gate.INPUT, :] = through_cell * candidate * slope[..., Gate.INPUT, :]
    derivative[..., Gate.FORGET, :] = through_cell * cell_before * slope[..., Gate.FORGET, :]
    derivative[..., Gate.CELL, :] = through_cell * opened[..., Gate.INPUT, :] * (1 - candidate**2)
    derivative[..., Gate.OUTPUT, :] = squashed * slope[..., Gate.OUTPUT, :]
    return derivative**2


def _gru(layer: Gru, x: FloatArray, hidden: FloatArray) -> Float64Array:
    """float64[N, T, 3, units]. Source: h = (1 - z) n + z h', `graph.Gru`, differentiated.

    With the reset gate before the product a reset pre-activation moves every unit: the squares of all are added.
    """
    before = _delayed(hidden)
    from_input = _products(x, layer.input_weights) + layer.input_bias
    from_hidden = _products(before, layer.recurrent_weights) + layer.recurrent_bias
    opened = sigmoid(from_input + from_hidden).astype(np.float64)
    slope = opened * (1 - opened)
    reset, update = opened[..., GruGate.RESET, :], opened[..., GruGate.UPDATE, :]
    wide = before.astype(np.float64)
    recurrent = layer.recurrent_weights[GruGate.CANDIDATE].astype(np.float64)
    product = from_hidden[..., GruGate.CANDIDATE, :].astype(np.float64)
    if layer.linear_before_reset:
        inner = reset * product
    else:
        inner = (reset * wide) @ recurrent.T + layer.recurrent_bias[GruGate.CANDIDATE]
    candidate = np.tanh(from_input[..., GruGate.CANDIDATE, :] + inner)
    by_candidate = ((1 - update) * (1 - candidate**2)) ** 2
    by_inner = by_candidate * product**2 if layer.linear_before_reset else (by_candidate @ recurrent**2) * wide**2
    squared = np.empty(opened.shape)
    squared[..., GruGate.RESET, :] = by_inner * slope[..., GruGate.RESET, :] ** 2
    squared[..., GruGate.UPDATE, :] = ((wide - candidate) * slope[..., GruGate.UPDATE, :]) ** 2
    squared[..., GruGate.CANDIDATE, :] = by_candidate
    return squared


def _products(x: FloatArray, weights: FloatArray) -> FloatArray:
    """float32[N, T, gates, units] of float32[N, T, columns] and float32[gates, units, columns]."""
    flat = x @ weights.reshape(-1, weights.shape[-1]).T
    return flat.reshape(*x.shape[:-1], *weights.shape[:-1])


def _delayed(sequence: FloatArray) -> FloatArray:
    """The sequence one step later, zero first."""
    before = np.zeros_like(sequence)
    before[:, 1:] = sequence[:, :-1]
    return before
