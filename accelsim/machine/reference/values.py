"""The datapaths' values, beat by beat, in numpy: written from the instruction set, not from the compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from accelsim import fixedpoint
from accelsim.isa import opcodes
from accelsim.isa.opcodes import Activation, Addend, Destination, Memory, Requantize, Source, Start
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
    """int8 products summed in int32, one row tile in the array at a time."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._sums: Wide = np.zeros(0, dtype=np.int64)

    def compute(self, job: Job, beat: Beat, written: int) -> None:
        """Add a beat's products to the row tile's sums; with its last inputs, have them written."""
        fields, at = job.operation.fields, job.operation.addresses
        if job.operation.name != "matmul":
            return
        height, vectors = self.context.chip.mac.rows, fields["extra_vectors"] + 1
        if beat.column == 0:
            self._sums = self._start(fields["start"], at, beat, vectors)
        weights = self._read(
            Memory.WEIGHTS,
            at["weights"] + beat.first * fields["columns"] + beat.column * height,
            beat.columns * height,
            "int8",
        ).reshape(beat.columns, height)
        start = at["input"] + beat.column * vectors
        inputs = self._read(Memory.ACTIVATIONS, start, beat.columns * vectors, "int8").reshape(beat.columns, vectors)
        own = slice(beat.vector, beat.vector + beat.vectors)
        self._sums = self._sums + (weights.T @ inputs[:, own])[: beat.size]
        self.context.counters.macs[job.layer] += beat.size * beat.columns * beat.vectors
        if beat.writes:
            values = fixedpoint.wrap32(self._sums).astype(np.int32)
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
    """The vector unit's stages on one beat's elements."""

    def compute(self, job: Job, beat: Beat, written: int) -> None:
        """Take a beat's elements through all stages, and have the result written."""
        if job.operation.name != "vector":
            return
        fields, at = job.operation.fields, job.operation.addresses
        first, count = beat.first, beat.size
        self.context.counters.elements[job.layer] += count
        block = self.context.memory.bytes[Memory.PARAMETERS][at["parameters"] :][: opcodes.PARAM_BYTES]

        def factor(multiplier: int, shift: int) -> tuple[int, int]:
            return int(block[multiplier : multiplier + 4].view("<i4")[0]), int(block[shift])

        def half(offset: int) -> int:
            return int(block[offset : offset + 2].view("<i2")[0])

        value = np.zeros(count, dtype=np.int64)
        if fields["source_type"] == Source.INT32:
            value = self._read(Memory.ACCUMULATORS, at["source"] + 4 * first, count, "<i4")
        elif fields["source_type"] == Source.INT16:
            value = self._read(Memory.ACTIVATIONS, at["source"] + 2 * first, count, "<i2")
        elif fields["source_type"] == Source.INT8:
            value = self._read(Memory.ACTIVATIONS, at["source"] + first, count, "int8")
        value = self._requantize(fields["requantize"], value, at["parameters"], first, factor)
        if fields["addend_type"] == Addend.INT16:
            value = value + self._read(Memory.ACTIVATIONS, at["addend"] + 2 * first, count, "<i2")
        elif fields["addend_type"] == Addend.INT32:
            sums = self._read(Memory.ACCUMULATORS, at["addend"] + 4 * first, count, "<i4")
            pair = factor(opcodes.PARAM_ADDEND_MULTIPLIER, opcodes.PARAM_ADDEND_SHIFT)
            value = value + _to_int16(fixedpoint.multiply_by_quantized_multiplier(sums, *pair))
        value = _to_int16(value)
        if fields["activation"] != Activation.NONE:
            table = fixedpoint.activation_tables()[fields["activation"] - Activation.SIGMOID]
            value = table[value + 32768].astype(np.int64)
        if fields["multiply"]:
            product = value * self._read(Memory.ACTIVATIONS, at["factor"] + 2 * first, count, "<i2")
            value = fixedpoint.rounding_divide_by_pot(product, fields["shift"])
        if fields["accumulate"]:
            value = _to_int16(value) + self._read(Memory.ACTIVATIONS, at["term"] + 2 * first, count, "<i2")
            value = _to_int16(value)
        if fields["output_requantize"]:
            pair = factor(opcodes.PARAM_OUTPUT_MULTIPLIER, opcodes.PARAM_OUTPUT_SHIFT)
            value = fixedpoint.multiply_by_quantized_multiplier(value, *pair)
        value = fixedpoint.saturate(
            value + half(opcodes.PARAM_ZERO_POINT), half(opcodes.PARAM_LOW), half(opcodes.PARAM_HIGH)
        )
        narrow = np.int8 if fields["destination_type"] == Destination.INT8 else np.int16
        start = at["destination"] + np.dtype(narrow).itemsize * first
        self.context.store(job, Memory.ACTIVATIONS, start, value.astype(narrow).view(np.int8), written)

    def _requantize(
        self, kind: int, value: Wide, parameters: int, first: int, factor: Callable[[int, int], tuple[int, int]]
    ) -> Wide:
        channels = parameters + opcodes.PARAM_BYTES + 8 * first
        raw = self.context.memory.bytes[Memory.PARAMETERS][channels : channels + 8 * value.size]
        if kind == Requantize.SCALAR:
            pair = factor(opcodes.PARAM_SOURCE_MULTIPLIER, opcodes.PARAM_SOURCE_SHIFT)
            scaled: Wide = fixedpoint.multiply_by_quantized_multiplier(value, *pair)
            return scaled
        if kind == Requantize.CHANNEL:
            pairs = raw.view("<i4").astype(np.int64).reshape(-1, 2)
            return np.asarray(fixedpoint.multiply_by_quantized_multiplier(value, pairs[:, 0], pairs[:, 1]))
        if kind == Requantize.REAL:
            exact = np.clip(value * raw.view("<f8"), -(2.0**31), 2.0**31)
            return fixedpoint.round_half_away(exact).astype(np.int64)
        return value


def _to_int16(value: Wide) -> Wide:
    saturated: Wide = fixedpoint.saturate(value, fixedpoint.INT16_MIN, fixedpoint.INT16_MAX)
    return saturated
