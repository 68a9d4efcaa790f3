"""No command replaces what it reads."""

from __future__ import annotations

import shutil

import pytest

from tests.support.accelergy_tables import accelergy_files
from tests.support.command_line import Files, Program, refused


@pytest.mark.parametrize("name", ["kws_quantize_r.cfg", "kws_quantize_r.weight", "other.weight"])
def test_disassembly_into_the_program(accelsim: Program, files: Files, name: str) -> None:
    shutil.copy(files / "kws_quantize_r.weight", files / "other.weight")
    given = ["--weight", files / "other.weight"] if name.startswith("other") else []
    error = refused(accelsim, files, "disasm", files / "kws_quantize_r.cfg", *given, "-o", files / name)
    assert error == f"--output: {files / name} is an input; expected another file"


@pytest.mark.parametrize("name", ["map.toml", "ERT.toml"])
def test_an_import_into_what_it_is_made_of(accelsim: Program, files: Files, name: str) -> None:
    ert, mapping, _ = accelergy_files(files.folder)
    shutil.copy(ert, files / "ERT.toml")
    arguments = ["energy", "import", files / "ERT.toml", "--map", mapping, "--out", files / name]
    assert refused(accelsim, files, *arguments).startswith(f"--out: {files / name} is an input")


@pytest.mark.parametrize("name", ["output.npy", "output_float.npy"])
def test_a_run_into_the_folder_of_its_data(accelsim: Program, files: Files, name: str) -> None:
    (files / "data.npy").rename(files / name)
    error = refused(accelsim, files, "run", files / "kws_quantize_r.cfg", "-i", files / name, "--outpath", files.folder)
    assert error == f"--outpath: {files / name} is an input; expected another file"


def test_a_page_into_the_program(accelsim: Program, files: Files) -> None:
    program = files / "kws_quantize_r.cfg"
    for page in (program, files / "kws_quantize_r.weight"):
        arguments = ["report", program, "--weight", files / "kws_quantize_r.weight", "--out", page]
        assert refused(accelsim, files, *arguments).startswith(f"--out: {page} is an input")
