"""The file of a trace while it is written: compressed or not, and gone where the writing of it fails."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


class TraceFile:
    """A new file, which is removed when it is left with an error.

    Parameters
    ----------
    path : Path
    compressed : bool
        With gzip; equal content gives equal bytes.
    level : int
        Of gzip.

    Raises
    ------
    OSError
        It is there already, or can't be written.
    """

    def __init__(self, path: Path, *, compressed: bool, level: int) -> None:
        self.path = path
        self._file: IO[bytes] = path.open("xb")
        self._stream: Any = self._file
        if compressed:
            self._stream = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", compresslevel=level, mtime=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:
            if error is not None:
                self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        # Both are closed, whatever closing the first one says; closing twice does nothing.
        try:
            self._stream.close()
        finally:
            self._file.close()
