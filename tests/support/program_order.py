"""Which accesses of a program its semaphores order, whatever the chip's latencies: a proof, where a run is one sample.

Executions are cut into parts, such that what one part gives element by element is what another takes. A part has three
moments: S, its first beat, E, its last, after which it reads no more, and W, when its last result is written. Some
orders hold by construction: S before E before W; on one unit E before the next S, and W before the next W. Semaphores
add others. The k-th take needs k counts; if at most n of them can come from elsewhere, the (k - n)-th of a unit's gives
comes before it. Gives known to come after the take can't be among them, so what is found is used to find more, until
nothing is. What is ordered after a part's moments is so by its results, so it does no harm that parts of one beat stand
one after the other here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from accelsim.isa import Access, accesses
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.stream import Operation, walk

S, E, W = 0, 1, 2
_ELEMENTS = {"matmul": "rows", "vector": "length", "load": "rows", "store": "rows"}


@dataclass(frozen=True)
class _Part:
    """Elements `first` to `last` of an execution."""

    operation: Operation
    first: int
    last: int

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


@dataclass
class _Semaphore:
    gives: dict[int, list[_Token]] = field(default_factory=lambda: defaultdict(list))
    takes: dict[int, list[_Token]] = field(default_factory=lambda: defaultdict(list))


class ProgramOrder:
    """The order of all executions of a program.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self._mac = program.chip.mac
        operations = [one for one in walk(program.instructions, program.name) if one is not None]
        self._parts = [
            _Part(operation, first, last)
            for operation, cuts in zip(operations, _cut(operations), strict=True)
            for first, last in zip([0, *cuts], [*cuts, _elements(operation)], strict=True)
        ]
        self._accesses = [self._touches(part) for part in self._parts]
        self._after: list[set[int]] = [set() for _ in range(3 * len(self._parts))]
        self._before: list[int] = []
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
        before, after = self._parts[earlier].operation, self._parts[later].operation
        if before is after or (first.is_write and second.is_write and before.unit == after.unit):
            return True
        same = (first.address, first.row_bytes, first.count) == (second.address, second.row_bytes, second.count)
        if same and earlier in self._in_step[later] and (first.is_write or before.name == "vector"):
            return True
        return self._precedes(3 * earlier + (W if first.is_write else E), 3 * later + S)

    def _precedes(self, first: int, second: int) -> bool:
        return bool(self._before[second] >> first & 1)

    def _touches(self, part: _Part) -> list[Access]:
        operation = part.operation
        if operation.name in ("sync", "signal"):
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
        last: dict[int, int] = {}
        for number, part in enumerate(self._parts):
            self._after[3 * number + S].add(3 * number + E)
            self._after[3 * number + E].add(3 * number + W)
            before = last.get(part.operation.unit)
            self._previous.append(before)
            if before is not None:
                self._after[3 * before + E].add(3 * number + S)
                self._after[3 * before + W].add(3 * number + W)
            last[part.operation.unit] = number

    def _collect_tokens(self) -> None:
        for number, part in enumerate(self._parts):
            for kind, semaphore, amount, each in _tokens(part.operation):
                both = self._semaphores[semaphore]
                mine = (both.takes if kind == "wait" else both.gives)[part.operation.unit]
                if each and _is_cut(part.operation, kind):
                    amount = part.last - part.first
                elif not (part.is_first if kind == "wait" else part.is_last):
                    continue
                first = mine[-1].last if mine else 0
                mine.append(_Token(number, first, first + amount, each))

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
            for unit, takes in semaphore.takes.items():
                for take in takes:
                    # One marked `each` has its first element with its first beat, all of them with its last.
                    changed |= self._need(semaphore, unit, take, take.first + 1 if take.each else take.last, S)
                    changed |= take.each and self._need(semaphore, unit, take, take.last, E)
        return changed

    def _need(self, semaphore: _Semaphore, unit: int, take: _Token, count: int, moment: int) -> bool:
        """Whether anything new follows from a need of `count` counts, what the unit took before included."""
        target = 3 * take.part + moment
        for other, takes in semaphore.takes.items():
            if other != unit:
                count += sum(one.last - one.first for one in takes if self._precedes(3 * one.part + E, target))
        # The elements of a part that is still to be written may be there but for the last.
        possible = {
            giver: sum(
                give.last - give.first
                for give in gives
                if not self._precedes(target, 3 * give.part + (S if give.each else W))
            )
            for giver, gives in semaphore.gives.items()
        }
        changed = False
        for giver, gives in semaphore.gives.items():
            needed = count - (sum(possible.values()) - possible[giver])
            for give in gives:
                if needed <= give.first:
                    break
                nodes = [3 * give.part + W]
                if needed < give.last:
                    # The first of a part's elements comes after its first beat, and after all its unit wrote before.
                    previous = self._previous[give.part]
                    nodes = [3 * give.part + S] + ([] if previous is None else [3 * previous + W])
                for node in nodes:
                    changed |= target not in self._after[node]
                    self._after[node].add(target)
        return changed

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
                    if take.each and (take.first, take.last) in by_range
                ]
        for later, earlier in sorted(links):
            in_step[later].add(earlier)
            # A vector instruction passes on in step what it takes in step.
            if self._parts[earlier].operation.name == "vector":
                in_step[later] |= in_step[earlier]
        return in_step


def _elements(operation: Operation) -> int:
    return operation.fields[_ELEMENTS[operation.name]] if operation.name in _ELEMENTS else 1


def _tokens(operation: Operation) -> Iterator[tuple[str, int, int, bool]]:
    """(wait or signal, semaphore, counts of the whole execution, each) of an execution."""
    fields = operation.fields
    if operation.unit == Unit.SEQUENCER:
        yield "signal", fields["semaphore"], fields["amount"], False
        return
    for kind in ("wait", "signal"):
        for slot in range(3):
            semaphore, each = fields[f"{kind}{slot}"], bool(fields[f"{kind}{slot}_each"])
            if semaphore:
                amount = fields["columns"] if kind == "wait" and operation.name == "matmul" else _elements(operation)
                yield kind, semaphore, amount if each else 1, each


def _is_read_by_all(operation: Operation, access: Access) -> bool:
    """Whether all parts read it: a product's inputs and, for simplicity, weights; a vector's parameter block."""
    block = access.operand == "parameters" and access.address == operation.addresses["parameters"]
    return block or access.operand in ("weights", "input")


def _is_cut(operation: Operation, kind: str) -> bool:
    """Whether its counts `each` are those of its elements: a product takes by inputs, which its parts all read."""
    return kind == "signal" or operation.name != "matmul"


def _cut(operations: list[Operation]) -> list[list[int]]:
    """Where to cut each execution's elements, so that gives and takes of one semaphore have the same borders."""
    tokens: dict[int, list[tuple[int, int, int, bool]]] = defaultdict(list)
    units: dict[tuple[int, str], set[int]] = defaultdict(set)
    totals: dict[tuple[int, str], int] = defaultdict(int)
    for number, operation in enumerate(operations):
        for kind, semaphore, amount, each in _tokens(operation):
            start = totals[semaphore, kind]
            tokens[semaphore].append((number, start, start + amount, each and _is_cut(operation, kind)))
            totals[semaphore, kind] += amount
            units[semaphore, kind].add(operation.unit)
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
