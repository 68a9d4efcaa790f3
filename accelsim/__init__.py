"""accelsim: a cycle-level simulator and toolchain for RNN inference engines."""

__version__ = "0.1.0"
