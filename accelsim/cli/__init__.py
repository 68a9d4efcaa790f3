"""The command line: one command a step of the toolchain, under its own name and under the vendor's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; arguments and result are those of `accelsim.cli.entry.main`."""
    try:
        from accelsim.cli.entry import main as run
    except KeyboardInterrupt:
        sys.stderr.write("accelsim: error: interrupted\n")
        return 130
    return run(arguments)
