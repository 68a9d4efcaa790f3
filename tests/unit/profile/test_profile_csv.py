from __future__ import annotations

import csv
import io
import re

import pytest
from profile_runs import Recorded, profile_of

from accelsim.profile.csv_file import columns, layers_frame, profile_csv

_UNITS = re.compile(r"_(cycles|bytes|percent|us|nj|per_cycle|per_dram_byte)$")
_ABOUT = ("program", "chip", "schedule", "clock_mhz", "batch", "setup_cycles")
_WITHOUT_UNIT = {"layer", "kind", "cycles", "macs", "vector_elements", "ratio", *_ABOUT[:-1]}


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_a_layer_and_the_total(recorded: Recorded) -> None:
    rows = parsed(profile_csv(recorded.profile))
    assert [row["layer"] for row in rows] == ["lstm_0", "lstm_1", "fc", "(program)", "total"]
    *layers, total = rows
    for name in total:
        counted = name.endswith(("_cycles", "_bytes")) and name not in ("bound_cycles", "setup_cycles")
        if counted or name in ("cycles", "macs", "vector_elements"):
            assert sum(int(row[name]) for row in layers) == int(total[name]), name
    assert int(total["cycles"]) == recorded.counters.cycles
    assert int(total["bound_cycles"]) == recorded.profile.bound.cycles
    assert float(total["ratio"]) == pytest.approx(recorded.profile.ratio, rel=1e-5)
    assert {row["bound_cycles"] + row["ratio"] for row in layers} == {""}
    assert layers[-1]["macs_per_dram_byte"] == ""
    program = recorded.program
    numbers = f"{program.chip.chip.clock_mhz:g}", str(program.batch), str(recorded.profile.setup_cycles)
    of = program.name, program.chip.name, program.schedule, *numbers
    assert tuple(total[name] for name in _ABOUT) == of
    assert {row[name] for row in layers for name in _ABOUT} == {""}
    assert float(total["energy_nj"]) == pytest.approx(recorded.profile.total.energy_nj, rel=1e-5)


def test_column_names_carry_units(recorded: Recorded) -> None:
    names = parsed(profile_csv(recorded.profile))[0]
    assert [name for name in names if not _UNITS.search(name)] == [name for name in names if name in _WITHOUT_UNIT]


def test_lines_end_in_lf_alone(recorded: Recorded) -> None:
    text = profile_csv(recorded.profile)
    assert "\r" not in text
    assert text.endswith("\n")
    assert text.count("\n") == 6


def test_names_of_any_kind_come_back(recorded: Recorded) -> None:
    names = ['a,"b"', "two\nlines", " ", "'=1+1"]
    rows = parsed(profile_csv(profile_of(recorded.program, names, [1, 2, 3, 4])))
    assert [row["layer"] for row in rows] == [*names, "(program)", "total"]


def test_frame_sums_to_the_total(recorded: Recorded) -> None:
    frame = layers_frame(recorded.profile)
    assert list(frame["layer"]) == [part.name for part in recorded.profile.layers]
    assert list(frame.columns) == list(columns(recorded.profile.total))
    assert frame["cycles"].sum() == recorded.profile.cycles
    assert frame["share_percent"].sum() == pytest.approx(100)
    assert frame["dram_read_bytes"].sum() == recorded.profile.total.memory["dram"].read_bytes
