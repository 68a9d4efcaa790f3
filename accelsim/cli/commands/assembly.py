"""``accelsim disasm`` and ``accelsim asm``: programs as text to read and edit, and back."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.cli.console import say, say_written
from accelsim.cli.output_folder import check_no_input, check_output_folder, outpath_option, output_folder
from accelsim.cli.program_file import open_program, program_options


@click.command("disasm", short_help="Show a compiled program as assembly.")
@program_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to this file.  [default: the standard output]",
)
def disasm_command(program: Path | None, config: Path | None, weight: Path | None, output: Path | None) -> None:
    """Show a compiled program as assembly text, weights included.

    `accelsim asm` makes the same program of it.
    """
    from accelsim.isa.asm_file import disassemble_program
    from accelsim.isa.atomic import write_files

    opened, cfg = open_program(program, config, weight)
    if output is not None:
        check_no_input(output, "--output", cfg, weight or cfg.with_suffix(".weight"))
    text = disassemble_program(opened)
    if output is None:
        say(text.removesuffix("\n"))
        return
    write_files({output: text.encode()})
    say_written([output])


@click.command("asm", short_help="Assemble a program from text.")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE.asm")
@outpath_option()
def asm_command(source: Path, outpath: Path) -> None:
    """Assemble a program: FILE.asm (or FILE_r.asm) gives FILE_r.cfg and FILE_r.weight.

    isa/ISA.md describes the instructions and directives. The machine does not check a program's semaphores;
    `accelsim run --check hazards` does.
    """
    check_output_folder(outpath)

    from accelsim.isa.asm_file import read_asm
    from accelsim.isa.files import write_program

    program = read_asm(source)
    with output_folder(outpath) as folder:
        written = write_program(program, folder, source.stem.removesuffix("_r") or source.stem)
    say(f"{program.name} for chip {program.chip.name}: {len(program.words):,} instructions")
    say_written(written)
