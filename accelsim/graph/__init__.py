"""The model as data: layers over per-frame tensors, without a batch axis."""

from accelsim.graph.model import Gate, Graph, Layer, Linear, Lstm, SelectStep, Tensor

__all__ = ["Gate", "Graph", "Layer", "Linear", "Lstm", "SelectStep", "Tensor"]
