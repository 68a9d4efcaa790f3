"""A program without its units: when each byte can be written at the earliest, and what has to pass the DRAM bus."""

from accelsim.machine.dataflow.follow import Flow, follow_program

__all__ = ["Flow", "follow_program"]
