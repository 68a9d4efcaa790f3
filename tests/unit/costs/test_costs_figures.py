"""Figures of a chip by a cost table: what they follow, what stands in their place, and what they say of themselves."""

from __future__ import annotations

import math
from typing import Any

import pytest

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.cost_table import CostTable, check_cost_table
from accelsim.chip.load import check_chip
from accelsim.costs import ACTIONS, AREAS, area_mm2, cost_table_names, costs_of, load_cost_table, with_cost_table
from accelsim.costs.figures import access_pj
from accelsim.profile.energy import energy_pj
from accelsim.timing.record import MEMORY_NAMES


def chip(**changes: Any) -> Chip:
    """The default chip with other values: ``sram__weights__capacity_bytes=...``."""
    data = dump_chip(load_chip("tx5368"))
    for key, value in changes.items():
        *tables, name = key.split("__")
        section = data
        for table in tables:
            section = section[table]
        section[name] = value
    return check_chip(data, "test")


def table(**sram: Any) -> CostTable:
    """A small table of round numbers."""
    point = {"capacity_bytes": 1024, "energy_pj": 8.0, "source": "p"}
    return check_cost_table(
        {
            "name": "round",
            "operations": {"a": {"energy_pj": 2.0, "energy_source": "s", "area_um2": 10.0, "area_source": "t"}},
            "mac": {"operations": {"a": 3}, "source": "m", "leakage": {"uw": 0.5, "source": "l"}},
            "vector_element": {"operations": {"a": 5}, "source": "v"},
            "sram": {"default": {"access_bytes": 4, "accesses": [point]} | sram},
            "dram": {"access_bytes": 2, "energy_pj": 50.0, "source": "d"},
        },
        "round",
    )


@pytest.mark.parametrize("name", cost_table_names())
def test_every_figure_of_a_shipped_table_has_a_source(name: str) -> None:
    costs = costs_of(load_chip("tx5368"), load_cost_table(name))
    assert tuple(costs.action_pj) == ACTIONS
    assert tuple(costs.area_mm2) == AREAS
    for figure in (*costs.action_pj.values(), *costs.area_mm2.values(), costs.leakage_mw):
        assert figure.source
    assert all(figure.value >= 0 for figure in costs.action_pj.values())


def test_published_energies_are_met_where_they_are_published() -> None:
    sram = load_cost_table("45nm").sram.of("weights")
    assert [access_pj(sram, kib * 1024) for kib in (8, 32, 1024)] == pytest.approx([10, 20, 100])
    # Up to 32 KiB the energy goes with the square root of the size; above 1 MiB as between 32 KiB and it.
    assert access_pj(sram, 16 * 1024) == pytest.approx(10 * math.sqrt(2))
    assert access_pj(sram, 2 * 1024) == pytest.approx(5)
    assert access_pj(sram, 32 * 1024 * 1024) == pytest.approx(500)


def test_a_memorys_size_changes_its_energy_and_area_alone() -> None:
    small, large = costs_of(chip()), costs_of(chip(sram__weights__capacity_bytes=4 * 294912))
    changed = {name for name in ACTIONS if small.action_pj[name].value != large.action_pj[name].value}
    assert changed == {"weights_sram"}
    assert large.area_mm2["weights_sram"].value == pytest.approx(4 * small.area_mm2["weights_sram"].value)
    assert {name for name in AREAS if small.area_mm2[name].value != large.area_mm2[name].value} == {"weights_sram"}
    assert "extrapolated" in large.action_pj["weights_sram"].source
    assert "extrapolated" not in small.action_pj["weights_sram"].source


def test_the_table_changes_energy_and_area() -> None:
    by_45nm, by_7nm = costs_of(chip()), costs_of(chip(energy__table="7nm"))
    assert by_7nm.action_pj["mac"].value == pytest.approx(0.07 + 0.03)
    assert by_7nm.action_pj["vector"].value == pytest.approx(1.48 + 4 * 0.03)
    assert by_7nm.area_mm2["weights_sram"].value < by_45nm.area_mm2["weights_sram"].value
    assert math.isnan(by_7nm.total_area_mm2)
    assert math.isnan(area_mm2(chip(energy__table="7nm"))["mac"])
    assert chip().digest != chip(energy__table="7nm").digest


def test_a_banks_size_counts_where_the_table_says_so() -> None:
    points = [{"capacity_bytes": size, "energy_pj": float(size), "source": "p"} for size in (1024, 4096)]
    whole, bank = (table(accesses=points, size_of=size_of) for size_of in ("memory", "bank"))
    of = chip(sram__accumulators__banks=16)
    # An access takes as many pJ as there are bytes, and moves four.
    assert costs_of(of, whole).action_pj["accumulators_sram"].value == pytest.approx(65536 / 4)
    assert costs_of(of, bank).action_pj["accumulators_sram"].value == pytest.approx(65536 / 16 / 4)


def test_round_numbers() -> None:
    area = {"um2_per_bit": 0.5, "source": "b"}
    costs = costs_of(chip(), table(area=area, leakage={"uw_per_kib": 2.0, "source": "k"}))
    assert {name: figure.value for name, figure in costs.action_pj.items()} == {
        "mac": 6,
        "vector": 10,
        "weights_sram": 2,
        "activations_sram": 2,
        "accumulators_sram": 2,
        "parameters_sram": 2,
        "dram": 25,
    }
    assert costs.area_mm2["mac"].value == pytest.approx(32 * 64 * 30e-6)
    assert costs.area_mm2["vector"].value == pytest.approx(32 * 50e-6)
    assert costs.area_mm2["parameters_sram"].value == pytest.approx(64 * 1024 * 8 * 0.5e-6)
    # 2,048 MACs of 0.5 µW and 544 KiB of 2 µW.
    assert costs.leakage_mw.value == pytest.approx(1.024 + 1.088)
    assert costs.leakage_mw.source == "l; k"


def test_batch_columns_are_macs_too() -> None:
    assert area_mm2(chip(mac__batch_columns=3))["mac"] == pytest.approx(3 * area_mm2(chip())["mac"])


def test_the_chips_own_figures_come_first_and_a_given_table_before_them() -> None:
    own = chip(energy__dram_pj_per_byte=7, energy__leakage_mw=2.0)
    costs = costs_of(own)
    assert (costs.action_pj["dram"].value, costs.leakage_mw.value) == (7, 2)
    assert costs.own == ("dram_pj_per_byte", "leakage_mw")
    assert costs.action_pj["mac"].value == pytest.approx(0.3)
    assert costs_of(own, load_cost_table("45nm")).action_pj["dram"].value == 162.5
    assert costs_of(with_cost_table(own, load_cost_table("45nm"))).own == ()


def test_energy_is_counted_by_the_chips_table() -> None:
    by = with_cost_table(chip(chip__clock_mhz=100), table())
    found = energy_pj(by, macs=1, elements=1, memory_bytes=dict.fromkeys(MEMORY_NAMES, 1), cycles=10)
    # 2,048 x 0.5 µW for 10 cycles of 10 ns are 102.4 pJ.
    assert found == pytest.approx(
        dict.fromkeys(("weights_sram", "activations_sram", "accumulators_sram", "parameters_sram"), 2)
        | {"mac": 6, "vector": 10, "dram": 25, "leakage": 102.4}
    )


def test_json_has_no_nan() -> None:
    data = costs_of(chip(energy__table="none")).to_dict()
    assert data["area_mm2"] is None
    assert data["energy_pj"]["mac"] == {"value": 0.0, "source": "1 nothing 0 pJ (not modelled): not modelled"}
