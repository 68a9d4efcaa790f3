"""Profiles read back from their files, and compared layer by layer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.errors import InputError
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.profile import build_profile
from accelsim.profile.csv_file import profile_csv
from accelsim.profile.diff import Difference, ProfileDifference, compare
from accelsim.profile.profile import Profile
from accelsim.profile.saved import Saved, SavedProfile, from_csv, from_json, from_profile
from tests.support.tiny import tiny_program

WHERE = Path("p")
CODE = """
load memory=activations source=[0] destination=[0] row_bytes=16 rows=1 signal=s1
matmul rows=4 columns=4 input=[0] wait=s1 signal=s2
vector source_type=int8 source=[0] destination_type=int8 destination=[64] length=8 wait=s2 signal=s3
store memory=activations source=[64] destination=[0x100] row_bytes=8 rows=1 wait=s3
"""


def program(rows: int) -> Program:
    return tiny_program(
        CODE.replace("rows=4", f"rows={rows}"),
        {"first": [(0, 2)], "second": [(2, 4)]},
        energy={"mac_int8_pj": 1.0, "dram_pj_per_byte": 3.0},
    )


def profiled(rows: int) -> Profile:
    made = program(rows)
    return build_profile(made, time_program(made).counters, 1)


def saved(name: str = "s", **layers: dict[str, int | float]) -> SavedProfile:
    parts = tuple(Saved(layer, "lstm", {"cycles": 0, **figures}) for layer, figures in layers.items())
    names = {figure for part in parts for figure in part.figures}
    total = {figure: sum(part.figures.get(figure, 0) for part in parts) for figure in sorted(names)}
    return SavedProfile(name, {}, parts, Saved("total", "total", total))


def test_a_profile_and_its_files_say_the_same() -> None:
    profile = profiled(4)
    direct = from_profile(profile, "p")
    from_text = from_json(json.dumps(profile.to_dict()).encode(), WHERE)
    assert from_text == direct
    table = from_csv(profile_csv(profile).encode(), WHERE)
    assert [layer.name for layer in table.layers] == ["first", "second", "(program)"]
    assert table.about == direct.about
    for one, other in zip((*table.layers, table.total), (*direct.layers, direct.total), strict=True):
        assert set(one.figures) == set(other.figures)
        for name, value in other.figures.items():
            assert one.figures[name] == pytest.approx(value, rel=1e-5), name
    # A sum over layers is the total: that is what a figure is.
    for name, value in direct.total.figures.items():
        assert sum(layer.figures[name] for layer in direct.layers) == pytest.approx(value), name
    for other in (from_text, table):
        difference = compare(direct, other)
        assert all(layer.is_same for layer in difference.layers)
        assert difference.total.is_same


def test_differences_are_what_they_are_worked_out_to_be() -> None:
    """2 x 2 of the array at a time: 8 rows of 4 inputs are 8 beats, 4 rows 4; 16 more MACs of 1 pJ."""
    difference = compare(from_profile(profiled(4), "a"), from_profile(profiled(8), "b"))
    first = {layer.name: layer for layer in difference.layers}["first"].figures
    assert (first["cause_matrix_cycles"].a, first["cause_matrix_cycles"].absolute) == (4, 4)
    assert first["cause_matrix_cycles"].relative == 1.0
    assert (first["macs"].a, first["macs"].b) == (16, 32)
    assert first["energy_mac_nj"].absolute == pytest.approx(0.016)
    assert first["dram_read_bytes"].absolute == 0
    assert difference.total.figures["cycles"].absolute == 4
    assert sum(layer.figures["cycles"].absolute for layer in difference.layers) == 4


def test_the_largest_difference_comes_first() -> None:
    a = saved(w={"cycles": 10}, x={"cycles": 50}, y={"cycles": 7, "energy_nj": 1.0}, z={"cycles": 9})
    b = saved(w={"cycles": 12}, x={"cycles": 41}, y={"cycles": 7, "energy_nj": 3.0}, z={"cycles": 9})
    assert [layer.name for layer in compare(a, b).layers] == ["x", "w", "y", "z"]


def test_layers_of_one_alone_are_named() -> None:
    a, b = saved(x={"cycles": 5}, old={"cycles": 3}), saved(new={"cycles": 4}, x={"cycles": 6})
    difference = compare(a, b)
    assert [layer.name for layer in difference.layers] == ["x"]
    assert [layer.name for layer in difference.only_a] == ["old"]
    assert [layer.name for layer in difference.only_b] == ["new"]
    # What the layers and those alone differ in is what the totals do.
    moved = 1 + 4 - 3
    assert difference.total.figures["cycles"].absolute == moved


def test_layers_of_one_name_go_by_their_order() -> None:
    def twice(first: int, second: int, *more: int) -> SavedProfile:
        parts = tuple(Saved("x", "lstm", {"cycles": cycles}) for cycles in (first, second, *more))
        return SavedProfile("s", {}, parts, Saved("total", "total", {"cycles": first + second + sum(more)}))

    difference = compare(twice(1, 10), twice(2, 13, 5))
    assert [(layer.figures["cycles"].a, layer.figures["cycles"].b) for layer in difference.layers] == [(10, 13), (1, 2)]
    assert [layer.figures["cycles"] for layer in difference.only_b] == [5]


@pytest.mark.parametrize(
    ("a", "b", "absolute", "relative"),
    [
        (4, 6, 2, 0.5),
        (4, 3, -1, -0.25),
        (0, 0, 0, 0.0),
        (0, 5, 5, None),
        (1234567, 1234568, 1, 1 / 1234567),
        (1.234567, 1.234569, 0, 0.0),
        (1.23456, 1.23457, 1.23457 - 1.23456, (1.23457 - 1.23456) / 1.23456),
    ],
)
def test_a_difference(a: float, b: float, absolute: float, relative: float | None) -> None:
    """Integers differ by 1; fractions are the same where `profile.csv` has one text for both."""
    assert (Difference(a, b).absolute, Difference(a, b).relative) == (absolute, relative)


def test_as_json() -> None:
    difference: ProfileDifference = compare(saved("one", x={"cycles": 5, "macs": 2}), saved("two", x={"cycles": 6}))
    assert json.loads(json.dumps(difference.to_dict())) == {
        "a": {"source": "one"},
        "b": {"source": "two"},
        "total": {"cycles": {"a": 5, "b": 6, "difference": 1, "relative": 0.2}},
        "layers": [
            {
                "name": "x",
                "kind_a": "lstm",
                "kind_b": "lstm",
                "figures": {"cycles": {"a": 5, "b": 6, "difference": 1, "relative": 0.2}},
            }
        ],
        "only_a": [],
        "only_b": [],
        "figures_only_a": ["macs"],
        "figures_only_b": [],
    }


def altered(change: str, to: object) -> bytes:
    """The JSON of a profile with the value at a dotted place replaced; taken out where it is `...`."""
    data = profiled(4).to_dict()
    *places, last = [int(part) if part.isdigit() else part for part in change.split(".")]
    inner = data
    for place in places:
        inner = inner[place]
    if to is ...:
        del inner[last]
    else:
        inner[last] = to
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "p: no JSON ("),
        (b"\xff", "p: no JSON ("),
        (b"[" * 100_000, "p: no JSON ("),
        (b"[]", "p: found a list; expected an object, as `accelsim run --json` prints it"),
        (b"{}", "p: cycles: missing; expected what `accelsim run --json` prints"),
        (altered("layers", ...), "p: layers: missing; "),
        (altered("layers.1.cycles", "7"), 'p: layers[1].cycles: found "7"; expected an integer of at least 0'),
        (altered("layers.1.cycles", -7), "p: layers[1].cycles: found -7; expected an integer of at least 0"),
        (altered("layers.1.cycles", 7.5), "p: layers[1].cycles: found 7.5; expected an integer of at least 0"),
        (altered("layers.1.cycles", True), "p: layers[1].cycles: found true; expected an integer of at least 0"),
        (
            altered("layers.0.energy_nj", float("nan")),
            "p: layers[0].energy_nj: found NaN; expected a number of at least",
        ),
        (altered("layers.0.cause_cycles.dram", ...), "p: layers[0].cause_cycles.dram: missing; "),
        (altered("layers.0", 5), "p: layers[0]: found 5; expected an object, "),
        (altered("units.load", []), "p: units.load: found a list; expected an object"),
    ],
)
def test_json_that_is_no_profile(content: bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json(content, WHERE)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_csv_that_is_no_profile() -> None:
    text = profile_csv(profiled(4))
    lines = text.splitlines()
    cells = lines[0].count(",") + 1
    for content, expected in {
        "": "p: column layer: missing; expected a profile.csv, as ",
        "a,b\n1,2\n": "p: column layer: missing; ",
        text.replace("cause_dram_cycles", "cycles", 1): "p: column cycles: there twice; ",
        "\n".join(lines[:-1]): "p: no row of the total at the end; ",
        "\n".join(
            [*lines[:2], lines[2] + ",1", *lines[3:]]
        ): f"p: line 3: {cells + 1} cells; expected {cells}, as in the first line",
        text.replace("first,test,", "first,test,x"): "p: line 2, cycles: found 'x",
        text.replace("first,test,", "first,test,-"): "p: line 2, cycles: found '-",
        text.removesuffix("1,0\n") + "x,0\n": "p: line 5, batch: found 'x'; expected an integer",
        text.removesuffix("0\n") + "x\n": "p: line 5, setup_cycles: found 'x'; expected an integer",
        '"' + text: "p: no CSV text (",
    }.items():
        with pytest.raises(InputError) as caught:
            from_csv(content.encode(), WHERE)
        assert str(caught.value).startswith(expected)
    with pytest.raises(InputError, match="p: no CSV text"):
        from_csv(b"\xff\xfe", WHERE)
