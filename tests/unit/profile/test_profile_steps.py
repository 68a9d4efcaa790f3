from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from profile_runs import Recorded

from accelsim.errors import InputError
from accelsim.isa.program import Program
from accelsim.profile.operations import Events, Kept, all_operations
from accelsim.profile.plots import ZoomWish, find_zoom
from accelsim.profile.steps import Executions, StepWindow, find_steps
from accelsim.timing.record import EVENT
from tests.support.tiny import tiny_program

LOOP = """
vector destination=[0] parameters=[0] destination_type=int8 length=2
loop count=3 {
    loop count=4 {
        matmul weights=[0] input=[0] accumulators=[0] start=zero rows=2 columns=2
    }
    vector destination=[16] parameters=[0] destination_type=int8 length=2
    vector destination=[32] parameters=[0] destination_type=int8 length=2
}
matmul weights=[0] input=[0] accumulators=[0] start=zero rows=2 columns=2
"""
"""Of one layer: something before, three steps of four products and two vector operations, a product after."""


def looped() -> Program:
    return tiny_program(LOOP, {"cell": [(0, 7)]})


def events_of(rows: list[tuple[int, int, int, int]]) -> Events:
    """Operations of (instruction, dispatched, started, done)."""
    events = np.zeros(len(rows), dtype=EVENT)
    for event, (index, dispatched, started, done) in zip(events, rows, strict=True):
        event["index"], event["dispatched"], event["started"], event["done"] = index, dispatched, started, done
    return events


def test_steps_are_the_turns_of_the_loop_with_most_vector_operations() -> None:
    program = looped()
    executions = Executions(program)
    executions(all_operations(program))
    assert executions.counts.tolist() == [1, 0, 0, 12, 3, 3, 1, 0]
    steps = find_steps(program, executions.counts, "cell")
    # Neither the vector operation before the loop nor the product after it is of a step.
    assert (steps.count, steps.instructions) == (3, {3: 4, 4: 1, 5: 1})


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_step_goes_from_its_first_beat_to_its_last_result(step: int, chunk: int) -> None:
    program = looped()
    events = all_operations(program)
    executions = Executions(program)
    executions(events)
    window = StepWindow(find_steps(program, executions.counts, "cell"), step)
    for start in range(0, len(events), chunk):
        window(events[start : start + chunk])
    products, first, second = (events[events["index"] == index] for index in (3, 4, 5))
    mine = np.concatenate([products[4 * step : 4 * step + 4], first[step : step + 1], second[step : step + 1]])
    assert window.window == (mine["started"].min(), mine["done"].max() + 1)
    assert window.operations == {(int(one["index"]), int(one["dispatched"])) for one in mine}


def test_without_a_loop_the_whole_program_is_one_step() -> None:
    program = tiny_program("vector destination=[0] parameters=[0] destination_type=int8 length=2", {"a": [(0, 1)]})
    executions = Executions(program)
    executions(all_operations(program))
    assert find_steps(program, executions.counts, "a").count == 1


def test_zoom_of_a_real_layer(recorded: Recorded) -> None:
    zooms = [
        find_zoom(recorded.profile, recorded.program, ZoomWish(step=step, layer="lstm_0"), recorded.events)
        for step in range(6)
    ]
    assert all(before.first < after.first for before, after in pairwise(zooms))
    assert all(0 <= zoom.first < zoom.last <= recorded.profile.cycles for zoom in zooms)
    assert zooms[2].what == "time step 2 of lstm_0"
    # Each operation is of one step.
    marked = [one for zoom in zooms for one in zoom.marked]
    assert len(marked) == len(set(marked))


def test_the_busiest_layer_is_taken_where_none_is_named(recorded: Recorded) -> None:
    busiest = max(recorded.profile.layers[:-1], key=lambda part: part.cycles).name
    wish = ZoomWish(step=0)
    assert find_zoom(recorded.profile, recorded.program, wish, recorded.events).what == f"time step 0 of {busiest}"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (ZoomWish(step=6, layer="lstm_0"), "--zoom-step: found 6; expected 0 to 5: layer lstm_0's steps"),
        (ZoomWish(step=0, layer="x"), "--zoom-layer: found 'x'; expected one of the layers lstm_0, lstm_1, fc"),
        (ZoomWish(cycles=(5, 10**9)), "--zoom: found 5:1000000000; expected cycles of the run, within 0:"),
        (ZoomWish(cycles=(9, 9)), "--zoom: found 9:9; expected cycles of the run, within 0:"),
    ],
)
def test_what_is_not_there(recorded: Recorded, wish: ZoomWish, message: str) -> None:
    with pytest.raises(InputError) as error:
        find_zoom(recorded.profile, recorded.program, wish, recorded.events)
    assert str(error.value).startswith(message)


def test_a_layer_without_compute_has_no_steps() -> None:
    code = "load source=[0] destination=[0] memory=weights row_bytes=8 rows=1"
    program = tiny_program(code, {"a": [(0, 1)]})
    with pytest.raises(InputError, match="layer a has no operation of the matrix or vector unit"):
        find_steps(program, np.array([1, 0]), "a")


def test_only_what_is_in_the_window_is_kept() -> None:
    rows = [(0, 0, 1, 9), (1, 5, 6, 10), (2, 8, 9, 12), (3, 19, 20, 21), (4, 20, 21, 22)]
    kept = Kept(10, 20)
    for row in rows:
        kept(events_of([row]))
    assert kept.events["index"].tolist() == [1, 2, 3]
    few = Kept(10, 20, most=2)
    few(events_of(rows[:2]))
    few(events_of(rows[2:]))
    assert (few.count, len(few.events)) == (3, 0)
