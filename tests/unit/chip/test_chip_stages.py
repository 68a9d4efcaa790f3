"""Mistakes in the stages of a vector unit, each in a line of its own."""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.chip import dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.errors import ManyErrors

STAGE = {"name": "one", "latency_cycles": 3, "operations": ["add"]}


def mistakes(**vector: Any) -> list[str]:
    data = dump_chip(load_chip("intel_npu_s10nx"))
    data["vector"].update(vector)
    with pytest.raises(ManyErrors) as caught:
        check_chip(data, "a.toml")
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (
            {"stages": [{**STAGE, "latency_cycle": 3}]},
            "a.toml: vector.stages[0].latency_cycle: unknown key; nearest: vector.stages[0].latency_cycles",
        ),
        ({"stages": "fast"}, "a.toml: vector.stages: found 'fast'; expected a list"),
        (
            {"stages": [STAGE, {**STAGE, "operations": ["divide"]}]},
            "a.toml: vector.stages[1].operations[0]: found 'divide'; expected one of 'add', 'activation' or 'multiply'",
        ),
        ({"latency_cycles": 5}, "a.toml: vector.latency_cycles: found 5; expected 0, as the stages say it"),
        ({"stages": []}, "a.toml: vector.latency_cycles: found 0; expected at least 1, or stages that say it"),
    ],
)
def test_a_mistake_is_a_line(vector: dict[str, Any], message: str) -> None:
    assert mistakes(**vector) == [message]
