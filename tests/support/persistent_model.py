"""A model of a published persistent engine for recurrent networks: a judge that shares nothing with the simulator.

It knows that machine and no other: five in-order units (matrix unit, operand select, two units of functions, loader),
each with a sequencer of its own, the published program of each cell, and the latencies between units. A row of the
machine's output is a chunk of 40 results, which travels as three words, one a vector of a core's batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MATRIX, SELECT, FIRST, SECOND, LOADER = UNITS = ("matrix", "select", "first", "second", "loader")
"""The units, in the order in which results pass them."""

CHUNK_ROWS, CHUNK_COLUMNS, BATCH, TILES = 40, 280, 3, 7
LEAST_CHUNKS, GROUP = 12, 12
ARRIVAL = 10
"""Cycles until the first instruction is in the units' sequencers; the others follow one a cycle."""
LOOK_AHEAD = 1004
WRITTEN_TO_ISSUE = {MATRIX: 6, SELECT: 9, FIRST: 9, SECOND: 9, LOADER: 6}
ARRAY, SERIALIZER = 61, 4
"""From a row's last issue until it enters the serializer, and the cycles between rows there."""
TO_NEXT = {SELECT: 13, FIRST: 25, SECOND: 27}
"""From a word's issue in a unit until the next unit can take it."""
WAKE = {MATRIX: 5, SELECT: 6, FIRST: 6, SECOND: 6, LOADER: 6}
"""From the last word of a vector in the loader until a dependent issue."""
COUNTED = 7
"""From the loader's last issue until the result is counted at the output."""


@dataclass(frozen=True)
class Work:
    """What an instruction has a unit do.

    Parameters
    ----------
    words : int
        Words to take, or in the matrix unit chunks of rows.
    needs : tuple of str
        Vectors that have to be whole before the first word.
    behind : str
        The unit whose words it takes one by one; empty for none.
    columns : int
        Chunks of columns of a product.
    writes : str
        The vector that is whole with the last word.
    """

    words: int
    needs: tuple[str, ...] = ()
    behind: str = ""
    columns: int = 1
    writes: str = ""


Instruction = dict[str, Work]
"""By unit; the others pass over it."""


def persistent_cycles(cell: str, inputs: int, hidden: int, steps: int, *, ones: bool = True, passing: int = 1) -> int:
    """Cycles of a whole run.

    Parameters
    ----------
    cell : str
        ``gemv``, ``rnn``, ``gru`` or ``lstm``.
    inputs, hidden, steps : int
    ones : bool
        Whether the GRU's program loads a vector of ones first, as the published one does.
    passing : int
        Cycles a unit's sequencer spends on an instruction that has nothing for it; the machine's is 1.
    """
    return _simulate(_Published(inputs, hidden).program(cell, steps, ones), passing)


