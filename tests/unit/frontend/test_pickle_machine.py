"""The pickle machine: plain data round, everything else refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.frontend.pickle_machine import MAX_PICKLE_BYTES, ForbiddenGlobalError, PickleError, PickleMachine

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.sampled_from([2, 3, 4, 5]), st.binary(max_size=5))
def test_plain_data_round_trip(value: Any, protocol: int, tail: bytes) -> None:
    data = pickle.dumps(value, protocol)
    assert PickleMachine().load(data + tail) == (value, len(data))


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_pickle_error(data: bytes) -> None:
    machine = PickleMachine({"a.b": lambda arguments: arguments}, lambda identity: identity)
    try:
        _, size = machine.load(data)
    except PickleError:
        return
    assert 0 < size <= len(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "damaged"),
        (b"N", "damaged"),
        (b".", "an object is missing"),
        (b"(.", "an object is missing"),
        (b"NN.", "left over"),
        (b"t.", "a mark is missing"),
        (b"h\x05.", "refers to object 5"),
        (b"q\x00.", "an object is missing"),
        (b"(q\x00.", "an object is missing"),
        (b"a.", "an object is missing"),
        (b"NNa.", "a list is missing"),
        (b"NNNs.", "a dict is missing"),
        (b"}(Nu.", "a key has no value"),
        (b"}]Ns.", "a key is a list"),
        (b"}K\x01NsK\x01Ns.", "stands twice"),
        (b"K\x01)R.", "can't be called"),
        (b"NQ.", "data outside itself"),
        (b"cos\nsystem\n.", "'os.system' is not allowed"),
        (b"N0.", "opcode POP is not allowed"),
        (b"NNb.", "a dict is missing"),
    ],
)
def test_refusals(data: bytes, text: str) -> None:
    with pytest.raises(PickleError, match=text):
        PickleMachine().load(data)


def test_a_function_must_be_called_with_a_tuple() -> None:
    with pytest.raises(PickleError, match="can't be called"):
        PickleMachine({"a.b": lambda arguments: arguments}).load(b"ca\nb\nNR.")


def test_the_name_of_a_forbidden_global_is_a_field() -> None:
    with pytest.raises(ForbiddenGlobalError) as caught:
        PickleMachine().load(b"\x8c\x02os\x8c\x06system\x93.")
    assert caught.value.name == "os.system"


def test_a_pickle_of_unreasonable_length() -> None:
    with pytest.raises(PickleError, match="longer than"):
        PickleMachine().load(pickle.dumps("x" * MAX_PICKLE_BYTES, 2))


def test_a_large_memo_index_takes_no_memory() -> None:
    assert PickleMachine().load(b"Nr\xff\xff\xff\x7f.") == (None, 7)
