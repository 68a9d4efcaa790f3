"""``accelsim chips``: which chips there are, and what a chip file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import DEFAULT_CHIP, chosen_chip
from accelsim.cli.console import print_json, say, show, table
from accelsim.cli.cost_tables import print_costs
from accelsim.cli.state import State, pass_state

if TYPE_CHECKING:
    from accelsim.chip import Chip


@click.command("chips", short_help="List the chips, or show every figure of one.")
@click.argument("name", required=False, metavar="[NAME|FILE]")
@click.option("--keys", is_flag=True, help="Show every key of a chip file: its type, range, default and meaning.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@pass_state
def chips_command(state: State, name: str | None, keys: bool, as_json: bool) -> None:
    """List the chips that ship with the program, or show every figure of one and where it comes from.

    A chip file is TOML; `accelsim chips --keys` shows what can stand in it. TX5368AV200 is the vendor's product
    name for what our chip tx5368 models in style.
    """
    if keys:
        if name is not None:
            raise click.UsageError("--keys is about every chip file; leave the name out", click.get_current_context())
        _keys(as_json)
    elif name is not None or state.chip is not None:
        _one(chosen_chip(state, name), as_json)
    else:
        _list(as_json)


def _list(as_json: bool) -> None:
    from accelsim.chip import chip_names, load_chip
    from accelsim.chip.load import VENDOR_CHIPS

    chips = [load_chip(name) for name in chip_names()]
    if as_json:
        print_json([_summary(chip) for chip in chips])
        return
    rows = [
        (
            summary["name"],
            f"{summary['macs']:,}",
            f"{summary['clock_mhz']:g}",
            f"{summary['sram_bytes'] / 1024:,.0f}",
            f"{summary['dram_bytes_per_cycle']:g}",
            summary["description"],
        )
        for summary in map(_summary, chips)
    ]
    headers = ("chip", "MACs", "clock MHz", "SRAM KiB", "DRAM bytes/cycle", "description")
    show(table(headers, rows, left=("chip", "description"), wrapped=("description",)))
    say(f"default: {DEFAULT_CHIP}")
    for product, ours in VENDOR_CHIPS.items():
        say(f"{product.upper()} is taken for {ours}, which models it in style; figures not published are assumed")


def _summary(chip: Chip) -> dict[str, Any]:
    sram = chip.sram
    return {
        "name": chip.name,
        "description": chip.chip.description,
        "macs": chip.mac.rows * chip.mac.columns * chip.mac.batch_columns,
        "clock_mhz": chip.chip.clock_mhz,
        "sram_bytes": sum(getattr(sram, name).capacity_bytes for name in type(sram).model_fields),
        "dram_bytes_per_cycle": chip.dram.bytes_per_cycle,
        "dram_capacity_bytes": chip.dram.capacity_bytes,
        "digest": chip.digest,
    }


def _one(chip: Chip, as_json: bool) -> None:
    from accelsim.chip.load import describe_keys
    from accelsim.costs import costs_of

    described, costs = describe_keys(chip), costs_of(chip)
    if as_json:
        fields = ("key", "value", "meaning", "provenance")
        print_json(
            _summary(chip) | costs.to_dict() | {"keys": [dict(zip(fields, row, strict=True)) for row in described]}
        )
        return
    rows = [
        (key, _plain(value), meaning, source)
        for key, value, meaning, source in described
        if key not in ("chip.name", "chip.description")
    ]
    say(": ".join(text for text in (chip.name, chip.chip.description) if text))
    headers = ("key", "value", "meaning", "where it comes from")
    show(table(headers, rows, left=(headers[0], *headers[2:]), wrapped=headers[2:]))
    print_costs(costs)


def _keys(as_json: bool) -> None:
    rows = list(chip_keys())
    if as_json:
        print_json(rows)
        return
    texts = [(row["key"], row["type"], row["default"], row["meaning"]) for row in rows]
    headers = ("key", "type", "default", "meaning")
    show(table(headers, texts, left=headers, wrapped=("meaning",)))


def chip_keys() -> list[dict[str, str]]:
    """Every key of a chip file: key, type (with its range), default ("required" where there is none), meaning."""
    from accelsim.chip import Chip

    schema = Chip.model_json_schema()
    return list(_section(schema, schema["$defs"], ""))


def _section(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name, field in schema["properties"].items():
        reference = field.get("$ref")
        if reference is not None:
            rows += _section(definitions[reference.rsplit("/", 1)[-1]], definitions, f"{prefix}{name}.")
            continue
        # A figure that may be left out, or a name in whose place a whole table may stand.
        field = next(iter(field.get("anyOf", ())), {}) | field
        if field["type"] == "array":
            rows += _tables(field, definitions, f"{prefix}{name}")
            continue
        default = _plain(field["default"]) if "default" in field else "required"
        if field["type"] == "object":
            default = "none"
        rows.append(
            {
                "key": prefix + name,
                "type": _type(field),
                "default": default,
                "meaning": field.get("description", ""),
            }
        )
    return rows


def _tables(field: dict[str, Any], definitions: dict[str, Any], key: str) -> list[dict[str, str]]:
    """A list of tables, and the keys of each; or a list of words."""
    items = field["items"]
    row = {"key": key, "default": "none", "meaning": field.get("description", "")}
    if "$ref" in items:
        inner = _section(definitions[items["$ref"].rsplit("/", 1)[-1]], definitions, f"{key}[].")
        return [row | {"type": "tables"}, *inner]
    return [row | {"type": "list of " + ", ".join(items["enum"])}]


def _type(field: dict[str, Any]) -> str:
    if field["type"] == "object":
        return "table of texts"
    kind = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}[field["type"]]
    bounds = [
        f"{sign} {field[key]:g}" if kind == "number" else f"{sign} {field[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in field
    ]
    return " ".join([kind, *([", ".join(bounds)] if bounds else [])])


def _plain(value: Any) -> str:
    """A value as it stands in a chip file; for one that does not, whose place the table's takes."""
    if value is None:
        return "the table's"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value) or "none"
    return repr(value).replace("'", '"') if isinstance(value, str) else str(value)
