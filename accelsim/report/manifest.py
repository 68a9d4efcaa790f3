"""What a page was made of: command, versions, hashes. No times and no places, so that equal input gives equal pages."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version

from accelsim import __version__
from accelsim.isa.opcodes import WORD_BITS
from accelsim.isa.program import Program

Rows = list[tuple[str, str]]

NO_SEED = "none: nothing is drawn at random"

_LIBRARIES = ("numpy", "numba", "plotly")


def versions() -> Rows:
    """Versions of the program, of Python and of the libraries that count and draw."""
    libraries = [(name, version(name)) for name in _LIBRARIES]
    return [("accelsim", __version__), ("Python", platform.python_version()), *libraries]


def program_hashes(program: Program, cfg: bytes) -> Rows:
    """SHA-256 (hex) of a program's parts, and that there is no seed.

    Parameters
    ----------
    program : Program
    cfg : bytes
        Its file.
    """
    words = b"".join(word.to_bytes(WORD_BITS // 8, "little") for word in program.words)
    return [
        (".cfg file, SHA-256", hashlib.sha256(cfg).hexdigest()),
        ("program words, SHA-256", hashlib.sha256(words).hexdigest()),
        ("weights' image, SHA-256", hashlib.sha256(program.image).hexdigest()),
        ("chip, SHA-256", program.chip.digest),
        ("seed", NO_SEED),
    ]
