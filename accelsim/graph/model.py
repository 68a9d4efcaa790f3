"""Operators and tensors of a float model.

A graph describes one frame (one utterance, one sentence): a tensor is a sequence float32[T, F] or a vector
float32[F]. The batch axis of the model file is gone; frames are independent and each starts from the initial state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class Gate(IntEnum):
    """The order of the gates of an LSTM in every array of this package; front ends convert to it, nobody else."""

    INPUT = 0
    FORGET = 1
    CELL = 2
    OUTPUT = 3


class GruGate(IntEnum):
    """The order of the gates of a GRU in every array of this package."""

    RESET = 0
    UPDATE = 1
    CANDIDATE = 2


@dataclass(frozen=True)
class Tensor:
    """One value that flows between layers.

    Parameters
    ----------
    name : str
    shape : tuple of int
        (T, F) for a sequence, (F,) for a vector; per frame.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def features(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def is_sequence(self) -> bool:
        """Whether it has a time axis."""
        return len(self.shape) == 2


@dataclass(frozen=True, eq=False)
class Lstm:
    """One direction of one LSTM layer, without peepholes or projection; the initial state is zero.

    Parameters
    ----------
    name : str
    x : Tensor
        (T, inputs).
    y : Tensor
        (T, units), every time step's hidden state.
    input_weights : float32[4, units, inputs]
        Gate order `Gate`.
    recurrent_weights : float32[4, units, units]
    bias : float32[4, units]
        The sum of the input and the recurrent bias.
    reverse : bool
        It takes the steps from the last to the first; `y` is in the order of time all the same.
    """

    name: str
    x: Tensor
    y: Tensor
    input_weights: FloatArray
    recurrent_weights: FloatArray
    bias: FloatArray
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[1])


@dataclass(frozen=True, eq=False)
class Gru:
    """One direction of one GRU layer; the initial state is zero.

    ``z = sigmoid(Wz x + Rz h + bz)``, ``r = sigmoid(Wr x + Rr h + br)``, ``h = (1 - z) n + z h`` with
    ``n = tanh(Wn x + wn + r (Rn h + rn))`` where `linear_before_reset`, else ``n = tanh(Wn x + wn + Rn (r h) + rn)``.

    Parameters
    ----------
    name : str
    x : Tensor
        (T, inputs).
    y : Tensor
        (T, units).
    input_weights : float32[3, units, inputs]
        Gate order `GruGate`.
    recurrent_weights : float32[3, units, units]
    input_bias, recurrent_bias : float32[3, units]
    linear_before_reset : bool
    reverse : bool
        As `Lstm.reverse`.
    """

    name: str
    x: Tensor
    y: Tensor
    input_weights: FloatArray
    recurrent_weights: FloatArray
    input_bias: FloatArray
    recurrent_bias: FloatArray
    linear_before_reset: bool
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[1])


@dataclass(frozen=True, eq=False)
class Rnn:
    """One direction of one vanilla RNN layer: ``h = activation(W x + R h + b)``; the initial state is zero.

    Parameters
    ----------
    name : str
    x : Tensor
        (T, inputs).
    y : Tensor
        (T, units).
    input_weights : float32[units, inputs]
    recurrent_weights : float32[units, units]
    bias : float32[units]
        The sum of the input and the recurrent bias.
    activation : str
        tanh or relu.
    reverse : bool
        As `Lstm.reverse`.
    """

    name: str
    x: Tensor
    y: Tensor
    input_weights: FloatArray
    recurrent_weights: FloatArray
    bias: FloatArray
    activation: str = "tanh"
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[0])


@dataclass(frozen=True, eq=False)
class Linear:
    """``y = weights @ x + bias`` on a vector or on each time step of a sequence.

    Parameters
    ----------
    name : str
    x, y : Tensor
    weights : float32[outputs, inputs]
    bias : float32[outputs]
    """

    name: str
    x: Tensor
    y: Tensor
    weights: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class SelectStep:
    """``y = x[step]``: one time step of a sequence; `step` counts from 0."""

    name: str
    x: Tensor
    y: Tensor
    step: int


@dataclass(frozen=True)
class Concat:
    """``y`` is the parts side by side along the features: the two directions of a bidirectional layer.

    Parameters
    ----------
    name : str
    parts : tuple of Tensor
        Of the same number of steps.
    y : Tensor
    """

    name: str
    parts: tuple[Tensor, ...]
    y: Tensor


Recurrent = Lstm | Gru | Rnn
Layer = Recurrent | Linear | SelectStep | Concat


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: layers in the order they run, from one input to one output.

    Parameters
    ----------
    name : str
    input, output : Tensor
    layers : tuple of Layer
        Each layer's `x` (a `Concat`'s `parts`) is `input` or an earlier layer's `y`.
    source : str
        The file it was read from, for messages.
    left_out : tuple of str
        Outputs of that file beside `output` which the graph does not give: final states of recurrent layers.
    """

    name: str
    input: Tensor
    output: Tensor
    layers: tuple[Layer, ...]
    source: str = ""
    left_out: tuple[str, ...] = ()
