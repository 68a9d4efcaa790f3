from __future__ import annotations

from report_runs import Recorded

from accelsim.isa.asm_file import disassemble_program
from accelsim.report.listing import listing_lines
from tests.support.tiny import tiny_program


def test_the_text_is_that_of_disasm(recorded: Recorded) -> None:
    lines = listing_lines(recorded.program, "x_r.weight")
    assert "\n".join(line.text for line in lines) + "\n" == disassemble_program(recorded.program, "x_r.weight")


def test_each_instruction_has_its_layer_and_each_layer_an_anchor(recorded: Recorded) -> None:
    program = recorded.program
    lines = listing_lines(program, "x_r.weight")
    found = {line.index: line for line in lines if line.index >= 0}
    assert sorted(found) == list(range(len(program.words)))
    for index, line in found.items():
        assert line.layer == program.layer_indices[index]
        assert line.text.split()[0] == program.instructions[index].name
    assert [line.layer for line in lines if line.anchor] == sorted(range(len(program.layers)))


def test_a_chip_of_ones_own_stands_in_the_text_and_is_no_instruction() -> None:
    program = tiny_program("loop count=2 {\nsync unit=vector\n}\nsync unit=matrix", {"a": [(1, 2)], "b": [(2, 3)]})
    lines = listing_lines(program, "x_r.weight")
    assert any(line.text == "[mac]" for line in lines)
    assert lines[-1].text.startswith(".image ")
    assert [(line.text.strip(), line.layer, line.index) for line in lines[-11:-1]] == [
        ("loop count=2 {", -1, 0),
        ('.begin "a"', 0, -1),
        ("sync unit=vector", 0, 1),
        ("}", 0, -1),
        (".end", 0, -1),
        ('.begin "b"', 1, -1),
        ("sync unit=matrix", 1, 2),
        (".end", 1, -1),
        ("halt", -1, 3),
        ("", -1, -1),
    ]
