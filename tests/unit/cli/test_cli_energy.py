"""Cost tables on the command line: listed, shown, imported, and chosen for a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.chip.cost_table import load_cost_table
from tests.support.accelergy_tables import accelergy_files
from tests.support.command_line import Files, Program, refused


def test_tables_are_listed(accelsim: Program) -> None:
    out = accelsim.ok("energy")
    assert "45nm" in out
    assert "default: 45nm" in out
    assert [one["name"] for one in json.loads(accelsim.ok("energy", "--json"))] == ["45nm", "7nm", "none"]


def test_a_table_is_shown_with_its_sources(accelsim: Program, tmp_path: Path) -> None:
    out = accelsim.ok("energy", "45nm")
    for text in ("Horowitz, ISSCC 2014", "0.346", "1 multiply_int8 + 1 add_int32", "IEDM 2007", "pJ per 8 bytes"):
        assert text in out
    assert json.loads(accelsim.ok("energy", "45nm", "--json"))["dram"]["energy_pj"] == 1300
    (tmp_path / "copy.toml").write_text(accelsim.ok("energy", "45nm", "--toml"))
    assert load_cost_table(tmp_path / "copy.toml") == load_cost_table("45nm")
    assert "energy.table" in accelsim.ok("chips", "--keys")


def test_a_chips_costs_are_shown(accelsim: Program) -> None:
    out = accelsim.ok("chips", "tx5368")
    assert "energy and area by cost table 45nm" in out
    assert "2,048 multiply-accumulates of" in out
    described = json.loads(accelsim.ok("chips", "tx5368", "--json"))
    assert described["area_mm2"] == pytest.approx(2.529419008)
    assert described["energy_pj"]["dram"]["value"] == 162.5
    none = json.loads(accelsim.ok("chips", "ethos_u55_128", "--json"))
    assert (none["area_mm2"], none["energy_pj"]["dram"]["value"]) == (None, 0)
    assert "not known" in accelsim.ok("chips", "ethos_u55_128")


@pytest.mark.parametrize("command", ["run", "profile"])
def test_another_table_for_a_run(accelsim: Program, files: Files, command: str) -> None:
    arguments = [command, files / "kws_quantize_r.cfg", "--outpath", files.out, "--json"]
    if command == "run":
        arguments += ["--input", files / "data.npz"]
    reports = [json.loads(accelsim.ok(*arguments, *more)) for more in ((), ("--energy", "7nm"), ("--energy", "none"))]
    assert [report["energy_table"] for report in reports] == ["45nm", "7nm", "none"]
    assert reports[0]["energy_by_component_nj"]["mac"] == pytest.approx(3 * reports[1]["energy_by_component_nj"]["mac"])
    assert [report["cycles"] for report in reports] == [reports[0]["cycles"]] * 3
    assert reports[0]["area_mm2"] == pytest.approx(sum(reports[0]["area_by_component_mm2"].values()))
    assert (reports[1]["area_mm2"], reports[1]["area_by_component_mm2"]["mac"]) == (None, None)
    assert reports[2]["energy_nj"] == 0


def test_the_profile_has_a_table_of_energy(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("profile", files / "kws_quantize_r.cfg", "--no-plots", "--outpath", files.out)
    assert "by cost table 45nm" in out
    assert "area by cost table 45nm: 2.529 mm²; in mm²: MACs 0.858, " in out
    out = accelsim.ok("profile", files / "kws_quantize_r.cfg", "--no-plots", "--outpath", files.out, "--energy", "7nm")
    assert "area by cost table 7nm: not known in all, without MACs, vector unit; in mm²: weights SRAM 0.064" in out


def test_a_wrong_table_for_a_run(accelsim: Program, files: Files) -> None:
    error = refused(accelsim, files, "profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--energy", "8nm")
    assert (
        error == "--energy: no cost table named '8nm' (nearest: 7nm); expected one of 45nm, 7nm, none, or a .toml file"
    )
    (files / "bad.toml").write_text("name = 'bad'\n[dram]\naccess_bytes = 8\nenergy_pj = -1\nsource = 's'\n")
    outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--energy", files / "bad.toml")
    assert outcome.code == 2
    assert f"{files / 'bad.toml'}: dram.energy_pj: found -1; expected at least 0" in outcome.err
    assert f"{files / 'bad.toml'}: mac: missing" in outcome.err


def test_an_import(accelsim: Program, files: Files) -> None:
    ert, mapping, art = accelergy_files(files.folder)
    out = files / "mine.toml"
    assert "written: " in accelsim.ok("energy", "import", ert, "--area", art, "--map", mapping, "--out", out)
    assert "ERT.yaml: chip.PE.mac[1..256], compute" in accelsim.ok("energy", out)
    program = files / "kws_quantize_r.cfg"
    report = json.loads(
        accelsim.ok("profile", program, "--outpath", files.out, "--json", "--no-plots", "--energy", out)
    )
    assert report["energy_table"] == "mine"
    mapping.write_text(mapping.read_text().replace("chip.DRAM", "chip.DROM"))
    error = refused(accelsim, files, "energy", "import", ert, "--map", mapping, "--out", files / "other.toml")
    assert error.endswith("map.toml: dram.component: 'chip.DROM' is not in " + f"{ert}; nearest: chip.DRAM")
    assert "expected a name that ends in .toml" in accelsim("energy", "import", ert, "--map", mapping, "--out", "x").err


def test_json_before_the_name_is_meant_for_the_table(accelsim: Program) -> None:
    assert json.loads(accelsim.ok("energy", "--json", "45nm")) == json.loads(accelsim.ok("energy", "45nm", "--json"))
    assert {one["name"] for one in json.loads(accelsim.ok("energy", "--json"))} >= {"45nm", "7nm"}


def test_sizes_close_together_with_energies_far_apart(accelsim: Program, files: Files) -> None:
    """A power law through them has no figure for other sizes."""
    table = accelsim.ok("energy", "45nm", "--toml")
    steep = table.replace("capacity_bytes = 8192", "capacity_bytes = 32767")
    assert steep != table
    (files / "steep.toml").write_text(steep)
    error = refused(accelsim, files, "energy", files / "steep.toml")
    found = (
        "sram.default.accesses: found '10 and 20 pJ at 32,767 and 32,768 bytes'; expected energies that go with a power"
    )
    assert found in error


def test_a_blank_source(accelsim: Program, files: Files) -> None:
    table = accelsim.ok("energy", "45nm", "--toml")
    before, mark, after = table.partition('energy_source = "')
    (files / "blank.toml").write_text(before + mark + ' "\n#' + after)
    error = refused(accelsim, files, "energy", files / "blank.toml")
    assert error.endswith("energy_source: found ' '; expected a text that is not blank")
