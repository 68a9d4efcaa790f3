"""Which accesses of a program its semaphores order, whatever the chip's latencies: a proof, where a run is one sample.

Executions are cut into parts, such that what one part gives element by element is what another takes. A part has in
each stage of its unit two moments, the first beat and the last, after which it reads no more there, and one when its
last result is written. Some orders hold by construction: in a stage the first beat before the last, and the last before
the next part's first; in a part both before those of the next stage, and the last before the result; on one unit
result before result. Everything before `frame` comes before everything behind it. Semaphores add others. The k-th take
needs k counts; if at most n of them can come from elsewhere, the (k - n)-th of a unit's gives comes before it. Gives
known to come after the take can't be among them, so what is found is used to find more, until nothing is. What is
ordered after a part's moments is so by its results, so it does no harm that parts of one beat stand one after the other
here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from accelsim.chip import Chip
from accelsim.isa import Access, accesses
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.isa.stages import place_operations, wait_stage
from accelsim.timing.stream import Operation, executing_unit, walk

_ELEMENTS = {"matmul": "rows", "vector": "length", "load": "rows", "store": "rows"}


@dataclass(frozen=True)
class _Part:
    """Elements `first` to `last` of an execution, its `unit`, and its nodes from `node` on: two a stage, and a result.

    A load through the vector unit has the last stage alone, whose number is then `only`.
    """

    operation: Operation
    first: int
    last: int
    unit: int
    node: int
    stages: int
    only: int

    def begin(self, stage: int = -1) -> int:
        """The node of the first beat in a stage, by default the last."""
        return self.node + 2 * self._own(stage)

    def end(self, stage: int = -1) -> int:
        """The node of the last beat in a stage."""
        return self.begin(stage) + 1

    @property
    def result(self) -> int:
        """The node of the last result."""
        return self.node + 2 * self.stages

    def _own(self, stage: int) -> int:
        return self.stages - 1 if stage < 0 else stage - self.only

    @property
    def is_first(self) -> bool:
        return self.first == 0

    @property
    def is_last(self) -> bool:
        return self.last == _elements(self.operation)


@dataclass(frozen=True)
class _Token:
    """A part's give or take: counts `first` + 1 to `last` of its unit on a semaphore."""

    part: int
    first: int
    last: int
    each: bool
    stage: int


@dataclass
class _Semaphore:
    """Tokens in order: gives by unit, takes by unit and stage."""

    gives: dict[tuple[int, int], list[_Token]] = field(default_factory=lambda: defaultdict(list))
    takes: dict[tuple[int, int], list[_Token]] = field(default_factory=lambda: defaultdict(list))


