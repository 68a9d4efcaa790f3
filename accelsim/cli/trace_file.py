"""The option ``--trace``: a file of every operation, written while the run goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.isa.program import Program
    from accelsim.machine.run import Events

trace_option = click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write every operation of one frame to FILE (.json, or compressed .json.gz), which ui.perfetto.dev opens. "
    "Loops are then gone through turn by turn.",
)


def check_trace_file(path: Path | None) -> None:
    """Refuse, before any work, a file that can't be written.

    Raises
    ------
    InputError
        Another ending, a folder in its place, or a folder that is missing or not writable.
    """
    if path is None:
        return
    if not path.name.endswith((".json", ".json.gz")):
        raise InputError("--trace", "", f"found {path}", "a name that ends in .json or .json.gz")
    if path.is_dir():
        raise InputError(path, "", "is a directory", "a file name")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError("--trace", "", f"{path}: no writable folder {path.parent}", "a file in a folder that is there")


@contextlib.contextmanager
def trace_file(path: Path | None, program: Program) -> Iterator[Callable[[Events], None] | None]:
    """What takes the events; the file is there when the block ends well, and not at all otherwise.

    Parameters
    ----------
    path : Path or None
        None for no file; then yields None.
    program : Program

    Raises
    ------
    InputError
        It can't be written.
    """
    if path is None:
        yield None
        return
    from accelsim.trace.perfetto import PerfettoWriter

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with PerfettoWriter(temporary, program, compressed=path.suffix == ".gz") as writer:
            yield writer
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(path, "", f"can't be written: {error.strerror or error}", "a writable file") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
