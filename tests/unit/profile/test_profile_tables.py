from __future__ import annotations

import dataclasses
import io

import pytest
from profile_runs import Recorded, profile_of, renamed
from rich.console import Console
from rich.table import Table

from accelsim.isa.program import Region
from accelsim.profile import build_profile
from accelsim.profile.labels import printable, shortened, shortened_apart
from accelsim.profile.storage import storage
from accelsim.profile.tables import energy_table, layer_table, memory_table, storage_table, unit_table, work_table


def rendered(table: Table, width: int = 100) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_layer_table_reads_as_a_table(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["first", "second"], [1234, 66], outside=100)
    assert rendered(layer_table(profile)) == [
        "1,400 cycles a frame, 3.50 µs",
        "lower bound 10 (dependency path), ratio 140.00",
        "layer      cycles  share %  matrix  vector  latency  dram  sequencer",
        "────────────────────────────────────────────────────────────────────",
        "first       1,234     88.1   1,234       -        -     -          -",
        "second         66      4.7      66       -        -     -          -",
        "(program)     100      7.1       -       -        -     -        100",
        "",
        "total       1,400    100.0   1,300       -        -     -        100",
    ]


def test_unit_table_reads_as_a_table(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["first"], [1500], outside=500)
    lines = rendered(unit_table(profile))
    assert lines[0] == "Units: what they do in the 2,000 cycles of a frame"
    assert lines[1].split() == [
        *("unit", "instr.", "busy", "%"),
        *("busy", "semaphore", "dependency", "bank", "dram", "queue", "idle"),
    ]
    assert lines[4].split() == ["matrix", "-", "75.0", "1,500", "-", "-", "-", "-", "-", "500"]
    assert lines[7].split() == ["sequencer", "-", "0.0", "-", "-", "-", "-", "-", "-", "2,000"]


@pytest.mark.parametrize("factor", [1, 1000, 10**7, 10**10])
def test_tables_fit_100_columns_and_cut_no_number(recorded: Recorded, factor: int) -> None:
    program = renamed(recorded.program, ["a_layer_with_quite_a_long_name_" + "x" * 40] * 3, "bidirectional_lstm")
    counters = dataclasses.replace(recorded.counters, cycles=recorded.counters.cycles * factor)
    for name in ("units", "causes", "bytes", "elements", "macs", "operations"):
        setattr(counters, name, getattr(recorded.counters, name) * factor)
    counters.bin_cycles = recorded.counters.bin_cycles * factor
    counters.traffic = recorded.counters.traffic * factor
    profile = build_profile(program, counters, 1)
    tables = (layer_table, work_table, energy_table, unit_table)
    for table in (*(make(profile) for make in tables), storage_table(program)):
        narrow, wide = rendered(table), rendered(table, 200)
        assert max(len(line) for line in narrow) <= 100
        # What a table leaves out where it is short of room differs from what it shows where there is plenty.
        assert [line.split() for line in narrow] == [line.split() for line in wide]
    assert max(len(line) for line in rendered(memory_table(profile))) <= 100


def test_large_runs_are_shown_in_thousands(recorded: Recorded) -> None:
    lines = rendered(layer_table(profile_of(recorded.program, ["only"], [123_456_789])))
    assert lines[0] == "123,456,789 cycles a frame, 308,641.97 µs; rows in thousands"
    assert lines[4].split() == ["only", "123,457", "100.0", "123,457", *["-"] * 4]


@pytest.mark.parametrize(
    ("time_us", "shown"), [(40.0, "time µs"), (40e3, "time µs"), (4e5, "time ms"), (4e8, "time s"), (4e13, "time s")]
)
def test_work_table_chooses_its_unit_of_time(recorded: Recorded, time_us: float, shown: str) -> None:
    lines = rendered(work_table(profile_of(recorded.program, ["only"], [int(400 * time_us)])))
    assert f" {shown} " in lines[1]
    scale = {"time µs": 1, "time ms": 1e3, "time s": 1e6}[shown]
    assert float(lines[3].split()[-2].replace(",", "")) == pytest.approx(time_us / scale)


def test_work_table_shows_intensity_only_where_there_is_traffic(recorded: Recorded) -> None:
    lines = rendered(work_table(recorded.profile))
    rows = {line.split()[0]: line.split() for line in lines[3:] if line}
    assert rows["(program)"][1:6] == ["-", "-", "-", "-", "-"]
    part = recorded.profile.layers[0]
    assert rows["lstm_0"][1:3] == ["lstm", f"{part.macs:,}"]
    assert rows["total"][1] == f"{recorded.profile.total.macs:,}"


def test_energy_table_adds_up(recorded: Recorded) -> None:
    lines = rendered(energy_table(recorded.profile))
    assert lines[0] == "Energy of a frame in nJ, by cost table 45nm"
    assert lines[1].split()[:3] == ["layer", "MACs", "vector"]
    cells = [line.replace(" - ", " 0 ").replace(" - ", " 0 ").replace(",", "").split() for line in lines[3:] if line]
    rows = {row[0]: [float(cell.replace("-", "0")) for cell in row[1:]] for row in cells}
    assert len(rows["total"]) == 9
    for column, whole in enumerate(rows["total"]):
        assert sum(row[column] for name, row in rows.items() if name != "total") == pytest.approx(whole, abs=0.3)
    for row in rows.values():
        assert sum(row[:-1]) == pytest.approx(row[-1], abs=0.5)


