"""Errors as values: copied and sent to other processes whole."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from accelsim import errors
from accelsim.errors import (
    AccelsimError,
    CapacityError,
    DeadlockError,
    DecodeError,
    HazardError,
    InputError,
    InternalError,
    ManyErrors,
    UnsupportedOperatorError,
)

EVERY = [
    AccelsimError("text"),
    InternalError("text"),
    InputError(Path("a.toml"), "key", "found 1", expected="2"),
    UnsupportedOperatorError("m.onnx", "Conv", "conv_1", "no convolutions"),
    DecodeError(0xFF, "no opcode"),
    CapacityError("tiny", "sram.weights", 2000, 1000, "bytes", hint="less"),
    ManyErrors([InputError("a", "b", "c"), CapacityError("tiny", "words", 2, 1, "words")]),
    DeadlockError("p", 7, ["load: waits"]),
    HazardError("p", ["one", "two"], 2),
]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_pickle_and_a_copy(error: AccelsimError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        fields = {name: str(value) for name, value in vars(error).items() if name != "_made_of"}
        assert {name: str(value) for name, value in vars(again).items() if name != "_made_of"} == fields
        assert again.exit_code == error.exit_code


def test_none_is_left_out() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AccelsimError)}
    assert {type(error) for error in EVERY} == kinds
