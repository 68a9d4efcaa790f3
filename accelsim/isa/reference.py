"""The text of `ISA.md`: the instruction set as a document, generated from the definition it describes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from accelsim.isa.assembler import disassemble, format_instruction
from accelsim.isa.codec import encode, make
from accelsim.isa.definition import AccessRule, Definition, Factor, Field, Format
from accelsim.isa.timing_text import TIMING

_PAGE_COLUMNS = 110
_UNNAMED = "0"


def reference_text(rules: Definition, command: str) -> str:
    """ISA.md, whole.

    Parameters
    ----------
    rules : Definition
    command : str
        The command that regenerates the file.
    """
    lines = [
        f"<!-- Generated from isa.toml by `{command}`; do not edit. -->",
        "",
        f"# The {rules.name} instruction set, version {rules.version}",
        "",
        *_overview(rules),
        *_state(rules),
        *_summary(rules),
        *_shared_fields(rules),
    ]
    for form in rules.formats.values():
        lines += _instruction(rules, form)
    lines += _enums(rules)
    lines += _block(rules)
    lines += TIMING.splitlines()
    lines += ["", *_assembly(rules)]
    return "\n".join(lines).rstrip() + "\n"


# --- chapters -----------------------------------------------------------------------------------------------------


def _overview(rules: Definition) -> list[str]:
    units = ", ".join(rules.enums["unit"])
    return [
        *_prose(
            f"Every instruction is one word of {rules.word_bits} bits. A sequencer fetches the words in order, runs",
            "loops and address registers itself, and dispatches the rest to the queues of the units",
            f"({units}). Each unit takes its own queue in order; units wait for each other through counting",
            "semaphores named in the words. Control never depends on data, so a program takes the same cycles",
            "for any input.",
        ),
        *_prose(
            f"Memories: {', '.join(rules.memories)}. Addresses count bytes. Multi-byte values are little endian.",
            "Bits that no field uses are zero, and a word where they are not is refused.",
        ),
        *_prose(
            "The machine checks nothing: a program that lacks a semaphore computes wrong values. The hazard check",
            "(`--check hazards`) finds such pairs, by what is listed under *Reads* and *Writes* of each instruction.",
        ),
        *_prose(
            "How long an instruction takes follows from the rules under [Timing](#timing) and the chip file",
            "(`configs/`).",
        ),
    ]


def _state(rules: Definition) -> list[str]:
    rows = [
        ["loop counters", str(rules.loop_levels), "one a nesting level, level 0 outermost; without a running loop 0"],
        ["address registers", str(rules.address_registers), "`a0` reads as zero, others until defined"],
        ["guard registers", str(rules.guard_registers), "`g0` is always true, others false until defined"],
        ["semaphores", str(rules.semaphores), "counters; `s0` stands for none; a chip may have fewer"],
    ]
    return ["## State of the sequencer", "", *_markdown(["what", "how many", "note"], rows), ""]


def _summary(rules: Definition) -> list[str]:
    rows = [
        [f"[`{form.name}`](#{form.name})", str(form.opcode), _unit(form), form.text.partition(". ")[0].rstrip(".:")]
        for form in rules.formats.values()
    ]
    return ["## Instructions", "", *_markdown(["instruction", "opcode", "unit", "what it does"], rows), ""]


def _shared_fields(rules: Definition) -> list[str]:
    return [
        "## Fields of every instruction",
        "",
        *_field_table([rules.opcode, *rules.common]),
        "",
        "## Fields of every instruction that a unit executes",
        "",
        *_prose(
            "Waits are taken together, before the first beat; one marked `each` takes one count an element",
            "instead, one beat's worth before each beat. Signals are given at completion; one marked `each` gives",
            "one count an element as it is produced. An element of a load or store is a row.",
        ),
        *_field_table(rules.synchronized),
        "",
    ]


def _instruction(rules: Definition, form: Format) -> list[str]:
    executor = (
        _unit(form) if form.unit_field else "the sequencer" if form.unit == "sequencer" else f"the {form.unit} unit"
    )
    lines = [f"## {form.name}", "", *_prose(form.text), f"Opcode {form.opcode}, executed by {executor}.", ""]
    lines += ["```text", *_diagram(rules, form), "```", ""]
    if form.own_fields:
        lines += [*_field_table(form.own_fields), ""]
    if form.operands:
        rows = [
            [
                f"`{operand.name}`",
                operand.memory or f"by `{operand.memory_field}`",
                _bits(operand.register),
                _bits(operand.offset),
                operand.text,
            ]
            for operand in form.operands
        ]
        lines += [*_markdown(["operand", "memory", "register", "offset", "meaning"], rows), ""]
    for word, is_write in (("Reads", False), ("Writes", True)):
        chosen = [rule for rule in form.accesses if rule.is_write == is_write]
        if chosen:
            lines += [f"{word}:", "", *(f"* {_access(rules, form, rule)}" for rule in chosen), ""]
    return lines


def _enums(rules: Definition) -> list[str]:
    lines = ["## Enumerations", ""]
    for name, values in rules.enums.items():
        texts = rules.enum_texts.get(name, {})
        rows = [[str(number), f"`{value}`", texts.get(value, "")] for value, number in values.items()]
        lines += [f"### {name}", "", *_markdown(["value", "name", "meaning"], rows), ""]
    rows = [[f"`{name}`", str(item.bytes), item.memory] for name, item in rules.elements.items()]
    return [*lines, "### Types of elements", "", *_markdown(["type", "bytes", "memory"], rows), ""]


def _block(rules: Definition) -> list[str]:
    rows = [[str(member.offset), f"`{member.name}`", member.type] for member in rules.block]
    return [
        "## The parameter block",
        "",
        f"What a vector instruction's `parameters` points to: {rules.block_bytes} bytes. A factor is",
        "`multiplier * 2**(shift - 31)`, applied with two roundings as TensorFlow Lite does. Other bytes are ignored.",
        "",
        *_markdown(["offset", "name", "type"], rows),
        "",
    ]


def _assembly(rules: Definition) -> list[str]:
    example = [
        make("address", register=1, base=0x400, stride0=40),
        make("loop", count=25, length=1),
        make(
            "matmul",
            start=rules.enums["start"]["bias"],
            rows=96,
            columns=40,
            weights=0,
            input=(1, 0x40),
            accumulators=0,
            bias=0x80,
            wait0=3,
            wait1=4,
            wait1_each=1,
            signal0=5,
            signal0_each=1,
        ),
        make("halt"),
    ]
    return [
        "## Assembly",
        "",
        *_prose(
            "A line is an instruction's name and its fields in any order; `;` starts a comment. Numbers are decimal or",
            "`0x` hexadecimal.",
        ),
        *_markdown(
            ["syntax", "meaning"],
            [
                ["`rows=96`", "a number; 0 may be left out"],
                ["`start=bias`", "an enum's value; `none` and `zero` may be left out"],
                ["`multiply`", "a flag that is set"],
                ["`weights=[a1+0x100]`", "an operand: register plus offset; `[a1]` and `[0x100]` are short forms"],
                ["`register=a1`, `semaphore=s5`", "a register, a semaphore"],
                ["`?g1`", "the guard"],
                ["`wait=s3,s4*`, `signal=s5*`", "semaphores; `*` marks `each`; `s0` leaves a place empty"],
                ["`loop count=25 {` ... `}`", "a loop; the braces give its length"],
            ],
        ),
        "",
        "```text",
        *disassemble(example).splitlines(),
        "```",
        "",
        "The product's word is",
        "",
        "```text",
        *_wrapped_word(encode(example[2])),
        "```",
        "",
        f"and disassembles to `{format_instruction(example[2])}`.",
        "",
        *_prose(
            "Whole programs (`.asm`) have directives besides: `.program`, `.chip`, `.input`, `.output`, `.region`,",
            "`.layer`, `.begin`, `.end`, `.image` and `.dram`. `accelsim disasm NAME_r.cfg` writes them all; by hand,",
            "`.chip tx5368` and instructions are enough, and `.dram ADDRESS BYTES` puts data into DRAM.",
        ),
    ]


# --- pieces -------------------------------------------------------------------------------------------------------


def _prose(*sentences: str) -> list[str]:
    """A paragraph and the empty line after it."""
    return [*textwrap.wrap(" ".join(sentences), _PAGE_COLUMNS, break_on_hyphens=False, break_long_words=False), ""]


def _unit(form: Format) -> str:
    return form.unit or f"the unit of `{form.unit_field}`"


def _bits(field: Field) -> str:
    return f"{field.high}:{field.low}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def _field_table(fields: Iterable[Field]) -> list[str]:
    rows = []
    for field in sorted(fields, key=lambda item: item.low):
        kind = f"[{field.enum}](#{field.enum})" if field.enum else f"{field.kind}, {field.minimum} to {field.maximum}"
        rows.append([_bits(field), f"`{field.name}`", kind, field.text])
    return _markdown(["bits", "field", "kind", "meaning"], rows)


def _access(rules: Definition, form: Format, rule: AccessRule) -> str:
    size = " * ".join(_factor(factor) for factor in rule.factors)
    place = f"`{rule.operand}`" + (f" + {rule.after}" if rule.after else "")
    text = f"{size} bytes {'to' if rule.is_write else 'from'} {place}"
    if rule.count:
        text += f", `{rule.count}` times, `{rule.pitch}` apart"
    if rule.when_field:
        enum = form.field(rule.when_field).enum
        names = [f"`{rules.value_name(enum, value)}`" if enum else str(value) for value in sorted(rule.when_values)]
        text += f", where `{rule.when_field}` is {' or '.join(names)}"
    return text


def _factor(factor: Factor) -> str:
    if not factor.field:
        return str(factor.number)
    texts = {
        "": f"`{factor.field}`",
        "bytes": f"element size of `{factor.field}`",
        "whole_tiles": f"`{factor.field}` rounded up to whole tiles",
        "whole_blocks": f"`{factor.field}` rounded up to whole blocks",
        "plus_one": f"(`{factor.field}` + 1)",
    }
    return texts[factor.modifier]


def _diagram(rules: Definition, form: Format) -> list[str]:
    """The word as boxes, highest bit first, broken into rows that fit a page."""
    cells = _cells(rules, form)
    rows: list[list[tuple[str, str]]] = [[]]
    for cell in cells:
        used = sum(_box_width(other) + 1 for other in rows[-1])
        if rows[-1] and used + _box_width(cell) + 2 > _PAGE_COLUMNS:
            rows.append([])
        rows[-1].append(cell)
    lines = []
    for row in rows:
        rule = "+" + "+".join("-" * _box_width(cell) for cell in row) + "+"
        numbers = " " + " ".join(bits.center(_box_width((bits, name))) for bits, name in row)
        names = "|" + "|".join(name.center(_box_width((bits, name))) for bits, name in row) + "|"
        lines += [numbers.rstrip(), rule, names, rule]
    return lines


def _box_width(cell: tuple[str, str]) -> int:
    return max(len(cell[0]), len(cell[1])) + 2


def _cells(rules: Definition, form: Format) -> list[tuple[str, str]]:
    """(bits, name) from the highest bit down; reserved bits are named 0, synchronization fields are one cell."""
    spans = [(field.high, field.low, field.name) for field in (rules.opcode, *form.fields)]
    if form.synchronized:
        shared = {field.name for field in rules.synchronized}
        spans = [span for span in spans if span[2] not in shared]
        high = max(field.high for field in rules.synchronized)
        spans.append((high, min(field.low for field in rules.synchronized), "waits and signals"))
    cells = []
    above = rules.word_bits
    for high, low, name in sorted(spans, reverse=True):
        if high + 1 < above:
            cells.append((_range(above - 1, high + 1), _UNNAMED))
        cells.append((_range(high, low), name))
        above = low
    return [*cells, (_range(above - 1, 0), _UNNAMED)] if above else cells


def _range(high: int, low: int) -> str:
    return str(high) if high == low else f"{high}:{low}"


def _wrapped_word(word: int) -> list[str]:
    digits = f"{word:064x}"
    return ["0x " + " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))]
