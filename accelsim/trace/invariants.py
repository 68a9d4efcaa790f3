"""The rules every record of a run obeys, whichever engine wrote it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa.opcodes import Unit
from accelsim.timing.record import EVENT, STATE, Counters, Reason
from accelsim.trace.states import Stretches

_QUEUED = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_COMPUTE = (Unit.MATRIX, Unit.VECTOR)
_WAITS = (Reason.SEMAPHORE, Reason.DEPENDENCY, Reason.BANK)


def check_counters(counters: Counters) -> None:
    """Check the totals of a run against its length.

    The run's cycles over layers and causes sum to `cycles`, as do each unit's over layers and reasons; nothing is
    negative.

    Parameters
    ----------
    counters : Counters

    Raises
    ------
    InternalError
        A sum is wrong; says which, and by how much.
    """
    if counters.cycles < 1:
        raise InternalError(f"the run has {counters.cycles} cycles")
    totals = {"causes": int(counters.causes.sum())}
    totals |= {f"{unit.name.lower()} unit": int(counters.units[unit].sum()) for unit in Unit}
    for name, total in totals.items():
        if total != counters.cycles:
            raise InternalError(f"cycles of the {name} sum to {total}, the run has {counters.cycles}")
    for name in ("units", "causes", "bytes", "elements", "macs", "operations", "traffic"):
        if getattr(counters, name).min() < 0:
            raise InternalError(f"a negative count in {name}")


def check_events(events: NDArray[np.void], counters: Counters) -> None:
    """Check the events of a run against each other and against its counters.

    * Every operation of a queue's unit has one event; its layer exists.
    * ``dispatched < started <= issued < done < cycles``, and an operation is busy for at least one cycle and for no
      longer than from its first to its last beat.
    * A unit issues the last beats of its operations in the order of their dispatch. All but the load DMA, which asks
      for the next operation's data while this one's are under way, start an operation after the last beat of the one
      before.
    * Busy cycles sum to the counters', by unit and layer; on the matrix and vector unit so do the waits by reason.
      (A DMA's two halves wait side by side: its counters have one reason a cycle, its events every operation's.)

    Parameters
    ----------
    events : EVENT[operations]
        In any order.
    counters : Counters

    Raises
    ------
    InternalError
        A rule is broken; says which, and by what operation.
    """
    if events.dtype != EVENT or events.ndim != 1:
        raise InternalError(f"events are {events.dtype}[{events.ndim} axes], not a row of EVENT records")
    _check_range("unit", events, 0, len(_QUEUED) - 1)
    _check_range("layer", events, -1, counters.layers - 1)
    for unit in _QUEUED:
        mine = events[events["unit"] == unit]
        name = unit.name.lower()
        if len(mine) != counters.operations[unit]:
            raise InternalError(f"{name}: {len(mine)} events of {counters.operations[unit]} operations")
        mine = mine[np.argsort(mine["dispatched"], kind="stable")]
        _check_times(name, mine, counters.cycles)
        _check_order(name, mine, overlaps=unit == Unit.LOAD)
        reasons = (Reason.BUSY, *_WAITS) if unit in _COMPUTE else (Reason.BUSY,)
        for reason in reasons:
            _check_sums(name, mine, reason, counters.units[unit, :, reason])


def check_states(states: NDArray[np.void], counters: Counters) -> None:
    """Check the changes of units' states against the counters of a run.

    They come in order of cycle and unit, each says something new, and the cycles in between sum to the counters', by
    unit, layer and reason.

    Parameters
    ----------
    states : STATE[changes]
    counters : Counters

    Raises
    ------
    InternalError
        A rule is broken; says which, and where.
    """
    if states.dtype != STATE or states.ndim != 1:
        raise InternalError(f"states are {states.dtype}[{states.ndim} axes], not a row of STATE records")
    places = states["cycle"] * len(Unit) + states["unit"]
    if (np.diff(places) <= 0).any() or (states["cycle"] < 0).any() or (states["cycle"] >= counters.cycles).any():
        raise InternalError("states are not in order of the run's cycles and units")
    for unit in Unit:
        mine = states[states["unit"] == unit][["reason", "layer"]]
        if (mine[1:] == mine[:-1]).any():
            raise InternalError(f"{unit.name.lower()}: a state changes to what it is")
    stretches = Stretches()
    stretches.add(states)
    unit, reason, layer, begin, end = stretches.finish(counters.cycles).T
    sums = np.zeros_like(counters.units)
    np.add.at(sums, (unit, layer, reason), end - begin)
    if (sums != counters.units).any():
        first = np.argwhere(sums != counters.units)[0]
        name = f"{Unit(first[0]).name.lower()}: layer {first[1]}: {Reason(first[2]).name.lower()}"
        raise InternalError(f"{name} cycles of the states sum to {sums[*first]}, counted {counters.units[*first]}")


def _check_range(field: str, events: NDArray[np.void], low: int, high: int) -> None:
    wrong = (events[field] < low) | (events[field] > high)
    if wrong.any():
        found = events[wrong][0]
        raise InternalError(f"instruction {found['index']}: {field} {found[field]} is not in {low} to {high}")


def _check_times(name: str, events: NDArray[np.void], cycles: int) -> None:
    rules = {
        "dispatched before 0": events["dispatched"] < 0,
        "started before the cycle after its dispatch": events["started"] <= events["dispatched"],
        "last beat before the first": events["issued"] < events["started"],
        "done before the cycle after its last beat": events["done"] <= events["issued"],
        "done after the end of the run": events["done"] >= cycles,
        "never busy": events["busy"] < 1,
        "busy for longer than it took": events["busy"] > events["issued"] - events["started"] + 1,
    }
    for rule, broken in rules.items():
        if broken.any():
            raise InternalError(f"{name}: instruction {events[broken][0]['index']}: {rule}")


def _check_order(name: str, events: NDArray[np.void], *, overlaps: bool) -> None:
    """`events` are in order of dispatch."""
    for field, before in (
        ("dispatched", "dispatched"),
        ("started", "started" if overlaps else "issued"),
        ("issued", "issued"),
    ):
        wrong = np.flatnonzero(events[field][1:] <= events[before][:-1])
        if wrong.size:
            first = int(wrong[0])
            raise InternalError(
                f"{name}: instruction {events['index'][first + 1]} {field} in cycle {events[field][first + 1]}, "
                f"instruction {events['index'][first]} before it {before} in cycle {events[before][first]}"
            )


def _check_sums(name: str, events: NDArray[np.void], reason: Reason, expected: NDArray[np.int64]) -> None:
    field = reason.name.lower()
    sums = np.zeros(len(expected), dtype=np.int64)
    np.add.at(sums, events["layer"], events[field])
    wrong = np.flatnonzero(sums != expected)
    if wrong.size:
        layer = int(wrong[0])
        raise InternalError(
            f"{name}: layer {layer}: {field} cycles of the events sum to {sums[layer]}, counted {expected[layer]}"
        )