@dataclass
class _Published:
    """The published programs for one shape."""

    inputs: int
    hidden: int
    code: list[Instruction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = max(LEAST_CHUNKS, -(-self.hidden // CHUNK_ROWS))
        self.input_columns = -(-self.inputs // CHUNK_COLUMNS)
        self.hidden_columns = -(-self.hidden // CHUNK_COLUMNS)

    def program(self, cell: str, steps: int, ones: bool) -> list[Instruction]:
        if cell == "gru" and ones:
            self.code.append({LOADER: Work(BATCH * self.rows)})
        self._load_input(0)
        if cell == "gemv":
            self._product("in0", self.input_columns, "y", to_matrix=True)
            return self.code
        step = {"rnn": self._rnn, "gru": self._gru, "lstm": self._lstm}[cell]
        for number in range(steps):
            step(number, number + 1 < steps)
        return self.code

    def _rnn(self, t: int, more: bool) -> None:
        self._of_input(t, [""], more)
        self._product(f"h{t - 1}", self.hidden_columns, f"h{t}", f"x{t}", to_matrix=True)

    def _gru(self, t: int, more: bool) -> None:
        last, columns = f"h{t - 1}", self.hidden_columns
        self._of_input(t, ["z", "r", "n"], more)
        self._product(last, columns, f"z{t}", f"xz{t}")
        self._vector("", f"u{t}", f"z{t}", last)
        self._product(last, columns, f"v{t}", f"xr{t}", last, to_matrix=True)
        self._product(f"v{t}", columns, f"n{t}", f"xn{t}")
        self._vector(f"n{t}", f"h{t}", f"z{t}", f"u{t}", to_matrix=True)

    def _lstm(self, t: int, more: bool) -> None:
        last, columns = f"h{t - 1}", self.hidden_columns
        self._of_input(t, ["f", "g", "i", "o"], more)
        for gate in "fio":
            self._product(last, columns, f"{gate}{t}", f"x{gate}{t}")
        self._product(last, columns, f"g{t}", f"xg{t}", f"i{t}")
        self._vector(f"c{t - 1}", f"c{t}", f"f{t}", f"g{t}")
        self._vector(f"c{t}", f"h{t}", f"o{t}", to_matrix=True)

    def _of_input(self, t: int, gates: Sequence[str], more: bool) -> None:
        """The products with a step's input, and behind them the load of the next."""
        for gate in gates:
            self._product(f"in{t}", self.input_columns, f"x{gate}{t}")
        if more:
            self._load_input(t + 1)

    def _load_input(self, t: int) -> None:
        for tile in range(TILES):
            self.code.append({LOADER: Work(BATCH * self.input_columns, writes=f"in{t}" if tile == TILES - 1 else "")})

    def _product(
        self, operand: str, columns: int, result: str, first: str = "", second: str = "", *, to_matrix: bool = False
    ) -> None:
        instruction = {
            MATRIX: Work(self.rows, _some(operand), columns=columns),
            SELECT: Work(BATCH * self.rows, behind=MATRIX),
        }
        self._finish(instruction, result, first, second, to_matrix)

    def _vector(self, source: str, result: str, first: str = "", second: str = "", *, to_matrix: bool = False) -> None:
        self._finish({SELECT: Work(BATCH * self.rows, _some(source))}, result, first, second, to_matrix)

    def _finish(self, instruction: Instruction, result: str, first: str, second: str, to_matrix: bool) -> None:
        """Through both units of functions, and written back: as a whole, or in a part for each tile's memory."""
        words = BATCH * self.rows
        instruction[FIRST] = Work(words, _some(first), SELECT)
        instruction[SECOND] = Work(words, _some(second), FIRST)
        if not to_matrix:
            self.code.append({**instruction, LOADER: Work(words, behind=SECOND, writes=result)})
            return
        self.code.append(instruction)
        parts = self._parts()
        for number, part in enumerate(parts):
            writes = result if number == min(len(parts), TILES) - 1 else ""
            self.code.append({LOADER: Work(BATCH * part, behind=SECOND, writes=writes)})

    def _parts(self) -> list[int]:
        """Chunks for each tile; what is left where all tiles have theirs goes nowhere, as one more part."""
        parts, left = [], self.rows
        while left and len(parts) < TILES:
            parts.append(min(self.hidden_columns, left))
            left -= parts[-1]
        return [*parts, left] if left else parts


def _some(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _micro_operations(unit: str, work: Work) -> Iterator[bool]:
    """Whether each finishes a row: rows take turns in groups, in each over all chunks of columns."""
    if unit != MATRIX:
        yield from (True for _ in range(work.words))
        return
    left = work.words
    while left:
        rows = GROUP if left >= 2 * GROUP else left
        for column in range(work.columns):
            yield from (column == work.columns - 1 for _ in range(rows))
        left -= rows


@dataclass
class _Unit:
    """A unit's sequencer and issue, and the cycles in which words come out of it."""

    free: int = 0
    last: int = -1
    issued: deque[int] = field(default_factory=lambda: deque(maxlen=LOOK_AHEAD))
    out: deque[int] = field(default_factory=deque)


def _simulate(code: Sequence[Instruction], passing: int) -> int:
    units = {name: _Unit() for name in UNITS}
    whole: dict[str, int] = {}
    serializer = 0
    for number, instruction in enumerate(code):
        for name, unit in units.items():
            start = max(unit.free, ARRIVAL + number)
            work = instruction.get(name)
            # An instruction costs its sequencer a cycle, and each of its micro-operations one.
            written = start + (passing if work is None else 1)
            if work is not None:
                # What nobody writes, the state before the first step, is there from the start.
                ready = max((whole[need] + WAKE[name] for need in work.needs if need in whole), default=0)
                for finishes_row in _micro_operations(name, work):
                    if len(unit.issued) == LOOK_AHEAD:
                        written = max(written, unit.issued[0] + 1)
                    cycle = max(written + WRITTEN_TO_ISSUE[name], unit.last + 1, ready)
                    if work.behind:
                        cycle = max(cycle, units[work.behind].out.popleft())
                    unit.issued.append(cycle)
                    unit.last = cycle
                    if name == MATRIX and finishes_row:
                        entered = max(cycle + ARRAY, serializer)
                        serializer = entered + SERIALIZER
                        unit.out.extend(entered + 1 + word for word in range(BATCH))
                    elif name in TO_NEXT:
                        unit.out.append(cycle + TO_NEXT[name])
                    written += 1
                if work.writes:
                    whole[work.writes] = unit.last
            unit.free = written
    return units[LOADER].last + COUNTED
