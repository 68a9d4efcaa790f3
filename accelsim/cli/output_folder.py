"""The folder results go to: checked before the work, made after it, and gone again where writing fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from accelsim.errors import InputError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_EXPECTED = "a folder that can be written, or made"


def outpath_option(*short: str) -> Callable[[_Function], _Function]:
    """The option ``--outpath``, with short names if there are any."""
    return click.option(
        *short,
        "--outpath",
        "--save-dir",
        "outpath",
        type=click.Path(path_type=Path),
        default=Path(),
        show_default="the current folder",
        metavar="FOLDER",
        help="Where the files go; made where it does not exist.",
    )


def check_output_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that can't be written or made.

    Raises
    ------
    InputError
        A file stands in its place, its name can't be one, or it or the folder to make it in is not writable.
    """
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is to be made, or the file in its way is named below
    except OSError as error:
        raise InputError(folder, "", error.strerror or str(error), _EXPECTED) from None
    standing = folder
    while not os.path.lexists(standing) and standing != standing.parent:
        standing = standing.parent
    if not os.path.isdir(standing):
        reason = "is no folder" if standing == folder else f"{standing} is no folder"
        raise InputError(folder, "", reason, _EXPECTED)
    if not os.access(standing, os.W_OK | os.X_OK):
        raise InputError(folder, "", f"{standing} is not writable", _EXPECTED)


def check_no_input(output: Path, option: str, *inputs: Path | None) -> None:
    """Refuse, before any work, an output that is one of the inputs.

    Parameters
    ----------
    output : Path
    option : str
        That names it, for messages.
    inputs : Path or None
        Files that are read; None for one that is not given.
    """
    for one in inputs:
        if one is not None and output.exists() and one.exists() and os.path.samefile(output, one):
            raise InputError(option, "", f"{output} is an input", "another file")


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """The folder, made where it does not exist; what was made is removed again where the block fails.

    Raises
    ------
    InputError
        It can't be made.
    """
    made: list[Path] = []
    try:
        for part in (*reversed(folder.parents), folder):
            if not os.path.isdir(part):
                try:
                    part.mkdir()
                except OSError as error:
                    raise InputError(folder, "", error.strerror or str(error), _EXPECTED) from None
                made.append(part)
        yield folder
    except BaseException:
        for part in reversed(made):
            with contextlib.suppress(OSError):
                part.rmdir()
        raise
