"""What a Python program or a notebook calls; the package `accelsim` has the same names."""

from accelsim.api.steps import Result, Timing, compile, load_program, quantize, run, time
from accelsim.api.sweeps import sweep

__all__ = ["Result", "Timing", "compile", "load_program", "quantize", "run", "sweep", "time"]
