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
    """

    name: str
    x: Tensor
    y: Tensor
    input_weights: FloatArray
    recurrent_weights: FloatArray
    bias: FloatArray

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[1])


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


Layer = Lstm | Linear | SelectStep


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: layers in the order they run, from one input to one output.

    Parameters
    ----------
    name : str
    input, output : Tensor
    layers : tuple of Layer
        Each layer's `x` is `input` or an earlier layer's `y`.
    source : str
        The file it was read from, for messages.
    """

    name: str
    input: Tensor
    output: Tensor
    layers: tuple[Layer, ...]
    source: str = ""
