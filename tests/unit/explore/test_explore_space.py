"""Axes, conditions and the points they make."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.chip import load_chip
from accelsim.errors import InputError
from accelsim.explore.axes import Axis, parse_axis
from accelsim.explore.constraints import Constraint
from accelsim.explore.space import Space, fixed_values

CHIP = load_chip("tx5368")
KEYS = fixed_values(CHIP)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("mac.rows=8,16,32", (8, 16, 32)),
        ("mac.rows = 8 , 16", (8, 16)),
        ("mac.rows=8:64:x2", (8, 16, 32, 64)),
        ("mac.rows=8:70:x2,100", (8, 16, 32, 64, 100)),
        ("mac.rows=8:20:+4", (8, 12, 16, 20)),
        ("dram.bytes_per_cycle=0.1:0.4:+0.1", (0.1, 0.2, 0.3, 0.4)),
        ("dram.bytes_per_cycle=0.5:4:x2", (0.5, 1, 2, 4)),
        ("chaining.enabled=true,false", (True, False)),
        ("sram.weights.capacity_bytes=65_536", (65536,)),
        ("batch=1,4", (1, 4)),
    ],
)
def test_values_of_an_axis(text: str, values: tuple[object, ...]) -> None:
    found = parse_axis(text).values
    assert found == values
    assert [type(one) for one in found] == [type(one) for one in values] or "bytes_per_cycle" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mac.row=8", "mac.row: unknown key; nearest: mac.rows"),
        ("batsch=8", "batsch: unknown key; nearest: batch"),
        ("mac.rows", "found 'mac.rows'; expected KEY=VALUE,VALUE,..."),
        ("=3", "found '=3'; expected KEY=VALUE"),
        ("mac.rows=", "mac.rows: no values; expected at least one"),
        ("mac.rows=8,,16,8", "mac.rows: 8 stands there twice"),
        ("mac.rows=8:64", "found '8:64'; expected FROM:TO:xFACTOR"),
        ("mac.rows=8:64:x1", "found '8:64:x1'; expected FROM:TO:xFACTOR with a factor above 1"),
        ("mac.rows=0:64:x2", "found '0:64:x2'"),
        ("mac.rows=8:64:+0", "found '8:64:.0'"),
        ("mac.rows=a:64:+1", "found 'a:64:.1'"),
        ("mac.rows=9:8:+1", "'9:8:.1' has no values"),
        ("mac.rows=1:1e9:+1", "has more than 100,000 values"),
        ("mac.rows=8,x", "mac.rows: found 'x'; expected an integer"),
        ("mac.rows=0", "mac.rows: found 0; expected at least 1"),
        ("mac.rows=1.5", "mac.rows: found 1.5; expected an integer"),
        ("chaining.enabled=1", "chaining.enabled: found 1; expected true or false"),
        ("vector.stages=1", "vector.stages: unknown key"),
        ("batch=0", "batch: found 0; expected an integer of at least 1"),
        ("batch=true", "batch: found True; expected an integer"),
    ],
)
def test_an_axis_that_can_not_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        parse_axis(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mac.rowz < 3", "mac.rowz: unknown key; nearest: mac.rows"),
        ("mac.rows + 3", "'mac.rows . 3' is no condition"),
        ("mac.rows <", "found 'mac.rows <'; expected comparisons of keys"),
        ("import os", "found 'import os'"),
        ("__import__('os').system('true') == 0", 'found "__import__'),
        ("().__class__ == 1", "unknown key"),
        ("[1][0] == 1", r"found '\[1\]\[0\]' in"),
        ("mac.rows < 'a'", "can't work out"),
        ("not energy.table", "can't work out 'not energy.table'"),
        ("mac.rows > 1 and (not chip.name)", "can't work out 'not chip.name'"),
        ("not vector.stages", "'not vector.stages' is no condition"),
        ("mac.rows ** 999999 > 1", "found 'mac.rows .. 999999' in"),
        ("(lambda: 1)() == 1", "found '"),
        ("+".join(["mac.rows"] * 600) + " < 1", "is too long"),
        ("min(mac.rows, key=1) < 1", "found 'min"),
    ],
)
def test_a_condition_that_can_not_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Constraint(text, KEYS)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from([0.5, 1.0, 2.5, 4.0]), min_size=1, unique=True),
    st.integers(1, 3),
    st.sampled_from(
        [
            ("mac.rows * dram.bytes_per_cycle <= 20", lambda rows, rate: rows * rate <= 20),
            ("not mac.rows > 10 or dram.bytes_per_cycle == 1", lambda rows, rate: not rows > 10 or rate == 1),
            ("2 < mac.rows < mac.columns and batch == 1", lambda rows, rate: 2 < rows < CHIP.mac.columns),
            ("max(mac.rows, 7) // 2 % 3 != 1", lambda rows, rate: max(rows, 7) // 2 % 3 != 1),
            ("-abs(mac.rows - 12) >= -3 / dram.bytes_per_cycle", lambda rows, rate: -abs(rows - 12) >= -3 / rate),
        ]
    ),
)
def test_points_are_those_that_meet_the_conditions(rows, rates, models, condition) -> None:  # type: ignore[no-untyped-def]
    text, holds = condition
    axes = [Axis("mac.rows", tuple(rows)), Axis("dram.bytes_per_cycle", tuple(rates))]
    space = Space(models, axes, [Constraint(text, KEYS)], CHIP)
    expected = [(model, row, rate) for model, row, rate in product(range(models), rows, rates) if holds(row, rate)]
    found = [space.point(number) for number in space.numbers()]
    assert [(one.model, *one.settings.values()) for one in found] == expected
    for one in found:
        assert space.holds(one.number)
        assert space.number(space.places(one.number)) == one.number
    assert space.size == models * len(rows) * len(rates)


def test_a_list_of_points() -> None:
    rows = ({"mac.rows": 8, "batch": 2}, {"mac.rows": 16, "batch": 1})
    axes = [Axis("mac.rows", (8, 16)), Axis("batch", (2, 1))]
    space = Space(2, axes, [Constraint("mac.rows * batch == 16", KEYS)], CHIP, rows)
    found = [space.point(number) for number in space.numbers()]
    assert [(one.model, one.batch, dict(one.settings)) for one in found] == [
        (0, 2, {"mac.rows": 8}),
        (0, 1, {"mac.rows": 16}),
        (1, 2, {"mac.rows": 8}),
        (1, 1, {"mac.rows": 16}),
    ]


def test_a_space_of_any_size_is_gone_through_in_parts() -> None:
    axes = [parse_axis(f"{key}=1:1000:+1") for key in ("mac.rows", "mac.columns", "vector.lanes", "mac.latency_cycles")]
    space = Space(1, axes, [Constraint("mac.rows == 1 and mac.columns == 1 and vector.lanes == 40", KEYS)], CHIP)
    assert space.size == 10**12
    assert next(space.numbers()) == 39_000


def test_an_axis_of_many_values_is_no_work() -> None:
    begin = time.process_time()
    assert len(parse_axis("dma.latency_cycles=1:90000:+1").values) == 90_000
    assert time.process_time() - begin < 5  # Compared each with each it would be a minute.


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sram.weights.capacity_bytes * dram.capacity_bytes * mac.rows * 16777216 > 1000", [8, 1024]),
        (
            "sram.weights.capacity_bytes * dram.capacity_bytes * mac.rows * 16777216 // 16777216 == 9007199254740992",
            [8],
        ),
        ("mac.rows - 9223372036854775807 * 2 < 0", [8, 1024]),
        ("8 % (mac.rows - 8) == 0", []),
        ("8 // (mac.rows - 8) >= 0", [1024]),
        ("1 / (mac.rows - 8) > 0", [1024]),
    ],
)
def test_conditions_are_exact(text: str, rows: list[int]) -> None:
    """Products of sizes leave 64 bits; by nothing no condition is met."""
    axes = [
        Axis("mac.rows", (8, 1024)),
        Axis("sram.weights.capacity_bytes", (1 << 18,)),
        Axis("dram.capacity_bytes", (1 << 32,)),
    ]
    space = Space(1, axes, [Constraint(text, KEYS)], CHIP)
    assert [space.point(number).settings["mac.rows"] for number in space.numbers()] == rows
