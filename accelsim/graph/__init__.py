"""The model as data: layers over per-frame tensors, without a batch axis."""

from accelsim.graph.model import (
    Concat,
    Gate,
    Graph,
    Gru,
    GruGate,
    Layer,
    Linear,
    Lstm,
    Recurrent,
    Rnn,
    SelectStep,
    Tensor,
)

__all__ = [
    "Concat",
    "Gate",
    "Graph",
    "Gru",
    "GruGate",
    "Layer",
    "Linear",
    "Lstm",
    "Recurrent",
    "Rnn",
    "SelectStep",
    "Tensor",
]
