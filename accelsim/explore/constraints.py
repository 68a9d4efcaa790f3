"""Conditions between keys, such as ``mac.rows * mac.columns <= 4096``: read as an expression, never executed."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError

Columns = Mapping[str, Any]
"""By key: an array of a value for each point, or one value for all."""

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: _exact(operator.add, left, right),
    ast.Sub: lambda left, right: _exact(operator.sub, left, right),
    ast.Mult: lambda left, right: _exact(operator.mul, left, right),
    ast.Div: lambda left, right: operator.truediv(left, _divisor(right)),
    ast.FloorDiv: lambda left, right: operator.floordiv(left, _divisor(right)),
    ast.Mod: lambda left, right: operator.mod(left, _divisor(right)),
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
    "abs": np.abs,
}
_MOST_EXACT = 2.0**62
"""Whole numbers that are surely no larger are exact in 64 bits, in whatever order a sum is taken."""
_EXPECTED = "comparisons of keys and numbers with + - * / // %, min, max, abs, and, or, not"
_MOST_NODES = 500


class Constraint:
    """A condition that each point of a sweep has to meet.

    Parameters
    ----------
    text : str
        Keys by their dotted names, as ``sram.weights.capacity_bytes >= 2 * sram.activations.capacity_bytes``.
    keys : collection of str
        Those that may stand there.
    where : str
        Names the option or file in messages.

    Raises
    ------
    InputError
        No such expression; an unknown key, with the nearest known.
    """

    def __init__(self, text: str, keys: Mapping[str, Any], where: str = "--where") -> None:
        self.text = " ".join(text.split())
        self._where = where
        self._keys = keys
        try:
            tree = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(where, "", f"found {text!r}", _EXPECTED) from None
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
            raise InputError(where, "", f"{text[:60]!r}... is too long", f"at most {_MOST_NODES} parts")
        self._body = tree.body
        if not isinstance(self._body, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Attribute | ast.Name):
            raise InputError(where, "", f"{text!r} is no condition", _EXPECTED)
        # Once with the keys' own values, for what is wrong with it whatever they are.
        if self.holds(keys).shape:
            raise InputError(where, "", f"{text!r} is no condition", _EXPECTED)

    def holds(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether each point meets it.

        Parameters
        ----------
        columns : mapping of str to array or value
            By key.

        Returns
        -------
        bool array
            Of the columns' length; of no axis where they are values.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._value(self._body, columns), dtype=bool)

    def _value(self, node: ast.AST, columns: Columns) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.Name() | ast.Attribute():
                return self._column(node, columns)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._apply(_ARITHMETIC[type(op)], node, self._value(left, columns), self._value(right, columns))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._apply(operator.neg, node, self._value(operand, columns))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._apply(np.logical_not, node, self._value(operand, columns))
            case ast.BoolOp(op=op, values=values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return reduce(lambda *two: self._apply(join, node, *two), [self._value(one, columns) for one in values])
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
                sides = [self._value(one, columns) for one in (left, *others)]
                pairs = zip(ops, sides, sides[1:], strict=False)
                return reduce(np.logical_and, [self._apply(_COMPARISONS[type(op)], node, *two) for op, *two in pairs])
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _FUNCTIONS:
                return self._apply(_FUNCTIONS[name], node, *(self._value(one, columns) for one in args))
        raise InputError(self._where, "", f"found {ast.unparse(node)!r} in {self.text!r}", _EXPECTED)

    def _apply(self, function: Callable[..., Any], node: ast.AST, *values: Any) -> Any:
        try:
            return function(*values)
        except (TypeError, OverflowError):
            raise InputError(self._where, "", f"can't work out {ast.unparse(node)!r}", _EXPECTED) from None

    def _column(self, node: ast.AST, columns: Columns) -> Any:
        key = ast.unparse(node)
        if key not in columns:
            near = difflib.get_close_matches(key, list(self._keys), n=1, cutoff=0.5)
            hint = f"; nearest: {near[0]}" if near else ""
            raise InputError(self._where, key, f"unknown key{hint}", "a key as `accelsim chips --keys` lists them")
        return columns[key]


def _exact(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """A sum, difference or product; of whole numbers as Python has them, where they leave 64 bits."""
    sides = np.asarray(left), np.asarray(right)
    if all(one.dtype.kind in "iu" for one in sides):
        about = function(*(one.astype(np.float64) for one in sides))
        if about.size and np.abs(about).max() > _MOST_EXACT:
            return function(*(one.astype(object) for one in sides))
    return function(left, right)


def _divisor(value: Any) -> Any:
    """What nothing is divided by is no number: comparisons with it do not hold."""
    zero = np.equal(value, 0)
    return np.where(zero, np.nan, value) if np.any(zero) else value
