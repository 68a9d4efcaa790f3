"""Cost tables in chip files and programs, and what is refused of them, in which words."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from accelsim.chip import dump_chip, load_chip
from accelsim.chip.cost_table import CostTable, check_cost_table, cost_table_names, load_cost_table
from accelsim.chip.load import check_chip, describe_keys
from accelsim.chip.settings import with_settings
from accelsim.costs import costs_of
from accelsim.errors import InputError, ManyErrors
from accelsim.isa.files import read_program, write_program
from accelsim.isa.program import Program
from tests.support.tiny import tiny_program

OWN = {
    "mac_int8_pj": 0.33,
    "vector_element_pj": 3.5,
    "sram_weights_pj_per_byte": 5.0,
    "sram_activations_pj_per_byte": 4.0,
    "sram_accumulators_pj_per_byte": 3.2,
    "sram_parameters_pj_per_byte": 3.2,
    "dram_pj_per_byte": 52.3,
    "leakage_mw": 0.0,
}
"""All figures there are, as chip files had them before there were tables."""


def data(name: str = "45nm") -> dict[str, Any]:
    return copy.deepcopy(load_cost_table(name).model_dump(exclude_none=True))


def faults(content: dict[str, Any]) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        check_cost_table(content, "my.toml")
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def changed(path: str, value: Any) -> dict[str, Any]:
    """The default table with another value; None takes it out."""
    content = data()
    *tables, name = path.split("/")
    section: Any = content
    for part in tables:
        section = section[int(part) if part.isdigit() else part]
    if value is None:
        del section[name]
    else:
        section[name] = value
    return content


@pytest.mark.parametrize("name", cost_table_names())
def test_tables_that_ship(name: str) -> None:
    found = load_cost_table(name)
    assert found.name == name
    assert check_cost_table(found.model_dump(exclude_none=True), "again") == found


WRONG: list[tuple[str, Any, str]] = [
    ("operations/add_int8/energy_source", None, "operations.add_int8.energy_source: missing"),
    ("operations/add_int8/energy_source", " ", "operations.add_int8.energy_source: found ' '; expected"),
    ("operations/add_int8/area_source", None, "operations.add_int8.area_source: found 'none'; expected where area_um2"),
    ("operations/add_int8/energy_pj", -0.1, "operations.add_int8.energy_pj: found -0.1; expected at least 0"),
    ("operations/add_int8/energy_pj", "1", "operations.add_int8.energy_pj: found '1'; expected a number"),
    (
        "operations/add_int8/energy_pj",
        float("nan"),
        "add_int8.energy_pj: found nan; expected a finite number",
    ),
    (
        "operations/add_int8/energi_pj",
        1.0,
        "operations.add_int8.energi_pj: unknown key; nearest: operations.add_int8.energy_pj",
    ),
    ("mac", None, "mac: missing"),
    ("vector_element", None, "vector_element: missing"),
    ("dram", None, "dram: missing"),
    ("dram/source", None, "dram.source: missing"),
    ("sram", {}, "sram.default: found 'none'; expected one, for accumulators, activations, parameters, weights"),
    ("sram/default/accesses", [], "sram.default.accesses: found []; expected at least 1"),
    ("sram/default/accesses/0/source", None, "sram.default.accesses[0].source: missing"),
    ("sram/default/accesses/0/energy", 1.0, "nearest: sram.default.accesses[0].energy_pj"),
    ("sram/default/accesses/0/energy_pj", 0.0, "sram.default.accesses: found [0.0, 20.0, 100.0]; expected energies gr"),
    ("sram/default/accesses/0/capacity_bytes", 99999, "[99999, 32768, 1048576]; expected sizes that grow"),
    ("sram/default/size_of", "word", "sram.default.size_of: found 'word'; expected one of 'memory' or 'bank'"),
    ("sram/default/area/source", None, "sram.default.area.source: missing"),
    ("sram/default/leakage/source", None, "sram.default.leakage.source: missing"),
    ("sram/weight", {}, "sram.weight: unknown key; nearest: sram.weights"),
    ("mac/operations", {"multiply_int": 1}, "mac.operations: found 'multiply_int'; expected one of [operations]: "),
    ("mac/operations", {}, "mac.operations: found a table; expected at least 1"),
    ("mac/operations/add_int32", 0, "mac.operations.add_int32: found 0; expected at least 1"),
]


@pytest.mark.parametrize(("path", "value", "expected"), WRONG)
def test_a_wrong_table_is_refused_in_one_line(path: str, value: Any, expected: str) -> None:
    (line,) = faults(changed(path, value))
    assert line.startswith("my.toml: ")
    assert expected in line


def test_all_is_said_at_once() -> None:
    content = changed("dram/energy_pj", -1.0)
    del content["mac"]
    assert len(faults(content)) == 2


def test_a_name_that_is_no_tables() -> None:
    with pytest.raises(InputError, match=r"--energy: no cost table named '45' \(nearest: 45nm\); expected one"):
        load_cost_table("45")


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.toml: No such file or directory; expected a cost table"):
        load_cost_table(tmp_path / "none.toml")
    (tmp_path / "wrong.toml").write_text("name =")
    with pytest.raises(InputError, match=r"wrong.toml: not TOML: "):
        load_cost_table(tmp_path / "wrong.toml")


def written(folder: Path, name: str = "mine") -> Path:
    """A table of one's own: a DRAM of 80 pJ for 8 bytes."""
    content = data() | {"name": name, "dram": {"access_bytes": 8, "energy_pj": 80.0, "source": "measured"}}
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(content))
    return path


