"""The compiled engine: the reference engine's cycles and counts, from one cycle with an event to the next."""

from accelsim.machine.fast.engine import Timing, time_program, time_within

__all__ = ["Timing", "time_program", "time_within"]