class ProgramOrder:
    """The order of all executions of a program.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self._chip, self._mac = program.chip, program.chip.mac
        operations = [one for one in walk(program.instructions, program.name) if one is not None]
        self._parts: list[_Part] = []
        nodes = 0
        for operation, cuts in zip(operations, _cut(operations, self._chip), strict=True):
            unit, count = executing_unit(operation, self._chip), len(self._chip.vector.pipeline)
            only = count - 1 if unit == Unit.VECTOR and operation.name == "load" else 0
            stages = count - only if unit == Unit.VECTOR else 1
            for first, last in zip([0, *cuts], [*cuts, _elements(operation)], strict=True):
                self._parts.append(_Part(operation, first, last, unit, nodes, stages, only))
                nodes += 2 * stages + 1
        self._accesses = [self._touches(part) for part in self._parts]
        self._after: list[set[int]] = [set() for _ in range(nodes)]
        self._before: list[int] = []
        # For each part, the node of the result before its own.
        self._previous: list[int | None] = []
        self._semaphores: dict[int, _Semaphore] = defaultdict(_Semaphore)
        self._order_units()
        self._collect_tokens()
        self._close()
        while self._order_semaphores():
            self._close()
        self._in_step = self._find_steps()

    def unordered(self) -> list[tuple[int, int]]:
        """Pairs of instructions, in program order, with accesses to one place that may come in the other order."""
        found = set()
        by_memory: dict[str, list[tuple[int, Access]]] = defaultdict(list)
        for later, touched in enumerate(self._accesses):
            for second in touched:
                for earlier, first in by_memory[second.memory]:
                    conflict = (first.is_write or second.is_write) and first.overlaps(second)
                    if conflict and not self._is_ordered(earlier, first, later, second):
                        found.add((self._parts[earlier].operation.index, self._parts[later].operation.index))
            for access in touched:
                by_memory[access.memory].append((later, access))
        return sorted(found)

    def _is_ordered(self, earlier: int, first: Access, later: int, second: Access) -> bool:
        one, other = self._parts[earlier], self._parts[later]
        before, after = one.operation, other.operation
        if before is after or (first.is_write and second.is_write and one.unit == other.unit):
            return True
        same = (first.address, first.row_bytes, first.count) == (second.address, second.row_bytes, second.count)
        if same and earlier in self._in_step[later] and (first.is_write or before.name == "vector"):
            return True
        # What is written is so behind the last stage's beat.
        done = one.result if first.is_write else one.end(self._stage(before, first))
        return self._precedes(done, other.begin(-1 if second.is_write else self._stage(after, second)))

    def _stage(self, operation: Operation, access: Access) -> int:
        """The stage in which an operation reads an operand."""
        if operation.name != "vector":
            return -1
        places = place_operations(operation.fields, self._chip.vector.pipeline) or {}
        return places.get(access.operand, 0)

    def _precedes(self, first: int, second: int) -> bool:
        return bool(self._before[second] >> first & 1)

    def _touches(self, part: _Part) -> list[Access]:
        operation = part.operation
        if operation.name in ("sync", "signal", "frame"):
            return []
        total, size = _elements(operation), part.last - part.first
        touched = []
        for access in accesses(
            operation.instruction, operation.addresses, self._mac.rows, self._mac.weight_block_columns
        ):
            if access.count > 1:
                access = replace(access, address=access.address + part.first * access.pitch, count=size)
            elif not _is_read_by_all(operation, access):
                width = access.row_bytes // total
                access = replace(access, address=access.address + part.first * width, row_bytes=size * width)
            touched.append(access)
        return touched

    def _order_units(self) -> None:
        in_turns = self._mac.accumulate_interval_cycles > 1
        last: dict[tuple[int, int], _Part] = {}
        frame: _Part | None = None
        for number, part in enumerate(self._parts):
            for stage in range(part.only, part.only + part.stages):
                self._order(part.begin(stage), part.end(stage))
                if stage > part.only:
                    self._order(part.begin(stage - 1), part.begin(stage))
                    self._order(part.end(stage - 1), part.end(stage))
                before = last.get((part.unit, stage))
                if before is not None and in_turns and before.operation is part.operation and part.unit == Unit.MATRIX:
                    # Row tiles that take turns begin before others end.
                    self._order(before.begin(stage), part.begin(stage))
                    self._order(before.end(stage), part.end(stage))
                elif before is not None:
                    self._order(before.end(stage), part.begin(stage))
                last[part.unit, stage] = part
            self._order(part.end(), part.result)
            self._previous.append(None if before is None else before.result)
            if before is not None:
                self._order(before.result, part.result)
            if part.operation.name == "frame":
                for one in self._parts[:number]:
                    self._order(one.result, part.begin())
                frame = part
            elif frame is not None:
                self._order(frame.result, part.begin(part.only))

    def _order(self, first: int, second: int) -> None:
        self._after[first].add(second)

    def _collect_tokens(self) -> None:
        for number, part in enumerate(self._parts):
            for kind, semaphore, amount, each, stage in _tokens(part.operation, self._chip):
                both = self._semaphores[semaphore]
                mine = (both.takes if kind == "wait" else both.gives)[part.unit, stage]
                if each and _is_cut(part.operation, kind):
                    amount = part.last - part.first
                elif not (part.is_first if kind == "wait" else part.is_last):
                    continue
                first = mine[-1].last if mine else 0
                mine.append(_Token(number, first, first + amount, each, stage))

    def _close(self) -> None:
        """What precedes each moment, as bits; moments in a circle, which never come, precede nothing."""
        waiting = [0] * len(self._after)
        for successors in self._after:
            for node in successors:
                waiting[node] += 1
        ready = [node for node, count in enumerate(waiting) if not count]
        self._before = [0] * len(self._after)
        while ready:
            node = ready.pop()
            known = self._before[node] | 1 << node
            for successor in self._after[node]:
                self._before[successor] |= known
                waiting[successor] -= 1
                if not waiting[successor]:
                    ready.append(successor)

    def _order_semaphores(self) -> bool:
        changed = False
        for semaphore in self._semaphores.values():
            for taker, takes in semaphore.takes.items():
                for take in takes:
                    part = self._parts[take.part]
                    # One marked `each` has its first element with its first beat, all of them with its last.
                    first = take.first + 1 if take.each else take.last
                    changed |= self._need(semaphore, taker, first, part.begin(take.stage))
                    changed |= take.each and self._need(semaphore, taker, take.last, part.end(take.stage))
        return changed

    def _need(self, semaphore: _Semaphore, taker: tuple[int, int], count: int, target: int) -> bool:
        """Whether anything new follows from a need of `count` counts, what the stage took before included."""
        for other, takes in semaphore.takes.items():
            if other != taker:
                count += sum(
                    one.last - one.first
                    for one in takes
                    if self._precedes(self._parts[one.part].end(one.stage), target)
                )
        # The elements of a part that is still to be written may be there but for the last.
        possible = {
            giver: sum(give.last - give.first for give in gives if not self._precedes(target, self._earliest(give)))
            for giver, gives in semaphore.gives.items()
        }
        changed = False
        for giver, gives in semaphore.gives.items():
            needed = count - (sum(possible.values()) - possible[giver])
            for give in gives:
                if needed <= give.first:
                    break
                nodes = [self._parts[give.part].result]
                if needed < give.last:
                    # The first of a part's elements comes after its first beat, and after all its unit wrote before.
                    previous = self._previous[give.part]
                    nodes = [self._parts[give.part].begin()] + ([] if previous is None else [previous])
                for node in nodes:
                    changed |= target not in self._after[node]
                    self._after[node].add(target)
        return changed

    def _earliest(self, give: _Token) -> int:
        part = self._parts[give.part]
        return part.begin() if give.each else part.result

    def _find_steps(self) -> list[set[int]]:
        """For each part those it follows element by element: its k-th is issued after their k-th is written."""
        in_step: list[set[int]] = [set() for _ in self._parts]
        links = []
        for semaphore in self._semaphores.values():
            if len(semaphore.gives) == len(semaphore.takes) == 1:
                ((_, gives),), ((_, takes),) = semaphore.gives.items(), semaphore.takes.items()
                by_range = {(give.first, give.last): give.part for give in gives if give.each}
                links += [
                    (take.part, by_range[take.first, take.last])
                    for take in takes
                    # In a later stage than the first, what that one reads is not in step.
                    if take.each and take.stage <= 0 and (take.first, take.last) in by_range
                ]
        for later, earlier in sorted(links):
            in_step[later].add(earlier)
            # A vector instruction passes on in step what it takes in step.
            if self._parts[earlier].operation.name == "vector":
                in_step[later] |= in_step[earlier]
        return in_step


def _elements(operation: Operation) -> int:
    return operation.fields[_ELEMENTS[operation.name]] if operation.name in _ELEMENTS else 1


def _tokens(operation: Operation, chip: Chip) -> Iterator[tuple[str, int, int, bool, int]]:
    """(wait or signal, semaphore, counts of the whole execution, each, stage) of an execution; -1 is the last stage."""
    fields = operation.fields
    if operation.name == "frame":
        return
    if operation.unit == Unit.SEQUENCER:
        yield "signal", fields["semaphore"], fields["amount"], False, -1
        return
    for kind in ("wait", "signal"):
        for slot in range(3):
            semaphore, each = fields[f"{kind}{slot}"], bool(fields[f"{kind}{slot}_each"])
            if semaphore:
                amount = fields["columns"] if kind == "wait" and operation.name == "matmul" else _elements(operation)
                stage = -1
                if kind == "wait" and executing_unit(operation, chip) == Unit.VECTOR and operation.name != "load":
                    stage = wait_stage(fields, slot, chip.vector.pipeline) if operation.name == "vector" else 0
                yield kind, semaphore, amount if each else 1, each, stage


def _is_read_by_all(operation: Operation, access: Access) -> bool:
    """Whether all parts read it: a product's inputs and, for simplicity, weights; a vector's parameter block."""
    block = access.operand == "parameters" and access.address == operation.addresses["parameters"]
    return block or access.operand in ("weights", "input")


def _is_cut(operation: Operation, kind: str) -> bool:
    """Whether its counts `each` are those of its elements: a product takes by inputs, which its parts all read."""
    return kind == "signal" or operation.name != "matmul"


def _cut(operations: list[Operation], chip: Chip) -> list[list[int]]:
    """Where to cut each execution's elements, so that gives and takes of one semaphore have the same borders."""
    tokens: dict[int, list[tuple[int, int, int, bool]]] = defaultdict(list)
    units: dict[tuple[int, str], set[tuple[int, int]]] = defaultdict(set)
    totals: dict[tuple[int, str], int] = defaultdict(int)
    for number, operation in enumerate(operations):
        for kind, semaphore, amount, each, stage in _tokens(operation, chip):
            start = totals[semaphore, kind]
            tokens[semaphore].append((number, start, start + amount, each and _is_cut(operation, kind)))
            totals[semaphore, kind] += amount
            units[semaphore, kind].add((executing_unit(operation, chip), stage))
    cuts: list[set[int]] = [set() for _ in operations]
    while True:
        before = sum(map(len, cuts))
        for semaphore, spans in tokens.items():
            if len(units[semaphore, "wait"]) > 1 or len(units[semaphore, "signal"]) > 1:
                continue
            borders = {start for _, start, _, _ in spans} | {end for _, _, end, _ in spans}
            borders |= {start + cut for number, start, _, is_cut in spans if is_cut for cut in cuts[number]}
            for number, start, end, is_cut in spans:
                if is_cut:
                    cuts[number] |= {border - start for border in borders if start < border < end}
        if sum(map(len, cuts)) == before:
            return [sorted(one) for one in cuts]
