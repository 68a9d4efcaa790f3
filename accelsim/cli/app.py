"""The program: its global options, its commands, and the vendor's names for them."""

from __future__ import annotations

import difflib
from typing import Any

import click

from accelsim import __version__
from accelsim.cli.chip_choice import chip_option
from accelsim.cli.commands.assembly import asm_command, disasm_command
from accelsim.cli.commands.chips import chips_command
from accelsim.cli.commands.compile import compile_command
from accelsim.cli.commands.diff import diff_command
from accelsim.cli.commands.energy import energy_command
from accelsim.cli.commands.make_input import make_input_command
from accelsim.cli.commands.profile import profile_command
from accelsim.cli.commands.quant import quant_command
from accelsim.cli.commands.report import report_command
from accelsim.cli.commands.run import run_command
from accelsim.cli.commands.sweep import sweep_command
from accelsim.cli.commands.validate import validate_command
from accelsim.cli.state import State, pass_state

_VENDOR_NAMES = {"rne-compile": "compile", "rne-sim": "run", "rne-profiling": "profile"}


class _Program(click.Group):
    """A group that lists commands in the order of work, and knows what a mistyped one was meant to be."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.commands.get(_VENDOR_NAMES.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            close = difflib.get_close_matches(name, [*self.commands, *_VENDOR_NAMES], n=1, cutoff=0.4)
            ctx.fail(f"no command {name!r}" + (f"; nearest: {close[0]}" if close else ""))
        return name, command, args[1:]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            # click takes it for the user's end of a dialogue, but no command has one.
            raise RuntimeError("a file or stream ends too early") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, [*self.commands, *_VENDOR_NAMES]))
        with formatter.section("Commands"):
            formatter.write_dl([(name, item.get_short_help_str(limit)) for name, item in self.commands.items()])
        with formatter.section("The vendor's names for them"):
            formatter.write_dl([(name, f"as {ours}") for name, ours in _VENDOR_NAMES.items()])


@click.group(
    cls=_Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@chip_option("A chip that ships with the program (see `accelsim chips`), a chip file, or the vendor's product name.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, "-v", "--version", prog_name="accelsim")
@pass_state
def app(state: State, chip: str | None, debug: bool) -> None:
    """Cycle-level simulator and toolchain for RNN inference engines.

    \b
    Steps of a model's way, each leaving files the next one takes:
      accelsim quant --model kws.onnx --data calibration.npz --outpath OUT
      accelsim compile --onnx OUT/kws_quantize.onnx --outpath OUT
      accelsim run OUT/kws_quantize_r.cfg --input test.npz --outpath OUT
      accelsim profile OUT/kws_quantize_r.cfg --outpath OUT

    \b
    On other chips, and as a page to look at:
      accelsim sweep OUT/kws_quantize.onnx --set mac.rows=8:64:x2 --set dram.bytes_per_cycle=1,2,4,8 --out SWEEP
      accelsim report SWEEP

    TX5368AV200 is the vendor's product name for what our chip tx5368 models in style; all its figures that the
    vendor does not publish are assumed, and `accelsim chips tx5368` says which.
    """
    state.debug, state.chip = debug, chip
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    quant_command,
    compile_command,
    run_command,
    profile_command,
    diff_command,
    sweep_command,
    report_command,
    make_input_command,
    chips_command,
    energy_command,
    disasm_command,
    asm_command,
    validate_command,
):
    app.add_command(_command)
