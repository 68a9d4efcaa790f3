"""Where in the vector unit each operation of an instruction happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelsim.chip.model import VectorStage
from accelsim.isa.opcodes import Activation, Addend, Place

_OPERATIONS = (
    ("addend", "add"),
    ("activation", "activation"),
    ("factor", "multiply"),
    ("term", "add"),
)


def place_operations(fields: Mapping[str, int], stages: Sequence[VectorStage]) -> dict[str, int] | None:
    """The stage of each operation of a vector instruction; None where the stages can't do them in this order.

    The source is read in the first stage and the result written in the last. In between each operation takes the
    first place that can do it, behind the one before it; a stage does each of its operations once.

    Parameters
    ----------
    fields : mapping of str to int
        Of the instruction.
    stages : sequence of VectorStage
        `chip.vector.pipeline`.

    Returns
    -------
    dict
        By `source`, `addend`, `activation`, `factor`, `term` and `result`, those that there are.
    """
    wanted = {
        "addend": fields["addend_type"] != Addend.NONE,
        "activation": fields["activation"] != Activation.NONE,
        "factor": bool(fields["multiply"]),
        "term": bool(fields["accumulate"]),
    }
    places = {"source": 0, "result": len(stages) - 1}
    slots = [(number, operation) for number, stage in enumerate(stages) for operation in stage.operations]
    at = 0
    for name, operation in _OPERATIONS:
        if not wanted[name]:
            continue
        while at < len(slots) and slots[at][1] != operation:
            at += 1
        if at == len(slots):
            return None
        places[name] = slots[at][0]
        at += 1
    return places


def wait_stage(fields: Mapping[str, int], slot: int, stages: Sequence[VectorStage]) -> int:
    """The stage in which a vector instruction takes its wait number `slot`."""
    place = fields[f"wait{slot}_at"]
    if place == Place.FIRST:
        return 0
    if place == Place.LAST:
        return len(stages) - 1
    places = place_operations(fields, stages) or {}
    return places.get(Place(place).name.lower(), 0)
