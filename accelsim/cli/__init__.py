"""The command line: one command a step of the toolchain, under its own name and under the vendor's."""

from accelsim.cli.entry import main

__all__ = ["main"]
