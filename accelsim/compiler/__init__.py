"""From a quantized graph to a program, for any chip file."""

from accelsim.compiler.build import compile_graph

__all__ = ["compile_graph"]
