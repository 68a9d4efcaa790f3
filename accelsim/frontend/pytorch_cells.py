"""One direction of an `nn.LSTM`, `nn.GRU` or `nn.RNN` layer, from its parameters.

Source: the documentation of `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`: equations and orders of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.model import FloatArray, Gate, Gru, GruGate, Lstm, Recurrent, Rnn, Tensor

OPERATORS = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Gates of each recurrent operator: so many times the hidden size are the rows of its weights."""
BIASES = ["bias_ih", "bias_hh"]
_LSTM_ROWS = np.argsort((Gate.INPUT, Gate.FORGET, Gate.CELL, Gate.OUTPUT))
"""PyTorch's position of each of our gates, in its order i, f, g, o."""
_GRU_ROWS = np.argsort((GruGate.RESET, GruGate.UPDATE, GruGate.CANDIDATE))
"""The same for its order r, z, n."""


@dataclass(frozen=True)
class Direction:
    """What is known of one direction of a layer beside its tensors.

    Parameters
    ----------
    path : str or Path
    operator : str
        A key of `OPERATORS`.
    prefix, suffix : str
        What stands before and after a role in the tensors' names.
    nonlinearity : str
        The activation of an RNN.
    reverse : bool
    """

    path: str | Path
    operator: str
    prefix: str
    suffix: str
    nonlinearity: str
    reverse: bool = False


def read_direction(direction: Direction, roles: Mapping[str, FloatArray], name: str, x: Tensor) -> Recurrent:
    """The layer under `name` on `x`.

    Parameters
    ----------
    direction : Direction
    roles : mapping of str to float32 array
        "weight_ih" and "weight_hh", and both biases or none.
    name : str
    x : Tensor
        (T, inputs).

    Raises
    ------
    InputError
        If a tensor has another shape than the operator asks for.
    """

    def label(role: str) -> str:
        return f"tensor '{direction.prefix}{role}{direction.suffix}'"

    for role in ("weight_ih", "weight_hh"):
        if roles[role].ndim != 2:
            raise InputError(direction.path, label(role), f"has shape {roles[role].shape}", "a matrix")
    units, gates = int(roles["weight_hh"].shape[1]), OPERATORS[direction.operator]
    rows = gates * units
    check_shape(direction.path, label("weight_hh"), roles["weight_hh"], (rows, units))
    check_shape(direction.path, label("weight_ih"), roles["weight_ih"], (rows, x.features))
    biases = []
    for role in BIASES:
        biases.append(roles.get(role, np.zeros(rows, np.float32)))
        check_shape(direction.path, label(role), biases[-1], (rows,))
    y = Tensor(f"{name}.y", (x.shape[0], units))
    if direction.operator == "RNN":
        activation = direction.nonlinearity
        bias = biases[0] + biases[1]
        return Rnn(name, x, y, roles["weight_ih"], roles["weight_hh"], bias, activation, direction.reverse)
    order = _LSTM_ROWS if direction.operator == "LSTM" else _GRU_ROWS
    input_weights = roles["weight_ih"].reshape(gates, units, x.features)[order]
    recurrent_weights = roles["weight_hh"].reshape(gates, units, units)[order]
    input_bias, recurrent_bias = (bias.reshape(gates, units)[order] for bias in biases)
    if direction.operator == "LSTM":
        return Lstm(name, x, y, input_weights, recurrent_weights, input_bias + recurrent_bias, direction.reverse)
    return Gru(
        name,
        x,
        y,
        input_weights,
        recurrent_weights,
        input_bias,
        recurrent_bias,
        linear_before_reset=True,
        reverse=direction.reverse,
    )


def check_shape(path: str | Path, label: str, tensor: FloatArray, shape: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape.

    Raises
    ------
    InputError
    """
    if tensor.shape != shape:
        raise InputError(path, label, f"has shape {tensor.shape}", f"{shape}")
