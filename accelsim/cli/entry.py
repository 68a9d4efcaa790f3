"""The entry point: runs a command and turns whatever it raises into one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

import click

from accelsim.cli.app import app
from accelsim.cli.state import State
from accelsim.errors import AccelsimError, ManyErrors

EXIT_NO_READER = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)
"""Why writing fails where what is written has no name of its own, as click's help, and a library's temporary files."""

_OBJECTS_BEFORE_COLLECTION = 250_000
"""New objects before Python's collector looks for cycles among them. Imports make half as many, and no garbage; looking
through them again and again, and at the process's end, was a sixth of a short run's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process where absent.

    Returns
    -------
    int
        0; 2 for a mistake in the command or its files; 70 for a fault of the program; 130 when interrupted; 1 where
        nobody reads the output any more, and where `validate` finds a figure outside its band.
    """
    own_process = arguments is None
    if own_process:
        gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    code = _run(arguments)
    _drop_what_cannot_be_written()
    if own_process:
        # Python looks through all objects once more as it ends; those that are frozen it leaves alone.
        gc.freeze()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    state = State()
    try:
        with warnings.catch_warnings():
            # A library's warning about a damaged file would stand before our one line about it; `python -W` shows all.
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            code = app.main(args=_arguments(arguments), prog_name="accelsim", standalone_mode=False, obj=state)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        _say(_usage_text(error))
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except AccelsimError as error:
        if state.debug:
            traceback.print_exc()
        for one in error.errors if isinstance(error, ManyErrors) else (error,):
            _say(str(one))
        return error.exit_code
    except SystemExit:
        # click's answer to a reader that has gone, as `| head` goes: nobody is left to tell.
        return EXIT_NO_READER
    except Exception as error:
        if state.debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            _say(f"can't write the output: {error.strerror}")
            return EXIT_USAGE
        reason = f": {error}" if str(error) else ""
        hint = "" if state.debug else " (accelsim --debug COMMAND shows where)"
        _say(f"internal error: {type(error).__name__}{reason}; please report it{hint}")
        return EXIT_INTERNAL


def _arguments(arguments: Sequence[str] | None) -> list[str]:
    given = list(sys.argv[1:] if arguments is None else arguments)
    for text in given:
        try:
            text.encode()
        except UnicodeEncodeError:
            # A file's name gets into the files that are made of it, which are UTF-8.
            raise click.UsageError(f"the argument {text!a} is not UTF-8 text") from None
    return given


def _usage_text(error: click.ClickException) -> str:
    text = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{text.rstrip('.')} (see {context.command_path} --help)" if context is not None else text


def _say(text: str) -> None:
    """One line on stderr, where that can be written; what a terminal would act on is shown, not done."""
    line = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in " ".join(text.split()))
    with contextlib.suppress(OSError):
        click.echo(f"accelsim: error: {line}", err=True)


def _drop_what_cannot_be_written() -> None:
    """Leave no output for Python to write at its end: it would fail once more, with an exit code of its own."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
