"""A compiled program on disk: `STEM_r.cfg`, which is readable text, and `STEM_r.weight`, the DRAM image."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from accelsim.errors import InputError
from accelsim.isa.atomic import read_bytes, write_files
from accelsim.isa.cfg_text import WeightFile, cfg_text, parse_cfg
from accelsim.isa.program import Program
from accelsim.isa.weight_file import pack_weights, unpack_weights


def write_program(program: Program, folder: str | Path, stem: str) -> tuple[Path, Path]:
    """Write a program's two files; both appear whole or not at all.

    Parameters
    ----------
    program : Program
    folder : str or Path
        Must exist.
    stem : str
        `lstm` gives `lstm_r.cfg` and `lstm_r.weight`.

    Returns
    -------
    (Path, Path)
        The `.cfg` and the `.weight` file.

    Raises
    ------
    InputError
        The program fails its static checks, the stem is no file name, or the folder can't be written.
    """
    program.validate()
    if not stem or any(mark in stem for mark in "/\\\0"):
        raise InputError(folder, "file name", f"found {stem!r}", "a name without a folder")
    cfg_path, weight_path = Path(folder) / f"{stem}_r.cfg", Path(folder) / f"{stem}_r.weight"
    content = pack_weights(program.image)
    weights = WeightFile(weight_path.name, len(content), hashlib.sha256(content).hexdigest())
    # The weights go first: a new .cfg never stands beside weights that it does not know.
    write_files({weight_path: content, cfg_path: cfg_text(program, weights).encode()})
    return cfg_path, weight_path


def read_program(cfg_path: str | Path, weight_path: str | Path | None = None) -> Program:
    """Read a program and its weights.

    Parameters
    ----------
    cfg_path : str or Path
    weight_path : str or Path, optional
        The file that the `.cfg` names, beside it, where left out.

    Raises
    ------
    InputError
        A file is missing, unreadable, truncated or altered, of another format or version, the weights are another
        program's, or the program fails its static checks. Names the file and the field.
    """
    cfg = Path(cfg_path)
    program, expected = parse_cfg(read_bytes(cfg, "a compiled program (.cfg)"), cfg)
    weights = Path(weight_path) if weight_path is not None else cfg.parent / expected.file
    content = read_bytes(weights, f"the weights of {cfg.name}")
    image = unpack_weights(content, weights)
    if len(content) != expected.bytes:
        found = f"found {len(content)} bytes"
        raise InputError(
            weights, "size", found, f"{expected.bytes}, as {cfg.name} says: the weights of another program?"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != expected.sha256:
        reason = f"{expected.sha256}, as {cfg.name} says: the weights of another program?"
        raise InputError(weights, "SHA-256", f"found {found}", reason)
    program = replace(program, image=image)
    program.validate(cfg)
    return program
