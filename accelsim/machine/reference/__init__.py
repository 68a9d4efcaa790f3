"""The reference engine: the machine cycle by cycle on SimPy, one process a unit, values moved when the hardware would.

It is the engine to read and to extend: a unit is a file here.
"""

from accelsim.machine.reference.engine import ReferenceRun, run_reference

__all__ = ["ReferenceRun", "run_reference"]
