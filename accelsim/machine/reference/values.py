"""The datapaths' values, beat by beat, in numpy: written from the instruction set, not from the compiled kernels."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from accelsim import fixedpoint
from accelsim.isa import opcodes
from accelsim.isa.opcodes import Activation, Addend, Destination, Memory, Requantize, Source, Start
from accelsim.isa.stages import place_operations
from accelsim.machine.memory import DRAM
from accelsim.machine.reference.context import Context, Job
from accelsim.timing.beats import Beat

Wide = NDArray[np.int64]


class _Datapath:
    def __init__(self, context: Context) -> None:
        self.context = context

    def _read(self, memory: Memory, address: int, count: int, dtype: str) -> Wide:
        raw = self.context.memory.bytes[memory]
        size = np.dtype(dtype).itemsize * count
        return raw[address : address + size].view(dtype).astype(np.int64)


class MatrixDatapath(_Datapath):
    """int8 products summed in int32, the row tiles of a group in the array at a time."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tiles: dict[int, Wide] = {}

    def compute(self, job: Job, beat: Beat, written: int, _stage: int) -> None:
        """Add a beat's products to the row tile's sums; with its last inputs, have them written."""
        fields, at = job.operation.fields, job.operation.addresses
        if job.operation.name != "matmul" or not beat.size:
            return
        mac, vectors = self.context.chip.mac, fields["extra_vectors"] + 1
        height, stored = mac.rows, -(-fields["columns"] // mac.weight_block_columns) * mac.weight_block_columns
        if beat.column == 0:
            self._tiles[beat.first] = self._start(fields["start"], at, beat, vectors)
        weights = self._read(
            Memory.WEIGHTS,
            at["weights"] + beat.first * stored + beat.column * height,
            beat.columns * height,
            "int8",
        ).reshape(beat.columns, height)
        start = at["input"] + beat.column * vectors
        inputs = self._read(Memory.ACTIVATIONS, start, beat.columns * vectors, "int8").reshape(beat.columns, vectors)
        own = slice(beat.vector, beat.vector + beat.vectors)
        sums = self._tiles[beat.first] = self._tiles[beat.first] + (weights.T @ inputs[:, own])[: beat.size]
        self.context.counters.macs[job.layer] += beat.size * beat.columns * beat.vectors
        if beat.writes:
            del self._tiles[beat.first]
            values = fixedpoint.wrap32(sums).astype(np.int32)
            if beat.vectors == vectors:
                row = at["accumulators"] + 4 * beat.first * vectors
                self.context.store(job, Memory.ACCUMULATORS, row, values.reshape(-1).view(np.int8), written)
                return
            for number in range(beat.size):
                row = at["accumulators"] + 4 * ((beat.first + number) * vectors + beat.vector)
                self.context.store(job, Memory.ACCUMULATORS, row, values[number].view(np.int8), written)

    def _start(self, start: int, at: Mapping[str, int], beat: Beat, vectors: int) -> Wide:
        shape = beat.size, beat.vectors
        if start == Start.BIAS:
            bias = self._read(Memory.PARAMETERS, at["bias"] + 4 * beat.first, beat.size, "<i4")
            return np.repeat(bias[:, None], beat.vectors, axis=1)
        if start == Start.ACCUMULATE:
            address = at["accumulators"] + 4 * beat.first * vectors
            sums = self._read(Memory.ACCUMULATORS, address, beat.size * vectors, "<i4").reshape(beat.size, vectors)
            return sums[:, beat.vector : beat.vector + beat.vectors]
        return np.zeros(shape, dtype=np.int64)


class VectorDatapath(_Datapath):
    """The vector unit's operations on one beat's elements, in the stages in which they happen."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._stages = context.chip.vector.pipeline
        # What each stage has handed to the next, in order.
        self._between: list[deque[Wide]] = [deque() for _ in self._stages]

    def compute(self, job: Job, beat: Beat, written: int, stage: int) -> None:
        """Take a beat's elements through a stage; in the last, have the result written."""
        if job.operation.name == "load":
            self._land(job, beat, written)
        if job.operation.name != "vector":
            return
        fields, at = job.operation.fields, job.operation.addresses
        places = place_operations(fields, self._stages) or {}
        first, count = beat.first, beat.size
        value = self._between[stage].popleft() if stage else self._source(job, beat)
        if places.get("addend") == stage:
            value = value + self._addend(job, beat)
        if stage == places.get("addend", 0):
            value = _to_int16(value)
        if places.get("activation") == stage:
            table = fixedpoint.activation_tables()[fields["activation"] - Activation.SIGMOID]
            value = table[value + 32768].astype(np.int64)
        if places.get("factor") == stage:
            product = value * self._read(Memory.ACTIVATIONS, at["factor"] + 2 * first, count, "<i2")
            value = fixedpoint.rounding_divide_by_pot(product, fields["shift"])
        if places.get("term") == stage:
            value = _to_int16(value) + self._read(Memory.ACTIVATIONS, at["term"] + 2 * first, count, "<i2")
            value = _to_int16(value)
        if stage == places["result"]:
            self._result(job, beat, value, written)
        else:
            self._between[stage + 1].append(value)

    def _land(self, job: Job, beat: Beat, written: int) -> None:
        """A beat of a load: the host's queue has the data."""
        context, fields = self.context, job.operation.fields
        for memory, address, size in beat.writes:
            source = job.operation.addresses["source"] + beat.vector * fields["source_pitch"] + beat.first
            context.stream_in(job, source, size)
            context.store(job, memory, address, context.memory.bytes[DRAM][source : source + size].copy(), written)

    def _source(self, job: Job, beat: Beat) -> Wide:
        fields, at = job.operation.fields, job.operation.addresses
        first, count = beat.first, beat.size
        self.context.counters.elements[job.layer] += count
        if first == 0:
            job.block = self.context.memory.bytes[Memory.PARAMETERS][at["parameters"] :][: opcodes.PARAM_BYTES].copy()
        value = np.zeros(count, dtype=np.int64)
        if fields["source_type"] == Source.INT32:
            value = self._read(Memory.ACCUMULATORS, at["source"] + 4 * first, count, "<i4")
        elif fields["source_type"] == Source.INT16:
            value = self._read(Memory.ACTIVATIONS, at["source"] + 2 * first, count, "<i2")
        elif fields["source_type"] == Source.INT8:
            value = self._read(Memory.ACTIVATIONS, at["source"] + first, count, "int8")
        return self._requantize(job, value, at["parameters"], first)

    def _addend(self, job: Job, beat: Beat) -> Wide:
        fields, at = job.operation.fields, job.operation.addresses
        if fields["addend_type"] == Addend.INT16:
            return self._read(Memory.ACTIVATIONS, at["addend"] + 2 * beat.first, beat.size, "<i2")
        sums = self._read(Memory.ACCUMULATORS, at["addend"] + 4 * beat.first, beat.size, "<i4")
        pair = _factor(job.block, opcodes.PARAM_ADDEND_MULTIPLIER, opcodes.PARAM_ADDEND_SHIFT)
        return _to_int16(fixedpoint.multiply_by_quantized_multiplier(sums, *pair))

    def _result(self, job: Job, beat: Beat, value: Wide, written: int) -> None:
        fields, at = job.operation.fields, job.operation.addresses
        if fields["keep"]:
            kept = _to_int16(value).astype(np.int16).view(np.int8)
            self.context.store(job, Memory.ACTIVATIONS, at["kept"] + 2 * beat.first, kept, written)
        if fields["output_requantize"]:
            pair = _factor(job.block, opcodes.PARAM_OUTPUT_MULTIPLIER, opcodes.PARAM_OUTPUT_SHIFT)
            value = fixedpoint.multiply_by_quantized_multiplier(value, *pair)
        zero_point, low, high = (
            int(job.block[offset : offset + 2].view("<i2")[0])
            for offset in (opcodes.PARAM_ZERO_POINT, opcodes.PARAM_LOW, opcodes.PARAM_HIGH)
        )
        value = fixedpoint.saturate(value + zero_point, low, high)
        narrow = np.int8 if fields["destination_type"] == Destination.INT8 else np.int16
        start = at["destination"] + np.dtype(narrow).itemsize * beat.first
        self.context.store(job, Memory.ACTIVATIONS, start, value.astype(narrow).view(np.int8), written)

    def _requantize(self, job: Job, value: Wide, parameters: int, first: int) -> Wide:
        kind = job.operation.fields["requantize"]
        channels = parameters + opcodes.PARAM_BYTES + 8 * first
        raw = self.context.memory.bytes[Memory.PARAMETERS][channels : channels + 8 * value.size]
        if kind == Requantize.SCALAR:
            pair = _factor(job.block, opcodes.PARAM_SOURCE_MULTIPLIER, opcodes.PARAM_SOURCE_SHIFT)
            scaled: Wide = fixedpoint.multiply_by_quantized_multiplier(value, *pair)
            return scaled
        if kind == Requantize.CHANNEL:
            pairs = raw.view("<i4").astype(np.int64).reshape(-1, 2)
            return np.asarray(fixedpoint.multiply_by_quantized_multiplier(value, pairs[:, 0], pairs[:, 1]))
        if kind == Requantize.REAL:
            exact = np.clip(value * raw.view("<f8"), -(2.0**31), 2.0**31)
            return fixedpoint.round_half_away(exact).astype(np.int64)
        return value


def _factor(block: NDArray[np.int8], multiplier: int, shift: int) -> tuple[int, int]:
    return int(block[multiplier : multiplier + 4].view("<i4")[0]), int(block[shift])


def _to_int16(value: Wide) -> Wide:
    saturated: Wide = fixedpoint.saturate(value, fixedpoint.INT16_MIN, fixedpoint.INT16_MAX)
    return saturated
