"""Accelergy's tables into ours: what is taken from where, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.chip import load_chip
from accelsim.chip.cost_table import check_cost_table, load_cost_table
from accelsim.costs import costs_of
from accelsim.costs.accelergy import import_accelergy, toml_of
from accelsim.errors import InputError
from tests.support.accelergy_tables import ART, ERT, MAP, accelergy_files


def test_mapped_parts_are_theirs_and_all_else_the_bases(tmp_path: Path) -> None:
    made = import_accelergy(*accelergy_files(tmp_path))
    costs = costs_of(load_chip("tx5368"), check_cost_table(made, "made"))
    base = costs_of(load_chip("tx5368"), load_cost_table("45nm"))
    assert costs.table == "mine"
    assert {name: figure.value for name, figure in costs.action_pj.items()} == pytest.approx(
        {name: figure.value for name, figure in base.action_pj.items()}
        | {"mac": 0.5, "weights_sram": (4 + 12) / 2 / 4, "dram": (500 + 524) / 2 / 8}
    )
    assert costs.area_mm2["mac"].value == pytest.approx(2048 * 417e-6)
    # 4,096 µm² of 8,192 bits are half a µm² a bit.
    assert costs.area_mm2["weights_sram"].value == pytest.approx(288 * 1024 * 8 * 0.5e-6)
    assert costs.area_mm2["vector"] == base.area_mm2["vector"]
    assert "ERT.yaml: chip.PE.mac[1..256], compute" in costs.action_pj["mac"].source
    assert "ERT.yaml: chip.DRAM[1..1], mean of read and write" in costs.action_pj["dram"].source
    assert "ART.yaml: chip.buffer[1..4], 4096 µm² of 8,192 bits" in costs.area_mm2["weights_sram"].source


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = import_accelergy(*accelergy_files(tmp_path))
    (tmp_path / "mine.toml").write_text(toml_of(made, ["a comment"]))
    assert load_cost_table(tmp_path / "mine.toml") == check_cost_table(made, "made")


def test_without_areas_imported_parts_have_none(tmp_path: Path) -> None:
    ert, mapping, _ = accelergy_files(tmp_path)
    costs = costs_of(load_chip("tx5368"), check_cost_table(import_accelergy(ert, mapping), "made"))
    assert [name for name, area in costs.area_mm2.items() if area.value != area.value] == ["mac", "weights_sram"]


REFUSED: list[tuple[str, str, str, str]] = [
    ("map", 'base = "45nm"\n', "", "map.toml (with ERT.yaml): vector_element: missing"),
    ("map", '"45nm"', '"45"', "map.toml: base: no cost table named '45' (nearest: 45nm)"),
    ("map", "chip.PE.mac", "chip.PE.mad", "map.toml: mac.component: 'chip.PE.mad' is not in"),
    ("map", '["compute"]', '["add"]', "map.toml: mac.actions: 'add' is no action of chip.PE.mac[1..256] in"),
    (
        "map",
        "arguments = { gated = 0 }\n",
        "",
        "mac.arguments: 'compute' of chip.PE.mac[1..256] has 2 energies",
    ),
    (
        "map",
        "access_bytes = 4",
        "access_byte = 4",
        "sram.weights.access_byte: unknown key; nearest: sram.weights.",
    ),
    ("map", "capacity_bytes = 1024\n", "", "map.toml: sram.weights.capacity_bytes: missing"),
    ("map", MAP, 'name = "mine"\n', "map.toml: mac: found 'none'; expected at least one of mac"),
    ("map", "[mac]", "[mac", "map.toml: not TOML: "),
    ("ert", "energy: 500.0", "energy: -1", "ERT.yaml: chip.DRAM[1..1]: read: energy: found -1"),
    (
        "ert",
        "energy: 500.0",
        "energy: much",
        "chip.DRAM[1..1]: read: energy: found 'much'; expected a number",
    ),
    ("ert", ", energy: 500.0", "", "ERT.yaml: chip.DRAM[1..1]: read: energy: missing; expected a number from 0"),
    ("ert", "ERT:", "ETR:", "ERT.yaml: ERT: missing; expected a table ERT with a list `tables`"),
    ("ert", "tables:", "table:", "ERT.yaml: ERT.tables: missing; expected a list of tables"),
    ("ert", "name: chip.PE.mac[1..256]", "name: chip.DRAM[1..2]", "'chip.DRAM[1..2]' is there twice"),
    ("ert", "name: chip.PE.mac[1..256]", "name: 7", "ERT.yaml: ERT.tables[2].name: found 7; expected a text"),
    ("ert", "version: '0.4'", "version: '0.4", "ERT.yaml: line "),
    (
        "ert",
        "version: '0.4'",
        "version: !!python/object/apply:os.getpid []",
        "ERT.yaml: line 2: not YAML: could",
    ),
    ("ert", ERT, "[" * 5000, "ERT.yaml: nested too deeply"),
    ("art", "name: 'chip.PE.mac[1..256]'", "name: 'chip.mac'", "map.toml: mac.component: 'chip.PE.mac' is not in"),
    ("art", ", area: 417.0", "", "ART.yaml: chip.PE.mac[1..256]: area: missing; expected a number from 0"),
]


@pytest.mark.parametrize(("which", "old", "new", "expected"), REFUSED)
def test_what_does_not_fit_is_named(tmp_path: Path, which: str, old: str, new: str, expected: str) -> None:
    texts = {"ert": ERT, "map": MAP, "art": ART}
    assert old in texts[which]
    texts[which] = texts[which].replace(old, new, 1)
    with pytest.raises(InputError) as caught:
        import_accelergy(*accelergy_files(tmp_path, texts["ert"], texts["map"], texts["art"]))
    lines = str(caught.value).splitlines()
    assert sum(expected in line for line in lines) == 1
    assert all(line.startswith(str(tmp_path)) for line in lines)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    ert, mapping, art = accelergy_files(tmp_path)
    art.unlink()
    with pytest.raises(InputError, match=r"ART.yaml: No such file or directory; expected an ART of Accelergy"):
        import_accelergy(ert, mapping, art)
