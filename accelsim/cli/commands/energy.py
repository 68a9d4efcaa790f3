"""``accelsim energy``: which cost tables there are, what one says, and one made of another tool's."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from accelsim.cli.console import print_json, say, say_written, show, table
from accelsim.cli.output_folder import check_no_input


class _Tables(click.Group):
    """A group whose argument is a table's name or file, if it is none of its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        # What was said before the name is meant for what shows it.
        return "show", self.commands["show"], [*args, *(["--json"] if ctx.params.get("as_json") else [])]


@click.group(
    "energy",
    cls=_Tables,
    invoke_without_command=True,
    subcommand_metavar="[NAME|FILE | import ERT.yaml ...]",
    short_help="List the cost tables (energy, area), show or import one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def energy_command(context: click.Context, as_json: bool) -> None:
    """List the cost tables, show one with the source of each figure, or import one.

    A chip names its table in `energy.table`; `--energy` of run and profile counts by another one. A table of your
    own is a TOML file of the same form: `accelsim energy 45nm --toml` prints one whole.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    from accelsim.costs import DEFAULT_COST_TABLE, cost_table_names, load_cost_table

    tables = [load_cost_table(name) for name in cost_table_names()]
    if as_json:
        print_json([{"name": one.name, "description": one.description} for one in tables])
        return
    rows = [(one.name, one.description) for one in tables]
    show(table(("cost table", "description"), rows, left=("cost table", "description"), wrapped=("description",)))
    say(f"default: {DEFAULT_COST_TABLE}")


@energy_command.command("show", hidden=True)
@click.argument("name", metavar="NAME|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print the whole table as JSON.")
@click.option("--toml", "as_toml", is_flag=True, help="Print the whole table as TOML, to make your own of.")
def show_command(name: str, as_json: bool, as_toml: bool) -> None:
    """Show a cost table: each figure and its source."""
    from accelsim.costs import load_cost_table

    if as_json and as_toml:
        raise click.UsageError("--json and --toml are two forms of one table", click.get_current_context())
    one = load_cost_table(name, where="accelsim energy")
    if as_toml:
        import tomli_w

        say(tomli_w.dumps(one.model_dump(exclude_none=True)).rstrip())
        return
    if as_json:
        print_json(one.model_dump(exclude_none=True))
        return
    say(": ".join(text for text in (one.name, one.description) if text))
    headers = ("figure", "value", "unit", "source")
    rows = list(_rows(one.model_dump(exclude_none=True)))
    show(table(headers, rows, left=("figure", "unit", "source"), wrapped=("source",)))


_UNITS = {
    "energy_pj": "pJ",
    "area_um2": "µm²",
    "um2_per_bit": "µm² a bit",
    "uw": "µW",
    "uw_per_kib": "µW a KiB",
}


def _rows(data: dict[str, Any], path: str = "") -> list[tuple[str, str, str, str]]:
    """A row a figure of a table within the cost table: place, value, unit, source."""
    rows: list[tuple[str, str, str, str]] = []
    for key, value in data.items():
        if isinstance(value, dict) and key == "operations" and path:
            made = " + ".join(f"{count} {name}" for name, count in value.items())
            rows.append((path, made, "", data["source"]))
        elif isinstance(value, dict):
            rows += _rows(value, f"{path}.{key}".strip("."))
        elif isinstance(value, tuple | list):
            for item in value:
                rows += _rows(item, f"{path}, {item['capacity_bytes']:,} bytes")
        elif key in _UNITS:
            unit = _UNITS[key]
            if "access_bytes" in data:
                unit += f" per {data['access_bytes']} bytes"
            source = data.get(f"{key.partition('_')[0]}_source") or data.get("source", "")
            rows.append((path, f"{value:g}", unit, source))
        elif key == "size_of":
            rows.append((path, f"per {data['access_bytes']} bytes", f"by the {value}'s size", ""))
    return rows


@energy_command.command("import")
@click.argument("ert", type=click.Path(path_type=Path), metavar="ERT.yaml")
@click.option("--area", "art", type=click.Path(path_type=Path), metavar="ART.yaml", help="Area reference table.")
@click.option(
    "--map",
    "mapping",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MAP.toml",
    help="Which component and action of it stands for what of ours.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE.toml", help="The table to write.")
def import_command(ert: Path, art: Path | None, mapping: Path, out: Path) -> None:
    """Make a cost table of Accelergy's energy and area reference tables.

    \b
    The map names, for each part of ours, a component of theirs and its actions:
      name = "mine"
      base = "45nm"                # for all that is not mapped
      [mac]
      component = "chip.PE.mac"
      actions = ["compute"]
      [sram.weights]               # or default, activations, accumulators, parameters
      component = "chip.weights"
      actions = ["read", "write"]  # their mean
      access_bytes = 8             # of one action
      capacity_bytes = 65536       # of one component
      [dram]
      component = "chip.DRAM"
      actions = ["read", "write"]
      access_bytes = 8
    vector_element is mapped as mac is.
    """
    from accelsim.costs.accelergy import import_accelergy, toml_of
    from accelsim.errors import InputError
    from accelsim.isa.atomic import write_files

    if out.suffix != ".toml":
        raise InputError("--out", "", f"found {out}", "a name that ends in .toml")
    check_no_input(out, "--out", ert, art, mapping)
    made = import_accelergy(ert, mapping, art)
    given = ["accelsim", "energy", "import", str(ert), *(["--area", str(art)] if art else [])]
    command = shlex.join([*given, "--map", str(mapping), "--out", str(out)])
    write_files({out: toml_of(made, [f"Made by: {command}"]).encode()})
    say_written([out])
