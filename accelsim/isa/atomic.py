"""Files that are either written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from accelsim.errors import InputError


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files of one folder: to temporary names beside them first, then renamed in the order given.

    Parameters
    ----------
    contents : mapping of Path to bytes
        By final name; what was there before is replaced.

    Raises
    ------
    InputError
        The folder is missing or not writable, or a name is a directory; nothing is left behind.
    """
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, content in contents.items():
            if path.is_dir():
                raise InputError(path, "", "is a directory", "a file name")
            with temporary[path].open("xb") as file:
                file.write(content)
        for path in contents:
            os.replace(temporary[path], path)
    except OSError as error:
        folder = next(iter(contents)).parent
        raise InputError(folder, "", f"can't be written: {error.strerror or error}", "a writable folder") from None
    finally:
        for path in temporary.values():
            _remove(path)


def read_bytes(path: Path, expected: str) -> bytes:
    """The bytes of a file.

    Raises
    ------
    InputError
        It can't be read; `expected` says what should be there.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, "", error.strerror or str(error), expected) from None
    except ValueError as error:
        # A name with a NUL byte is refused before the operating system sees it.
        raise InputError(ascii(str(path)), "", str(error), expected) from None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