def test_energy_table_says_whose_figures_it_has(recorded: Recorded) -> None:
    chip = recorded.program.chip
    own = chip.model_copy(update={"energy": chip.energy.model_copy(update={"dram_pj_per_byte": 1.0})})
    profile = build_profile(dataclasses.replace(recorded.program, chip=own), recorded.counters, 1)
    assert rendered(energy_table(profile))[0].endswith("by cost table 45nm; the chip's own figures come first")
    assert profile.to_dict()["own_energy_keys"] == ["dram_pj_per_byte"]


def test_memory_table_adds_up_and_says_the_bandwidth(recorded: Recorded) -> None:
    text = "\n".join(rendered(memory_table(recorded.profile)))
    traffic = recorded.profile.total.memory["dram"]
    assert f"{traffic.read_bytes:,}" in text
    assert "limit 8.000 bytes/cycle (3.200 GB/s)" in text
    assert f"peak over {recorded.counters.bin_cycles} cycles" in text


def test_memory_table_of_a_chip_without_energies(recorded: Recorded) -> None:
    chip = recorded.program.chip
    zero = chip.model_copy(update={"energy": type(chip.energy)(table="none")})
    program = dataclasses.replace(recorded.program, chip=zero)
    lines = rendered(memory_table(build_profile(program, recorded.counters, 1)))
    assert next(line for line in lines if line.startswith("total")).split() == ["total", "-", "0.0"]


def test_names_are_shown_as_they_are_and_can_not_command_the_terminal(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["[bold]x[/]", "\x1b[31mred", "two\nlines"], [1, 1, 1])
    lines = rendered(layer_table(profile))
    assert lines[4].startswith("[bold]x[/] ")
    assert lines[5].startswith(r"\x1b[31mred ")
    assert lines[6].startswith(r"two\nlines ")


def test_long_names_keep_both_ends() -> None:
    assert shortened("encoder.layers.0.lstm.forward", 18) == "encoder.l….forward"
    assert shortened("short", 18) == "short"
    assert len(shortened("x" * 99, 18)) == 18
    assert printable("größe µ") == "größe µ"


def test_long_names_that_differ_in_the_middle_are_told_apart() -> None:
    assert shortened_apart(["encoder.layers.0.lstm.forward", "x"], 18) == ["encoder.l….forward", "x"]
    lstm = [f"encoder/lstm_layer_with_a_long_name_{n}/cell{way}" for n in range(9) for way in ("", "_back")]
    part = ["head" * 9 + str(n) + "tail" * 9 for n in range(5)]
    far = [f"{n}{'a' * 30}{n}{'b' * 30}0{'c' * 30}" for n in (1, 1, 2)] + ["q" * 40 + str(n) + "r" * 40 for n in "xy"]
    mixed = [f"{'q' * 40}{a}{'q' * 40}{b}{'q' * 40}" for a in "xy" for b in "xy"]
    for names in (lstm, part, far, mixed, ["ab\n" * 20, "ab\\n" * 20], []):
        for width in (8, 12, 16, 24):
            found = shortened_apart(names, width)
            assert len(found) == len(names)
            assert all(len(text) <= width for text in found)
            # What a terminal sees of two names is what they are told apart by.
            assert len(set(found)) == len({printable(name) for name in names})


def test_storage_rows_add_up(recorded: Recorded) -> None:
    report = storage(recorded.program)
    assert [row.name for row in report.rows] == ["lstm_0", "lstm_1", "fc", "(shared)", "(alignment)"]
    for memory in ("weights", "activations", "accumulators", "parameters"):
        assert sum(row.sram[memory] for row in report.rows) == report.used.sram[memory]
        assert all(row.sram[memory] >= 0 for row in report.rows)
        end = max(region.end for region in recorded.program.regions if region.memory == memory)
        assert report.used.sram[memory] == end <= report.capacity[memory]
    assert report.image_bytes == len(recorded.program.image)
    assert report.instructions == len(recorded.program.words)
    assert [row.model_bytes for row in report.rows[:3]] == [layer.parameters_bytes for layer in recorded.program.layers]
    assert [row.model_bytes for row in report.rows[3:]] == [None, None]


def test_a_region_is_of_the_longest_name_it_begins_with(recorded: Recorded) -> None:
    regions = (
        Region("a weights", "weights", 0, 10),
        Region("a b weights", "weights", 32, 20),
        Region("ab", "weights", 64, 5),
        Region("a b", "parameters", 0, 7),
    )
    program = dataclasses.replace(renamed(recorded.program, ["a", "a b"]), regions=regions)
    report = storage(program)
    assert [row.sram["weights"] for row in report.rows] == [10, 20, 5, 69 - 35]
    assert [row.sram["parameters"] for row in report.rows] == [0, 7, 0, 0]


def test_storage_table_reads_as_a_table(recorded: Recorded) -> None:
    lines = rendered(storage_table(recorded.program))
    report = storage(recorded.program)
    assert lines[0] == "Storage in bytes"
    assert lines[1].split() == ["layer", "model", "weights", "activations", "accumulators", "parameters"]
    used = next(line for line in lines if line.startswith("used ")).split()
    assert used[2] == f"{report.used.sram['weights']:,}"
    share = next(line for line in lines if line.startswith("used %")).split()
    assert share[2] == f"{100 * report.used.sram['weights'] / 294_912:.1f}"
    assert lines[-1] == f"instructions: {len(recorded.program.words):,} of 1,024 words"
