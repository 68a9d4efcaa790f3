"""A compiled program: all that a machine needs to run it, and all that a report needs to name its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from accelsim.chip import Chip
from accelsim.isa.codec import Instruction, decode, pack


@dataclass(frozen=True, slots=True)
class Region:
    """A named range of a memory.

    Parameters
    ----------
    name : str
    memory : str
        dram, weights, activations, accumulators or parameters.
    address : int
        First byte.
    bytes : int
    """

    name: str
    memory: str
    address: int
    bytes: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.address + self.bytes


@dataclass(frozen=True, slots=True)
class HostTensor:
    """A tensor the host writes before a frame, or reads after it: ``real = scale * (value - zero_point)``.

    Parameters
    ----------
    name : str
    dtype : str
        int8.
    shape : tuple of int
        Per frame, without a batch axis.
    scale : tuple of float
        float32 values: one for all, or one a feature (last axis).
    zero_point : int
        In [-128, 127].
    address : int
        First byte in DRAM; rows are contiguous.
    batch : int
        Frames a run handles at once; their elements lie side by side, the first of each frame, then the second...
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero_point: int
    address: int
    batch: int = 1

    def __post_init__(self) -> None:
        # Quantizers hand over numpy scalars; files and comparisons want Python's numbers.
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "scale", tuple(float(scale) for scale in self.scale))

    @property
    def bytes(self) -> int:
        """Bytes of a batch."""
        return math.prod(self.shape) * self.batch

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.address + self.bytes


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer of the model, and the instructions that are its own.

    Parameters
    ----------
    name : str
    kind : str
        The operator, such as lstm or linear.
    macs : int
        Multiply-accumulates a frame.
    parameters_bytes : int
        Weights, biases and other constants.
    instructions : tuple of (int, int)
        Half-open ranges of instruction indices, in ascending order.
    """

    name: str
    kind: str
    macs: int
    parameters_bytes: int
    instructions: tuple[tuple[int, int], ...]


_OF_WORDS = ("instructions", "layer_indices")
"""What a program knows of itself once it was asked, whichever its chip."""


@dataclass(frozen=True)
class Program:
    """A program for one chip.

    Parameters
    ----------
    name : str
    isa_version : int
    chip : Chip
        The chip it was compiled for.
    schedule : str
        The name of the schedule that made it.
    words : tuple of int
        The instructions, encoded.
    inputs, outputs : tuple of HostTensor
    regions : tuple of Region
        The memory map.
    layers : tuple of LayerInfo
    image : bytes
        Weights and parameters as they lie in DRAM before the first frame.
    image_address : int
        Where they lie.
    """

    name: str
    isa_version: int
    chip: Chip = field(repr=False)
    schedule: str
    words: tuple[int, ...] = field(repr=False)
    inputs: tuple[HostTensor, ...]
    outputs: tuple[HostTensor, ...]
    regions: tuple[Region, ...]
    layers: tuple[LayerInfo, ...]
    image: bytes = field(repr=False)
    image_address: int

    @classmethod
    def assembled(cls, instructions: Sequence[Instruction], **rest: Any) -> Self:
        """The program of instructions that `codec.make` gave; they need not be decoded again.

        Parameters
        ----------
        instructions : sequence of Instruction
        **rest
            All of a program but `words`.
        """
        program = cls(words=tuple(map(pack, instructions)), **rest)
        program.__dict__["instructions"] = tuple(instructions)
        return program

    def for_chip(self, chip: Chip) -> Self:
        """The same program, said to be another chip's.

        Parameters
        ----------
        chip : Chip
        """
        program = replace(self, chip=chip)
        program.__dict__.update({name: self.__dict__[name] for name in _OF_WORDS if name in self.__dict__})
        return program

    @property
    def batch(self) -> int:
        """Frames a run handles at once."""
        return self.inputs[0].batch if self.inputs else 1

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """The words, decoded.

        Raises
        ------
        DecodeError
            A word is no instruction; says which.
        """
        return tuple(decode(word, f"{self.name}: instruction {index}") for index, word in enumerate(self.words))

    @cached_property
    def layer_indices(self) -> tuple[int, ...]:
        """For each instruction the index of its layer in `layers`; -1 for none."""
        indices = [-1] * len(self.words)
        for index, layer in enumerate(self.layers):
            for start, end in layer.instructions:
                indices[start:end] = [index] * (end - start)
        return tuple(indices)

    def layer_of(self, index: int) -> LayerInfo | None:
        """The layer of the instruction at `index`; None where it belongs to no layer."""
        layer = self.layer_indices[index]
        return None if layer < 0 else self.layers[layer]

    def validate(self, where: str | Path = "") -> None:
        """Check all that can be known without running: see `validate.check_program`.

        Parameters
        ----------
        where : str or Path
            Names the program in messages; its own name where left out.

        Raises
        ------
        InputError
            What is wrong; as `ManyErrors` where it is more than one thing.
        """
        from accelsim.isa.validate import check_program

        check_program(self, where or self.name)
