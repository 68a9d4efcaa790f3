"""A sweep's points as tables for other programs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from accelsim.errors import InputError
from accelsim.explore.database import Results
from accelsim.explore.results import POINT_COLUMNS
from accelsim.isa.atomic import write_files

SUFFIXES = (".csv", ".parquet")


def check_exports(paths: Sequence[Path], folder: Path | None = None) -> None:
    """Refuse, before any work, a file that can't be written.

    Parameters
    ----------
    paths : sequence of Path
    folder : Path, optional
        That will be made before they are written.

    Raises
    ------
    InputError
        Another suffix; Parquet without pyarrow; a folder that is not there.
    """
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError("--export", str(path), f"suffix {path.suffix!r}", " or ".join(SUFFIXES))
        if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            raise InputError("--export", str(path), "pyarrow is not installed", "pip install 'accelsim[parquet]'")
        if path.is_dir():
            raise InputError("--export", str(path), "is a directory", "a file name")
        if not path.parent.is_dir() and (folder is None or path.parent.absolute() != folder.absolute()):
            raise InputError("--export", str(path), f"{path.parent} is no folder", "a file in a folder that is there")
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError("--export", str(path), f"{path.parent} is not writable", "a file in a folder that is")


def export_points(results: Results, path: Path) -> None:
    """Write the points as CSV or Parquet, by the file's suffix: whole, or not at all.

    Raises
    ------
    InputError
        As `check_exports`; the file can't be written.
    """
    check_exports([path])
    whole = [name for name, kind in POINT_COLUMNS.items() if kind == "INTEGER"]
    # Counts stay whole numbers, also where a point that can't be has none.
    frame = results.points.astype(dict.fromkeys(whole, "Int64"))
    if path.suffix.lower() == ".csv":
        content = frame.to_csv(index=False, lineterminator="\n").encode()
    else:
        content = frame.to_parquet(index=False)
    write_files({path: content})
