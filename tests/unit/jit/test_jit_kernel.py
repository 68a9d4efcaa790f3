"""Kernels: called with numbers and arrays, made of parts, and the same as the Python functions they are written as."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from accelsim.errors import InternalError
from accelsim.jit import Float64s, Int8s, Int32s, Int64s, Kernel, call, kernel, part
from accelsim.jit.build import object_code
from accelsim.machine import kernels

QUICK = settings(deadline=None, max_examples=200)


@part
def _clamped(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


@part
def _twice(value: Any) -> Any:
    return value + value


@kernel
def _narrow(values: Int64s, count: int, out: Int8s) -> int:
    """Values as int8, saturated; how many were not in range."""
    outside = 0
    for place in range(count):
        out[place] = _clamped(values[place], -128, 127)
        outside += values[place] != out[place]
    return outside


@kernel
def _scaled(values: Float64s, count: int, factor: float) -> float:
    """Each value times a factor; the sum of the results."""
    total = 0.0
    for place in range(count):
        values[place] *= factor
        total += values[place]
    return _twice(total) - total + _twice(0)


@kernel
def _round(value: float) -> int:
    return kernels.round_half_away(value)


@kernel
def _note(s: Int64s, c: Int64s, p: Int64s, log: Int64s, marks: Int64s, number: int) -> None:
    s[0] += number + c[0] + p[0] + log[0] + marks[0]


@kernel
def _calls(address: int, s: Int64s, times: int) -> None:
    for number in range(times):
        call(address, s, s, s, s, s, number)


@QUICK
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_numbers_and_arrays(values: list[int]) -> None:
    given_, out = np.array(values, dtype=np.int64), np.zeros(len(values), dtype=np.int8)
    outside = _narrow(given_, len(values), out)
    assert out.tolist() == [min(max(value, -128), 127) for value in values]
    assert outside == sum(not -128 <= value < 128 for value in values)


@QUICK
@given(st.lists(st.floats(-1e6, 1e6), max_size=20), st.floats(-10, 10))
def test_the_python_function_says_the_same(values: list[float], factor: float) -> None:
    """The function itself takes arrays too: to be stepped through."""
    compiled, plain = np.array(values), np.array(values)
    assert _scaled(compiled, len(values), factor) == _scaled.function(plain, len(values), factor)
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize(
    ("value", "expected"), [(2.5, 3), (-0.5, -1), (-0.49, 0), (0.0, 0), (3e10, 2**31), (-1e300, -(2**31))]
)
def test_a_part_of_the_machine(value: float, expected: int) -> None:
    assert _round(value) == expected


def test_a_kernel_calls_another_one_by_its_address() -> None:
    s = np.ones(1, dtype=np.int64)
    _calls(_note.address, s, 3)
    expected = 1
    for number in range(3):
        expected += number + 4 * expected
    assert s[0] == expected


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros(4, dtype=np.int32), "int32"),
        (np.zeros(8, dtype=np.int64)[::2], "strides"),
        (np.zeros((4, 4), dtype=np.int64).T, "strides"),
    ],
)
def test_arrays_of_another_form_are_refused(array: Any, found: str) -> None:
    with pytest.raises(TypeError, match=found):
        _narrow(array, 4, np.zeros(4, dtype=np.int8))


def test_too_few_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        _narrow(np.zeros(4, dtype=np.int64), 4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no argument by keyword, found count"):
        _narrow(np.zeros(4, dtype=np.int64), count=4, out=np.zeros(4, dtype=np.int8))


@kernel
def _allocates(count: int) -> int:
    return int(np.zeros(count).sum())


@kernel
def _prints(count: int) -> None:
    print(count)  # noqa: T201


@part
def _checked(count: int) -> int:
    if count < 0:
        raise ValueError("negative")
    return count


@kernel
def _raises(count: int) -> int:
    return _checked(count)


@kernel
def _narrower(values: Int32s) -> int:
    return values[0]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (_allocates, TypingError, "zeros"),
        (_prints, InternalError, r"test_jit_kernel:_prints needs .*Py"),
        (_raises, InternalError, "_checked raises"),
        (_narrower, InternalError, r"gives int32, not int"),
    ],
)
def test_what_can_not_stand_alone_is_an_error(wrong: Kernel[..., Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        object_code(wrong)


def test_annotations_that_say_no_type_are_refused() -> None:
    def untyped(values, count: int) -> int:  # type: ignore[no-untyped-def]
        return count

    def of_another(values: list, count: int) -> int:  # type: ignore[type-arg]
        return count

    for function in (untyped, of_another):
        with pytest.raises((TypeError, ValueError)):
            kernel(function)(np.zeros(1), 1)


def test_several_threads_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def slowly(which: Kernel[..., Any]) -> bytes:
        compiled.append(which)
        return object_code(which)

    @kernel
    def add(one: int, other: int) -> int:
        return one + other

    monkeypatch.setattr("accelsim.jit.build.object_code", slowly)
    monkeypatch.setattr(add.entry, "read", lambda: None)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: add(n, 1), range(32))) == list(range(1, 33))
    assert compiled == [add]


def test_loading_kernels_needs_no_numba() -> None:
    code = """
import sys
import numpy as np
from accelsim.machine.fast import loop
loop.begin.prepare()
assert 'numba' not in sys.modules
"""
    command = [sys.executable, "-c", code]
    # Compiled, at the latest, by the first one.
    subprocess.run([sys.executable, "-m", "accelsim.jit", "accelsim.machine.fast.loop:begin"], check=True)
    subprocess.run(command, check=True)
