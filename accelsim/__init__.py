"""accelsim: a cycle-level simulator and toolchain for RNN inference engines.

::

    import accelsim

    chip = accelsim.load_chip("tx5368").with_(mac_rows=32)
    program = accelsim.compile("kws_quantize.onnx", chip)
    result = accelsim.run(program, "test.npz")
    result.layers  # a pandas DataFrame

The names below are loaded when they are first used: importing the package alone imports none of its libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from accelsim.api import Result, Timing, compile, load_program, quantize, run, sweep, time
    from accelsim.chip import Chip, chip_names, load_chip
    from accelsim.errors import AccelsimError, CapacityError, DeadlockError, HazardError, InputError
    from accelsim.isa.program import Program

_HOMES = {
    "accelsim.api": ("Result", "Timing", "compile", "load_program", "quantize", "run", "sweep", "time"),
    "accelsim.chip": ("Chip", "chip_names", "load_chip"),
    "accelsim.errors": ("AccelsimError", "CapacityError", "DeadlockError", "HazardError", "InputError"),
    "accelsim.isa.program": ("Program",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccelsimError",
    "CapacityError",
    "Chip",
    "DeadlockError",
    "HazardError",
    "InputError",
    "Program",
    "Result",
    "Timing",
    "chip_names",
    "compile",
    "load_chip",
    "load_program",
    "quantize",
    "run",
    "sweep",
    "time",
]


if not TYPE_CHECKING:
    # Type checkers see the imports above, and no other name.
    def __getattr__(name: str) -> object:
        """A name of `__all__`, loaded now (PEP 562)."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
