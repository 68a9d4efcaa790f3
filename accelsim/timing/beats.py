"""What each instruction does beat by beat: accesses, elements taken and given. Static costs as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from accelsim.chip import Chip
from accelsim.errors import InternalError
from accelsim.isa.opcodes import PARAM_BYTES, Addend, Destination, Memory, Requantize, Source, Start
from accelsim.isa.stages import place_operations
from accelsim.timing.rules import Access, Pass, burst_bytes_at, padded_columns, split_into_passes, tile_groups
from accelsim.timing.stream import Operation

_WEIGHTS, _ACTIVATIONS = int(Memory.WEIGHTS), int(Memory.ACTIVATIONS)
_ACCUMULATORS, _PARAMETERS = int(Memory.ACCUMULATORS), int(Memory.PARAMETERS)
_SOURCES = {
    int(Source.INT8): (_ACTIVATIONS, 1),
    int(Source.INT16): (_ACTIVATIONS, 2),
    int(Source.INT32): (_ACCUMULATORS, 4),
}
_ADDENDS = {int(Addend.INT16): (_ACTIVATIONS, 2), int(Addend.INT32): (_ACCUMULATORS, 4)}
_DESTINATION_BYTES = {int(Destination.INT8): 1, int(Destination.INT16): 2}


@dataclass(frozen=True, slots=True)
class Beat:
    """What a unit does at a time.

    Parameters
    ----------
    passes : tuple of Pass
        Banks it occupies, cycle by cycle.
    reads, writes : tuple of Access
        (memory, first byte, bytes).
    takes : int
        Elements taken from each semaphore waited for with `each`.
    gives : int
        Elements given to each semaphore signalled with `each`, when the beat's result is written.
    first, size : int
        The elements it works on: rows of a product, elements of a vector.
    column, columns : int
        The inputs a product's beat sums.
    vector, vectors : int
        The vectors it does so for.
    """

    passes: tuple[Pass, ...]
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    takes: int = 0
    gives: int = 0
    first: int = 0
    size: int = 0
    column: int = 0
    columns: int = 0
    vector: int = 0
    vectors: int = 1


class BeatTable:
    """The beats of a chip's instructions; equal executions share them.

    Parameters
    ----------
    chip : Chip
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        srams = (chip.sram.weights, chip.sram.activations, chip.sram.accumulators, chip.sram.parameters)
        self.banks = [sram.banks for sram in srams]
        self.word_bytes = [sram.word_bytes for sram in srams]
        self.conflict_free = [sram.conflict_free for sram in srams]
        self._known: dict[tuple[int, int, tuple[int, ...]], tuple[Beat, ...]] = {}

    def of(self, operation: Operation, stage: int = 0) -> tuple[Beat, ...]:
        """The beats of a product, a vector instruction or a sync, in order; of a vector instruction, in a stage."""
        key = operation.index, stage, tuple(operation.addresses.values())
        beats = self._known.get(key)
        if beats is None:
            if operation.name == "matmul":
                beats = tuple(self._matmul(operation))
            elif operation.name == "vector":
                beats = self._vector(operation, stage)
            elif operation.name == "load":
                beats = self._streamed_load(operation)
            else:
                beats = (self.beat((), (), takes=1, gives=1),)
            self._known[key] = beats
        return beats

    def beat(self, reads: tuple[Access, ...], writes: tuple[Access, ...], **values: int) -> Beat:
        """A beat with these accesses."""
        passes = split_into_passes((*reads, *writes), self.banks, self.word_bytes, self.conflict_free)
        return Beat(passes, reads, writes, **values)

    def _matmul(self, operation: Operation) -> Iterator[Beat]:
        """Group of row tiles after group, in each all vectors that fit the array side by side, then the next of them.

        A beat sums a tile's inputs; the first ones come first, the tiles of the group taking turns, and a tile's sums
        are written with its last. Where a group has fewer tiles than sums have to wait before they are added to again,
        empty beats fill the turn. Where vectors don't fit side by side, the weights are read again for the next of
        them. Elements are taken while the first row tile first goes over the inputs, and given when a row tile's sums
        are written for the last vectors.
        """
        fields, mac = operation.fields, self.chip.mac
        vectors = fields["extra_vectors"] + 1
        first = 0
        for tiles in tile_groups(-(-fields["rows"] // mac.rows), mac.accumulate_interval_cycles):
            for vector in range(0, vectors, mac.batch_columns):
                for column in range(0, fields["columns"], mac.columns):
                    for tile in range(tiles):
                        yield self._product_beat(operation, first + tile * mac.rows, vector, column)
                    if column + mac.columns < fields["columns"]:
                        yield from (self.beat((), ()) for _ in range(mac.accumulate_interval_cycles - tiles))
            first += tiles * mac.rows

    def _product_beat(self, operation: Operation, first: int, vector: int, column: int) -> Beat:
        fields, at = operation.fields, operation.addresses
        height, width, together = self.chip.mac.rows, self.chip.mac.columns, self.chip.mac.batch_columns
        rows, columns, vectors = fields["rows"], fields["columns"], fields["extra_vectors"] + 1
        size, count = min(height, rows - first), min(width, columns - column)
        stored = padded_columns(columns, self.chip.mac.weight_block_columns)
        sums = (_ACCUMULATORS, at["accumulators"] + 4 * first * vectors, 4 * size * vectors)
        reads: list[Access] = [
            (_WEIGHTS, at["weights"] + first * stored + column * height, height * count),
            (_ACTIVATIONS, at["input"] + column * vectors, count * vectors),
        ]
        if column == 0 and fields["start"] == Start.BIAS:
            reads.append((_PARAMETERS, at["bias"] + 4 * first, 4 * size))
        elif column == 0 and fields["start"] == Start.ACCUMULATE:
            reads.append(sums)
        last = column + width >= columns
        return self.beat(
            tuple(reads),
            (sums,) if last else (),
            takes=count * vectors if first == 0 and vector == 0 else 0,
            gives=size * vectors if last and vector + together >= vectors else 0,
            first=first,
            size=size,
            column=column,
            columns=count,
            vector=vector,
            vectors=min(together, vectors - vector),
        )

    def _vector(self, operation: Operation, stage: int) -> tuple[Beat, ...]:
        """One beat for as many elements as there are lanes, in each stage with the accesses of its operations."""
        fields, at = operation.fields, operation.addresses
        lanes, pipeline = self.chip.vector.lanes, self.chip.vector.pipeline
        places = place_operations(fields, pipeline)
        if places is None:
            raise InternalError(f"instruction {operation.index}: the vector unit has no such row of operations")
        wanted = {name for name, place in places.items() if place == stage}
        beats = []
        for first in range(0, fields["length"], lanes):
            size = min(lanes, fields["length"] - first)
            reads = tuple(_vector_reads(fields, at, wanted, first, size))
            writes: list[Access] = []
            if "result" in wanted:
                width = _DESTINATION_BYTES[fields["destination_type"]]
                writes.append((_ACTIVATIONS, at["destination"] + width * first, width * size))
                if fields["keep"]:
                    writes.append((_ACTIVATIONS, at["kept"] + 2 * first, 2 * size))
            beats.append(self.beat(reads, tuple(writes), takes=size, gives=size, first=first, size=size))
        return tuple(beats)

    def _streamed_load(self, operation: Operation) -> tuple[Beat, ...]:
        """A load through the vector unit: row after row, a byte a lane."""
        fields, at, lanes = operation.fields, operation.addresses, self.chip.vector.lanes
        beats = []
        for row in range(fields["rows"]):
            start = at["destination"] + row * fields["destination_pitch"]
            for first in range(0, fields["row_bytes"], lanes):
                size = min(lanes, fields["row_bytes"] - first)
                last = first + size == fields["row_bytes"]
                write = (fields["memory"], start + first, size)
                beats.append(self.beat((), (write,), takes=int(first == 0), gives=int(last), first=first, vector=row))
        return tuple(beats)


def _vector_reads(
    fields: Mapping[str, int], at: Mapping[str, int], wanted: Set[str], first: int, size: int
) -> Iterator[Access]:
    """What `wanted` operations read for elements `first` to `first + size`; the parameters come with the source."""
    if "source" in wanted and fields["source_type"] in _SOURCES:
        memory, width = _SOURCES[fields["source_type"]]
        yield memory, at["source"] + width * first, width * size
    if "addend" in wanted:
        memory, width = _ADDENDS[fields["addend_type"]]
        yield memory, at["addend"] + width * first, width * size
    if "factor" in wanted:
        yield _ACTIVATIONS, at["factor"] + 2 * first, 2 * size
    if "term" in wanted:
        yield _ACTIVATIONS, at["term"] + 2 * first, 2 * size
    if "source" in wanted:
        if first == 0:
            yield _PARAMETERS, at["parameters"], PARAM_BYTES
        if fields["requantize"] in (Requantize.CHANNEL, Requantize.REAL):
            yield _PARAMETERS, at["parameters"] + PARAM_BYTES + 8 * first, 8 * size


@dataclass(frozen=True, slots=True)
class Burst:
    """One DRAM request of a transfer.

    Parameters
    ----------
    dram, sram : int
        First byte on either side.
    size : int
        0 for a sync, which asks DRAM for nothing.
    beats : tuple of Beat
        The SRAM side, at most the DMA's width each.
    first_of_row, last_of_row, last : bool
        Where it stands in its transfer.
    """

    dram: int
    sram: int
    size: int
    beats: tuple[Beat, ...]
    first_of_row: bool
    last_of_row: bool
    last: bool


def bursts(operation: Operation, table: BeatTable) -> list[Burst]:
    """A load's or store's requests in order: rows cut at multiples of the burst size. A sync has one, of no bytes."""
    if operation.name == "sync":
        return [Burst(0, 0, 0, table.of(operation), first_of_row=True, last_of_row=True, last=True)]
    fields, at, chip = operation.fields, operation.addresses, table.chip
    load = operation.name == "load"
    outside, inside = ("source", "destination") if load else ("destination", "source")
    memory, width = fields["memory"], chip.dma.sram_bytes_per_cycle
    result = []
    for row in range(fields["rows"]):
        dram = at[outside] + row * fields[f"{outside}_pitch"]
        sram = at[inside] + row * fields[f"{inside}_pitch"]
        left = fields["row_bytes"]
        while left:
            size = burst_bytes_at(dram, left, chip.dram.burst_bytes)
            pieces = [(memory, sram + start, min(width, size - start)) for start in range(0, size, width)]
            beats = tuple(table.beat((), (piece,)) if load else table.beat((piece,), ()) for piece in pieces)
            result.append(
                Burst(
                    dram,
                    sram,
                    size,
                    beats,
                    first_of_row=left == fields["row_bytes"],
                    last_of_row=left == size,
                    last=left == size and row == fields["rows"] - 1,
                )
            )
            dram, sram, left = dram + size, sram + size, left - size
    return result
