"""Chip files: what is refused, in which words, and that all of it is said at once."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from accelsim.chip import Chip, chip_names, dump_chip, load_chip, load_chip_text
from accelsim.chip.load import check_chip
from accelsim.errors import InputError, ManyErrors


def data() -> dict[str, Any]:
    return copy.deepcopy(dump_chip(load_chip("tx5368")))


def changed(**changes: Any) -> dict[str, Any]:
    """The default chip's data with other values: ``mac__rows=0``."""
    found = data()
    for key, value in changes.items():
        *tables, name = key.split("__")
        section = found
        for table in tables:
            section = section[table]
        section[name] = value
    return found


def faults(content: dict[str, Any]) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        check_chip(content, "my.toml")
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_the_vendors_product_name_is_our_chip_in_its_style() -> None:
    assert load_chip("TX5368AV200") == load_chip("tx5368av200") == load_chip("tx5368")


@pytest.mark.parametrize("name", chip_names())
def test_chips_that_ship(name: str) -> None:
    chip = load_chip(name)
    assert isinstance(chip, Chip)
    assert check_chip(dump_chip(chip), "again") == chip


LINES: list[tuple[str, Any, str]] = [
    ("mac__rows", 0, "mac.rows: found 0; expected at least 1"),
    ("mac__rows", 4097, "mac.rows: found 4097; expected at most 4096"),
    ("mac__rows", 4.0, "mac.rows: found 4.0; expected an integer"),
    ("mac__rows", "4", "mac.rows: found '4'; expected an integer"),
    ("mac__rows", [4], "mac.rows: found [4]; expected an integer"),
    ("mac__rows", {"a": 4}, "mac.rows: found a table; expected an integer"),
    ("mac__rows", True, "mac.rows: found true; expected an integer"),
    ("mac__latency_cycles", 10**30, f"mac.latency_cycles: found {10**30}; expected at most 1000000000"),
    ("dram__read_latency_cycles", -1, "dram.read_latency_cycles: found -1; expected at least 0"),
    ("chip__clock_mhz", True, "chip.clock_mhz: found true; expected a number"),
    ("chip__clock_mhz", "400", "chip.clock_mhz: found '400'; expected a number"),
    ("chip__clock_mhz", 0, "chip.clock_mhz: found 0; expected at least 1e-06"),
    ("chip__clock_mhz", 1e-320, "chip.clock_mhz: found 1e-320; expected at least 1e-06"),
    ("chip__clock_mhz", float("nan"), "chip.clock_mhz: found nan; expected a finite number"),
    ("chip__clock_mhz", float("inf"), "chip.clock_mhz: found inf; expected a finite number"),
    ("dram__bytes_per_cycle", False, "dram.bytes_per_cycle: found false; expected a number"),
    ("dram__bytes_per_cycle", 0, "dram.bytes_per_cycle: found 0; expected a value greater than 0"),
    ("dram__bytes_per_cycle", 1e-4, "dram.bytes_per_cycle: found 0.0001; expected a value greater than 1/2048"),
    ("energy__dram_pj_per_byte", True, "energy.dram_pj_per_byte: found true; expected a number"),
    ("energy__dram_pj_per_byte", 1e300, "energy.dram_pj_per_byte: found 1e+300; expected at most 1000000000"),
    ("chaining__enabled", 1, "chaining.enabled: found 1; expected true or false"),
    ("chip__name", 3, "chip.name: found 3; expected a text"),
    ("chip__name", "a b", "chip.name: found 'a b'; expected letters, digits, '_', '.' and '-'"),
    ("dma", 3, "dma: found 3; expected a table"),
    ("provenance", 3, "provenance: found 3; expected a table"),
    ("provenance__mac.rows", 3, "provenance.mac.rows: found 3; expected a text"),
    ("provenance__mac.row", "assumed", 'provenance."mac.row": names no key; nearest: mac.rows'),
    ("mac__row", 3, "mac.row: unknown key; nearest: mac.rows"),
    ("sram__weights__capacity_bytes", 2**27, "sram.weights.capacity_bytes: found 134217728; expected at most 67108864"),
    (
        "sram__weights__word_bytes",
        7,
        "sram.weights.capacity_bytes: found 294912; expected a multiple of banks x word_bytes = 64 x 7 = 448",
    ),
]


@pytest.mark.parametrize(("key", "value", "line"), LINES)
def test_a_wrong_key_is_one_clear_line(key: str, value: Any, line: str) -> None:
    (found,) = faults(changed(**{key: value}))
    assert found.startswith(f"my.toml: {line}")


def test_a_missing_key() -> None:
    content = data()
    del content["mac"]["rows"]
    assert faults(content) == ["my.toml: mac.rows: missing"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {
        "mac__rows": 0,
        "chip__clock_mhz": True,
        "sram__weights__word_bytes": 7,
        "dram__bytes_per_cycle": 1e-4,
        "vector__lane": 3,
        "provenance__mac.row": "assumed",
    }
    keys = [re.split(": ", line)[1] for line in faults(changed(**wrong))]
    assert keys == [
        "chip.clock_mhz",
        "mac.rows",
        "vector.lane",
        "sram.weights.capacity_bytes",
        "dram.bytes_per_cycle",
        'provenance."mac.row"',
    ]


def test_an_integer_is_a_number_too() -> None:
    chip = check_chip(changed(chip__clock_mhz=400, energy__dram_pj_per_byte=3), "my.toml")
    assert (chip.chip.clock_mhz, chip.energy.dram_pj_per_byte) == (400.0, 3.0)


def test_values_the_file_leaves_out() -> None:
    content = data()
    del content["energy"], content["provenance"], content["mac"]["batch_columns"]
    chip = check_chip(content, "my.toml")
    assert (chip.mac.batch_columns, chip.provenance) == (1, {})
    assert (chip.energy.table, chip.energy.own) == ("45nm", {})


def test_a_date_is_no_number() -> None:
    with pytest.raises(InputError, match=r"my.toml: chip.clock_mhz: found .*1979.*; expected a number"):
        load_chip_text("[chip]\nname = 'x'\nclock_mhz = 1979-05-27\n", "my.toml")
