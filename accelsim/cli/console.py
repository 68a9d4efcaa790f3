"""What the command line prints: results on standard output, notes and progress on standard error."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from accelsim.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

_FILE_WIDTH = 160
"""Columns of what is printed to a file or a pipe, where no terminal sets a limit."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream of the process is one; there is none where the program was started with it closed."""
    return stream is not None and stream.isatty()


def say(text: str) -> None:
    """One or more lines of a result; none where the program was started without a standard output.

    Raises
    ------
    InputError
        The standard output can't be written, as on a full disk.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    with _standard_output():
        # A character that the terminal has no code for is escaped, not an error.
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def _standard_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError("standard output", "", f"can't be written: {error.strerror or error}") from None


def note(text: str) -> None:
    """One line beside the result, for the reader and not for a script."""
    click.echo(f"accelsim: note: {text}", err=True)


def print_json(value: Any) -> None:
    """A result as one JSON object."""
    say(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str], wrapped: Sequence[str] = ()
) -> Table:
    """A table of texts, taken as they are.

    Parameters
    ----------
    headers : sequence of str
    rows : sequence of sequence of str
    left : sequence of str
        Headers of the columns that are text; all others are numbers, to the right.
    wrapped : sequence of str
        Headers of the columns that give way, over several lines, where the terminal is narrow.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for header in headers:
        made.add_column(
            Text(header), justify="left" if header in left else "right", no_wrap=header not in wrapped, overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def show(*renderables: Any) -> None:
    """Print rich's tables, an empty line before, between and after them; with colours on a terminal only."""
    from rich.console import Console

    if sys.stdout is None:
        return
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _FILE_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False)
    texts = []
    for renderable in renderables:
        # The stream is touched, if only with an empty text.
        with _standard_output(), console.capture() as capture:
            console.print(renderable)
        lines = [line.rstrip() for line in capture.get().split("\n")]
        texts.append("\n".join(lines).strip("\n"))
    say("\n" + "\n\n".join(texts) + "\n")


def say_written(paths: Sequence[Path]) -> None:
    """Where the files went."""
    for path in paths:
        say(f"written: {path} ({path.stat().st_size:,} bytes)")


@contextmanager
def progress_bar(text: str, *, silent: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error while the block runs; yields None where that is no terminal.

    Parameters
    ----------
    text : str
        What is going on.
    silent : bool
        Never show one.
    """
    if silent or not is_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def spinner(text: str, *, silent: bool = False) -> Iterator[None]:
    """A sign of life on standard error while the block runs, for work whose length is not known; on a terminal only.

    Parameters
    ----------
    text : str
        What is going on.
    silent : bool
        Never show one.
    """
    if silent or not is_terminal(sys.stderr):
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
