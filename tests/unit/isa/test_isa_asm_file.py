"""`.asm` files: whole programs as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from accelsim.chip import dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.errors import InputError
from accelsim.isa.asm_file import assemble_program, disassemble_program, read_asm
from accelsim.isa.files import write_program
from accelsim.isa.program import LayerInfo, Program
from accelsim.resources import resource_root


def test_the_text_of_a_program(program: Program) -> None:
    text = disassemble_program(program)
    assert text.splitlines()[1:7] == [
        '.program "small" schedule="by hand" isa=RNE version=2',
        f".chip tx5368 digest={program.chip.digest}",
        "",
        '.input "x" dtype=int8 shape=25x40 scale=0.5 zero_point=-3 address=0x0',
        '.output "y" dtype=int8 shape=4 scale=0.25,0.5,1.0,2.0 zero_point=7 address=0x3e8',
        '.region "io" memory=dram address=0x0 bytes=1024',
    ]
    code = text[text.index("address register") : text.index(".image")]
    assert code.splitlines() == [
        "address register=a1 base=256 stride0=40",
        '.begin "lstm"',
        "load source=[0x1000] destination=[0] memory=weights row_bytes=64 rows=2 source_pitch=64 destination_pitch=64 "
        "signal=s1",
        ".end",
        "loop count=25 {",
        '.begin "lstm"',
        "    matmul weights=[0] input=[a1] accumulators=[0] rows=4 columns=40 wait=s1 signal=s2*",
        "    vector source=[0] destination=[0x800] parameters=[0] source_type=int32 destination_type=int8 length=4 "
        "wait=s2*",
        "}",
        ".end",
        "halt",
        "",
    ]
    assert assemble_program(text, "small.asm") == program


def test_adjacent_ranges_of_a_layer_stay_apart(program: Program) -> None:
    split = replace(program, layers=(LayerInfo("a", "k", 0, 0, ((0, 1), (1, 3))), LayerInfo("b", "k", 0, 0, ((3, 6),))))
    assert assemble_program(disassemble_program(split), "small.asm") == split


def test_a_chip_of_ones_own_is_embedded(program: Program) -> None:
    description = dump_chip(program.chip)
    description["mac"]["rows"] = 16
    own = replace(program, chip=check_chip(description, "test"))
    text = disassemble_program(own)
    assert ".chip {\n" in text
    assert assemble_program(text, "small.asm") == own


def test_the_image_may_stay_in_its_file(program: Program, tmp_path: Path) -> None:
    write_program(program, tmp_path, "small")
    text = disassemble_program(program, weight_file="small_r.weight")
    assert '.image address=0x1000 file="small_r.weight"' in text
    assert assemble_program(text, tmp_path / "small.asm") == program
    (tmp_path / "small.asm").write_text(text)
    assert read_asm(tmp_path / "small.asm") == program


def test_a_program_by_hand() -> None:
    program = assemble_program(".chip tx5368\nnop ; wait\nhalt\n", "folder/by_hand.asm")
    assert program.name == "by_hand"
    assert program.chip == load_chip("tx5368")
    assert program.words == (0, 1)
    assert (program.image, program.image_address, program.layers) == (b"", 0, ())


def test_data_by_hand() -> None:
    text = ".chip tx5368\n.dram 0x104 0a 0b ; two bytes\n.dram 256 0102\nhalt"
    program = assemble_program(text, "f.asm")
    assert program.image_address == 256
    assert program.image == bytes([1, 2, 0, 0, 10, 11])


def test_a_chip_file_is_found_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text((resource_root() / "configs" / "tx5368.toml").read_text())
    assert assemble_program(".chip mine.toml\nhalt", tmp_path / "f.asm").chip == load_chip("tx5368")


def test_quotes_and_escapes() -> None:
    program = assemble_program('.program "a; \\"b\\" \\u00e9" schedule=plain\n.chip tx5368\nhalt', "f.asm")
    assert (program.name, program.schedule) == ('a; "b" é', "plain")


TENSOR = ".region io memory=dram address=0 bytes=64\n.input x shape=4 address=0 scale="

BAD = [
    ("halt", "f.asm: .chip: missing; expected .chip NAME"),
    (".chips tx5368", "f.asm:1: .chips: no such directive; nearest: .chip"),
    (".chip tx5369", "f.asm:1: .chip: no chip named 'tx5369'"),
    (".chip none.toml", "f.asm:1: .chip: No such file or directory"),
    (".chip", "f.asm:1: .chip: no chip"),
    (".chip tx5368 fast", "f.asm:1: fast: .chip has no such argument"),
    (".chip tx5368 speed=2", "f.asm:1: speed: .chip has no such argument"),
    (".chip tx5368\n.chip tx5368", "f.asm:2: .chip: written twice"),
    (".chip tx5368 digest=0", "f.asm:1: digest=: found 0; expected"),
    (".chip {\nx = \n}", "f.asm:1: not TOML"),
    (".chip {\n", "f.asm:1: .chip: its block is never closed; expected } on a line of its own"),
    (".layer x kind=k {", "f.asm:1: {: .layer has no block"),
    (".program p isa=ABC", "f.asm:1: .program: instruction set ABC version 2; expected RNE version 2"),
    (".program p version=3", "f.asm:1: .program: instruction set RNE version 3; expected RNE version 2"),
    (".program", "f.asm:1: .program: no name"),
    ('.program "a', 'f.asm:1: "a: a quote is not closed; expected text in "..."'),
    ('.program "a"b', 'f.asm:1: "a"b: no proper text for name'),
    ('.program "\\q"', 'f.asm:1: "\\q": no proper text for name'),
    (".region r memory=dram address=0", "f.asm:1: .region: no bytes=; expected bytes=VALUE"),
    (".region r memory=dram address=0 address=0", "f.asm:1: address=0: written twice"),
    (".region r memory=dram address=x bytes=1", "f.asm:1: address=: found 'x'; expected a decimal or 0x"),
    (TENSOR + "big", "f.asm:2: scale=: found 'big'; expected a float32 number"),
    (TENSOR + "1e99", "f.asm:2: scale=: found '1e99'; expected a float32 number"),
    (".layer l kind=k\n.layer l kind=k", "f.asm:2: l: two layers have this name"),
    (".layer lstm kind=k\n.begin lsmt", "f.asm:2: lsmt: no such layer; nearest: lstm"),
    (".layer l kind=k\n.begin l\n.begin l", "f.asm:3: .begin: layer 'l' has not ended; expected .end before it"),
    (".layer l kind=k\n.begin l\n.end", "f.asm:3: .end: no instructions since .begin of layer 'l'"),
    (".layer l kind=k\n.begin l\nhalt", "f.asm:2: .begin: never ended; expected .end"),
    (".end", "f.asm:1: .end: no layer has begun"),
    (".image address=0 {\n!!!!\n}", "f.asm:1: .image: not base64"),
    (".image address=0 {\né\n}", "f.asm:1: .image: not base64"),
    (".image address=0 file=none.weight", "none.weight: No such file or directory; expected a .weight file"),
    (".dram", "f.asm:1: .dram: no address"),
    (".dram -1 00", "f.asm:1: -1: a negative address"),
    (".dram 0", "f.asm:1: .dram: no bytes; expected .dram ADDRESS BYTES"),
    (".dram 0 0", "f.asm:1: .dram: not hexadecimal bytes"),
    (".chip tx5368\n.dram 0 00\n.image address=0 {\n}", "f.asm:2: .dram: there is an .image already"),
    (".chip tx5368\n.dram 0 0001\n.dram 1 00", "f.asm:3: .dram: 0x1 overlaps another .dram"),
    (".chip tx5368\n.dram 0 00\n.dram 0xffffffffffff 00", "f.asm:3: .dram: 1 bytes at 0xffffffffffff; expected inside"),
    (".chip tx5368\nhlt", "f.asm:2: hlt: no such instruction; nearest: halt"),
    (".chip tx5368\nloop count=1 {\nhalt", "f.asm:2: {: never closed"),
    (".chip tx5368\nnop", "f.asm: instructions: halt at []"),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_a_mistake_is_named(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        assemble_program(text, "f.asm")
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.asm: No such file or directory; expected an assembly file"):
        read_asm(tmp_path / "none.asm")
    (tmp_path / "x.asm").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"x\.asm: not UTF-8 text"):
        read_asm(tmp_path / "x.asm")