def test_a_chip_takes_a_table_from_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    written(tmp_path)
    chip = dump_chip(load_chip("tx5368")) | {"energy": {"table": "./mine.toml"}}
    (tmp_path / "chip.toml").write_text(tomli_w.dumps(chip))
    loaded = load_chip(tmp_path / "chip.toml")
    assert isinstance(loaded.energy.table, CostTable)
    assert costs_of(loaded).action_pj["dram"].value == 10
    assert ("energy.table", "mine") in [row[:2] for row in describe_keys(loaded)]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("45n", "chip: energy.table: no cost table named '45n' (nearest: 45nm); expected one of 45nm, 7nm, none, or a"),
        ("no.toml", "no.toml: No such file or directory; expected a cost table"),
        (5, "chip: energy.table: found 5; expected the name or the file of a cost table"),
        ({"name": "x"}, "chip: energy.table: operations: missing"),
    ],
)
def test_a_chip_with_a_wrong_table(table: Any, expected: str) -> None:
    chip = dump_chip(load_chip("tx5368")) | {"energy": {"table": table}}
    chip["mac"]["rows"] = 0
    with pytest.raises(ManyErrors) as caught:
        check_chip(chip, "chip")
    lines = str(caught.value).splitlines()
    assert "chip: mac.rows: found 0; expected at least 1" in lines
    assert any(line.startswith(expected) for line in lines)


def test_a_table_is_set_like_any_other_key(tmp_path: Path) -> None:
    chip = load_chip("tx5368")
    assert costs_of(with_settings(chip, {"energy.table": "7nm"})).table == "7nm"
    assert costs_of(with_settings(chip, {"energy.table": str(written(tmp_path))})).action_pj["dram"].value == 10
    assert costs_of(with_settings(chip, {"energy.dram_pj_per_byte": 3.0})).own == ("dram_pj_per_byte",)
    with pytest.raises(InputError, match=r"settings: energy.table: no cost table named '8nm' \(nearest: 7nm\)"):
        with_settings(chip, {"energy.table": "8nm"})


def own_chip() -> dict[str, Any]:
    return dump_chip(load_chip("tx5368")) | {"energy": dict(OWN)}


def test_a_chip_with_all_figures_of_its_own_is_what_it_was() -> None:
    """Programs name their chip's digest, also those compiled before there were tables."""
    chip = check_chip(own_chip(), "chip")
    content = chip.model_dump(exclude={"provenance": True, "schedule": True, "chip": {"description"}})
    content["energy"] = OWN
    assert chip.digest == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert [figure.value for figure in costs_of(chip).action_pj.values()] == list(OWN.values())[:-1]


def test_the_digest_follows_what_changes_a_picojoule(tmp_path: Path) -> None:
    def digest(energy: dict[str, Any]) -> str:
        return check_chip(dump_chip(load_chip("tx5368")) | {"energy": energy}, "chip").digest

    same = digest({"table": str(written(tmp_path))})
    assert digest({"table": str(written(tmp_path, "renamed"))}) == same
    different = [{}, {"table": "7nm"}, {"mac_int8_pj": 1.0}, {"mac_int8_pj": 2.0}, OWN]
    assert len({same, *map(digest, different)}) == 6


def compiled(energy: dict[str, Any]) -> Program:
    program = tiny_program("")
    chip = check_chip(dump_chip(program.chip) | {"energy": energy}, "chip")
    return dataclasses.replace(program, chip=chip)


@pytest.mark.parametrize("energy", [{"table": "7nm"}, {"table": "mine.toml", "mac_int8_pj": 1.5}, OWN])
def test_a_program_takes_its_chips_costs_along(
    energy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = written(tmp_path)
    program = compiled(energy)
    cfg, _ = write_program(program, tmp_path, "small")
    table.unlink()
    read = read_program(cfg)
    assert read.chip == program.chip
    assert costs_of(read.chip) == costs_of(program.chip)


def test_a_program_from_before_there_were_tables(tmp_path: Path) -> None:
    cfg, _ = write_program(compiled(OWN), tmp_path, "small")
    text, _, _ = cfg.read_text().rpartition("# sha256 = ")
    old = text.replace('table = "45nm"\n', "")
    assert len(old) < len(text)
    cfg.write_text(f"{old}# sha256 = {hashlib.sha256(old.encode()).hexdigest()}\n")
    assert costs_of(read_program(cfg).chip).action_pj["dram"].value == 52.3
