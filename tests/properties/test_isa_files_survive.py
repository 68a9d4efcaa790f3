"""Files give back the program they were written from, and nothing else whatever happens to their bytes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isa_strategies import programs

from accelsim.chip import load_chip
from accelsim.errors import InputError
from accelsim.isa import encode, make
from accelsim.isa.asm_file import assemble_program, disassemble_program
from accelsim.isa.directives import Directive
from accelsim.isa.files import read_program, write_program
from accelsim.isa.opcodes import ISA_VERSION
from accelsim.isa.program import HostTensor, Program, Region


@given(programs())
@settings(max_examples=40, deadline=None)
def test_a_program_survives_its_files(program: Program) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = [path.read_bytes() for path in write_program(program, folder, "p")]
        again = read_program(Path(folder) / "p_r.cfg")
        assert again == program
        assert [path.read_bytes() for path in write_program(again, folder, "p")] == first


@given(programs())
@settings(max_examples=40, deadline=None)
def test_a_program_survives_its_assembly_file(program: Program) -> None:
    text = disassemble_program(program)
    again = assemble_program(text, "p.asm")
    assert again == program
    assert disassemble_program(again) == text


@pytest.fixture(scope="module")
def written() -> Iterator[tuple[Program, bytes, bytes]]:
    """A program and its two files' bytes."""
    program = Program(
        name="p",
        isa_version=ISA_VERSION,
        chip=load_chip("tx5368"),
        schedule="s",
        words=(encode(make("nop")), encode(make("halt"))),
        inputs=(HostTensor("x", "int8", (4,), (0.25,), 0, 0),),
        outputs=(),
        regions=(Region("io", "dram", 0, 64),),
        layers=(),
        image=bytes(range(32)),
        image_address=64,
    )
    with tempfile.TemporaryDirectory() as folder:
        cfg, weight = write_program(program, folder, "p")
        yield read_program(cfg), cfg.read_bytes(), weight.read_bytes()


def damage() -> st.SearchStrategy[tuple[str, float, int]]:
    """What is done, where (a fraction of the length), and with which byte or bit."""
    return st.tuples(st.sampled_from(["flip", "cut", "insert", "delete"]), st.floats(0, 1), st.integers(0, 255))


def damaged(content: bytes, how: tuple[str, float, int]) -> bytes:
    kind, fraction, byte = how
    place = min(int(fraction * len(content)), len(content) - 1)
    if kind == "flip":
        return content[:place] + bytes([content[place] ^ (1 << byte % 8)]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + bytes([byte]) + content[place:]
    return content[:place] + content[place + 1 :]


@given(damage(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_damaged_files_are_refused(
    written: tuple[Program, bytes, bytes], how: tuple[str, float, int], hit_weights: bool
) -> None:
    _, cfg, weight = written
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p_r.cfg").write_bytes(cfg if hit_weights else damaged(cfg, how))
        (Path(folder) / "p_r.weight").write_bytes(damaged(weight, how) if hit_weights else weight)
        with pytest.raises(InputError) as caught:
            read_program(Path(folder) / "p_r.cfg")
    assert "\n" not in str(caught.value)
    assert folder in str(caught.value)


def test_undamaged_files_are_read(written: tuple[Program, bytes, bytes], tmp_path: Path) -> None:
    program, cfg, weight = written
    (tmp_path / "p_r.cfg").write_bytes(cfg)
    (tmp_path / "p_r.weight").write_bytes(weight)
    assert read_program(tmp_path / "p_r.cfg") == program


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(written: tuple[Program, bytes, bytes], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p_r.cfg").write_bytes(content)
        with pytest.raises(InputError):
            read_program(Path(folder) / "p_r.cfg")


@given(programs(), damage())
@settings(max_examples=60, deadline=None)
def test_damaged_assembly_is_refused_or_read(program: Program, how: tuple[str, float, int]) -> None:
    text = damaged(disassemble_program(program).encode(), how).decode(errors="replace")
    with contextlib.suppress(InputError):
        result = assemble_program(text, "p.asm")
        assert assemble_program(disassemble_program(result), "p.asm") == result


@given(st.text(max_size=60))
def test_any_directive_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(InputError):
        assert Directive(f".x{text}", "f:1").name.startswith(".x")
