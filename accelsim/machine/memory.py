"""The bytes of a machine: four SRAMs and DRAM, and the host's access to tensors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.isa.opcodes import Memory
from accelsim.isa.program import HostTensor, Program

DRAM = len(Memory)
"""Index of DRAM after the SRAMs."""


class MemoryImage:
    """All memories, as int8 arrays padded to whole 8 bytes.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self.sizes = memory_sizes(program)
        self.bytes = [np.zeros(-(-size // 8) * 8, dtype=np.int8) for size in self.sizes]
        self.bytes[DRAM][: self.sizes[DRAM]] = initial_dram(program)

    def write_tensor(self, tensor: HostTensor, frames: NDArray[np.int8]) -> None:
        """The host puts a tensor of a batch of frames, or of fewer, into DRAM."""
        (batch,) = to_batches(tensor, frames)
        self.bytes[DRAM][tensor.address : tensor.end] = batch

    def read_tensor(self, tensor: HostTensor) -> NDArray[np.int8]:
        """The host takes a tensor of a batch of frames out of DRAM: int8[batch, *shape]."""
        return from_batches(tensor, self.bytes[DRAM][tensor.address : tensor.end][None])


def memory_sizes(program: Program) -> list[int]:
    """Bytes of each SRAM in the order of `isa.opcodes.Memory`, then of the DRAM that the program can touch."""
    sram = program.chip.sram
    srams = (sram.weights, sram.activations, sram.accumulators, sram.parameters)
    return [*(one.capacity_bytes for one in srams), dram_bytes(program)]


def to_batches(tensor: HostTensor, frames: NDArray[np.int8]) -> NDArray[np.int8]:
    """Frames as they lie in DRAM: in batches, element beside element; zeros fill the last batch.

    Parameters
    ----------
    tensor : HostTensor
    frames : int8[N, *shape]

    Returns
    -------
    int8[ceil(N / batch), bytes]
    """
    batches = -(-len(frames) // tensor.batch)
    padded = np.zeros((batches * tensor.batch, tensor.bytes // tensor.batch), dtype=np.int8)
    padded[: len(frames)] = frames.reshape(len(frames), -1)
    side_by_side = padded.reshape(batches, tensor.batch, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(side_by_side).reshape(batches, tensor.bytes)


def from_batches(tensor: HostTensor, batches: NDArray[np.int8]) -> NDArray[np.int8]:
    """The frames of `to_batches`: int8[batches * batch, *shape]."""
    apart = batches.reshape(len(batches), -1, tensor.batch).transpose(0, 2, 1)
    return np.ascontiguousarray(apart).reshape(-1, *tensor.shape)


def dram_bytes(program: Program) -> int:
    """DRAM that the program can touch: up to the end of its image, tensors and regions."""
    ends = [program.image_address + len(program.image)]
    ends += [tensor.end for tensor in (*program.inputs, *program.outputs)]
    ends += [region.end for region in program.regions if region.memory == "dram"]
    return max(ends)


def initial_dram(program: Program) -> NDArray[np.int8]:
    """DRAM before a frame: the image, zeros elsewhere."""
    dram = np.zeros(dram_bytes(program), dtype=np.int8)
    image = np.frombuffer(program.image, dtype=np.int8)
    dram[program.image_address : program.image_address + len(image)] = image
    return dram


def check_tensors(program: Program) -> None:
    """Raise InputError unless the program has one input and one output, and they lie in DRAM."""
    for what, tensors in (("input", program.inputs), ("output", program.outputs)):
        if len(tensors) != 1:
            raise InputError(program.name, what, f"found {len(tensors)}", f"one, as `.{what}` in assembly names it")
        if tensors[0].address < 0:
            raise InputError(program.name, f"{what}.address", f"found {tensors[0].address}", "at least 0")


def check_frames(program: Program, frames: NDArray[np.int8]) -> None:
    """Raise InputError unless `frames` is int8[N, *shape of the program's input]."""
    check_tensors(program)
    expected = program.inputs[0].shape
    if frames.dtype != np.int8 or frames.shape[1:] != expected or frames.ndim != len(expected) + 1:
        raise InputError(
            program.name, "frames", f"{frames.dtype}{list(frames.shape)}", f"int8[N, {', '.join(map(str, expected))}]"
        )
