"""The options ``--trace`` and ``--trace-banks``: a file of every operation, written while the run goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from accelsim.cli.output_folder import check_output_folder, output_folder
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.isa.program import Program
    from accelsim.timing.record import Counters
    from accelsim.trace.perfetto import PerfettoWriter
    from accelsim.trace.vcd import VcdWriter

    Writer = PerfettoWriter | VcdWriter

_Function = TypeVar("_Function", bound=Callable[..., Any])
_VCD = (".vcd", ".vcd.gz")
_ENDINGS = (".json", ".json.gz", *_VCD)


def trace_option(function: _Function) -> _Function:
    """The options ``--trace`` and ``--trace-banks``."""
    for decorate in (
        click.option(
            "--trace-banks",
            is_flag=True,
            help="With --trace FILE.json[.gz]: rows for the banks of the memories, too. The file is 3 to 6 times "
            "as large.",
        ),
        click.option(
            "--trace",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write every operation of one frame, and what each unit waits for, to FILE: .json[.gz] for "
            "ui.perfetto.dev, where a microsecond stands for a cycle, .vcd[.gz] for waveform viewers. Rows of memory "
            "banks come with --trace-banks. Loops are then gone through turn by turn.",
        ),
    ):
        function = decorate(function)
    return function


def check_trace_file(path: Path | None, *, banks: bool = False) -> None:
    """Refuse, before any work, a file that can't be written.

    Parameters
    ----------
    path : Path or None
    banks : bool
        Whether rows of banks were asked for.

    Raises
    ------
    InputError
        Another ending, a folder in its place, or a folder that can't be written or made; banks in a file that has no
        place for them.
    """
    if path is None:
        if banks:
            raise InputError("--trace-banks", "", "given without --trace", "--trace FILE.json.gz")
        return
    if not path.name.endswith(_ENDINGS):
        raise InputError("--trace", "", f"found {path}", f"a name that ends in {', '.join(_ENDINGS[:-1])} or .vcd.gz")
    if banks and path.name.endswith(_VCD):
        raise InputError("--trace-banks", "", f"given with {path}", "--trace FILE.json or .json.gz")
    if path.is_dir():
        raise InputError(path, "", "is a directory", "a file name")
    check_output_folder(path.parent)


@contextlib.contextmanager
def trace_file(path: Path | None, program: Program, *, banks: bool = False) -> Iterator[Writer | None]:
    """What takes the events; the file is there when the block ends well, and not at all otherwise, nor is its folder
    where that had to be made.

    Call `finish_trace` when the run is over. What else is to be written, or nothing at all, is written in the block.

    Parameters
    ----------
    path : Path or None
        None for no file; then yields None.
    program : Program
    banks : bool
        Rows for banks of memories, too.

    Raises
    ------
    InputError
        It can't be written.
    """
    if path is None:
        yield None
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with output_folder(path.parent):
        try:
            with _writer(temporary, path.name, program, banks) as writer:
                yield writer
            os.replace(temporary, path)
        except OSError as error:
            raise InputError(path, "", f"can't be written: {error.strerror or error}", "a writable file") from None
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _writer(path: Path, name: str, program: Program, banks: bool) -> Writer:
    compressed = name.endswith(".gz")
    if name.endswith(_VCD):
        from accelsim.trace.vcd import VcdWriter

        return VcdWriter(path, program, compressed=compressed)
    from accelsim.trace.perfetto import PerfettoWriter

    return PerfettoWriter(path, program, compressed=compressed, banks=banks)


def finish_trace(writer: Writer | None, program: Program, counters: Counters) -> None:
    """Write what only the end of a run tells, and close the file.

    Parameters
    ----------
    writer : PerfettoWriter or VcdWriter or None
        None for nothing to do.
    program : Program
    counters : Counters
        Of the run that is over.
    """
    from accelsim.trace.vcd import VcdWriter

    if writer is None:
        return
    if not isinstance(writer, VcdWriter):
        from accelsim.profile.bandwidth import bandwidth

        traffic = bandwidth(counters, program.chip)
        writer.traffic(traffic.traffic_bytes, traffic.bin_cycles, counters.cycles)
    writer.finish(counters.cycles)
