"""Every key of a chip file: its type, range, default and meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from accelsim.chip.cost_table import DEFAULT_COST_TABLE, CostTable
from accelsim.chip.section import MOST, Amount, Positive, Section, misfit

MAX_SRAM_BYTES = 2**26
"""All of an SRAM is held, with the cycle each byte is written in."""
MAX_BANKS = 64
"""A beat's bank requests are one 64-bit mask a memory."""

MAX_ENTRIES = 2**14
"""Entries of a queue: an engine holds them all. No machine is known to us with more than some hundred."""

Entries = Annotated[int, Field(ge=1, le=MAX_ENTRIES)]
Natural = Annotated[int, Field(ge=0, le=MOST)]


class Identity(Section):
    """What the chip is called."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] = Field(description="Short name.")
    description: str = Field("", description="One line.")
    clock_mhz: Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)] = Field(
        description="Clock of every unit; turns cycles into time."
    )


class Sequencer(Section):
    """Fetch, loops, dispatch, synchronization."""

    dispatch_cycles: Positive = Field(1, description="Cycles from dispatch until a unit can start the instruction.")
    instruction_memory_words: Positive = Field(description="Longest program.")
    load_queue_depth: Entries = Field(description="Instructions waiting for the load DMA.")
    matrix_queue_depth: Entries = Field(description="Instructions waiting for the matrix unit.")
    vector_queue_depth: Entries = Field(description="Instructions waiting for the vector unit.")
    store_queue_depth: Entries = Field(description="Instructions waiting for the store DMA.")
    semaphores: Annotated[int, Field(ge=2, le=128)] = Field(description="Semaphores, number 0 (none) included.")
    semaphore_cycles: Positive = Field(1, description="Cycles from an instruction's completion until a waiter sees it.")
    beats_ahead: Annotated[int, Field(ge=0, le=MAX_ENTRIES)] = Field(
        0, description="Beats a unit's own sequencer writes ahead of their issue, one a cycle; 0 for a unit without."
    )
    beat_cycles: Natural = Field(0, description="From a beat's being written by such a sequencer until it can issue.")
    instruction_cycles: Natural = Field(
        0,
        description="Cycles such a sequencer spends on an instruction or a row of a load before its first beat, "
        "and on each instruction of another unit.",
    )
    program_in_dram: bool = Field(
        False,
        description="Whether a run first reads its program out of DRAM, over the same bus as all else; if not, it is "
        "in the instruction memory from the start.",
    )


class Mac(Section):
    """The matrix unit."""

    rows: Annotated[int, Field(ge=1, le=4096)] = Field(description="Outputs computed side by side.")
    columns: Annotated[int, Field(ge=1, le=4096)] = Field(description="Inputs summed in one cycle.")
    batch_columns: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Vectors that share one weight read.")
    latency_cycles: Positive = Field(description="From a tile's last beat until its sums are in the accumulators.")
    accumulate_interval_cycles: Positive = Field(
        1, description="Cycles until a row tile's sums can be added to again; so many row tiles take turns."
    )
    drain_cycles: Positive = Field(1, description="Cycles a finished row tile's sums occupy the way out of the array.")
    input_memories: Positive = Field(
        1, description="Parts of the columns with an input memory each; a load of a step has a row for each."
    )
    weight_block_columns: Positive = Field(
        1, description="Columns a row tile's weights are padded to a multiple of; padding takes bytes, but no beats."
    )
    row_parameters_bytes: Annotated[int, Field(ge=4, le=256)] = Field(
        4,
        description="Parameters that come with each row of a product: its int32 bias, and what else such a machine "
        "keeps for a row; that fills memory and is loaded, but never read.",
    )

    @model_validator(mode="after")
    def _equal_parts(self) -> Mac:
        if self.columns % self.input_memories:
            raise misfit("input_memories", self.input_memories, f"a divisor of the {self.columns} columns")
        return self


class VectorStage(Section):
    """A stage of a vector unit whose stages each wait for their own operands."""

    name: str = Field(description="What it is called.")
    latency_cycles: Positive = Field(
        description="From a beat until the next stage can take it; in the last stage, until its results are written."
    )
    operations: Annotated[tuple[Literal["add", "activation", "multiply"], ...], Field(strict=False)] = Field(
        (), description="What it can do, in this order: add, activation, multiply."
    )


class Vector(Section):
    """The vector unit."""

    lanes: Annotated[int, Field(ge=1, le=4096)] = Field(description="Elements a cycle.")
    latency_cycles: Natural = Field(
        0, description="From a beat until its results are written, for a unit of one stage; 0 where `stages` say it."
    )
    stages: Annotated[tuple[VectorStage, ...], Field(strict=False)] = Field(
        (), description="Stages in a row, each with its own waits; none for a unit that does all in one."
    )
    adds_sums: bool = Field(
        True, description="Whether the adder takes sums from the accumulators, beside int16 values."
    )
    whole_row_tiles: bool = Field(False, description="Whether vectors are handed over in whole row tiles of the array.")
    wake_cycles: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Further cycles until a semaphore counts for the vector unit's waits."
    )

    @cached_property
    def pipeline(self) -> tuple[VectorStage, ...]:
        """The stages; a unit without has one that does all a vector instruction can ask for."""
        everything = ("add", "activation", "multiply", "add")
        whole = VectorStage.model_construct(name="vector", latency_cycles=self.latency_cycles, operations=everything)
        return self.stages or (whole,)

    @property
    def depth_cycles(self) -> int:
        """From a beat in the first stage until its results are written, where nothing is waited for."""
        return sum(stage.latency_cycles for stage in self.pipeline)

    @model_validator(mode="after")
    def _one_latency(self) -> Vector:
        if bool(self.stages) == bool(self.latency_cycles):
            expected = "0, as the stages say it" if self.stages else "at least 1, or stages that say it"
            raise misfit("latency_cycles", self.latency_cycles, expected)
        return self


class Chaining(Section):
    """Passing results on element by element."""

    enabled: bool = Field(
        description="Whether matrix and vector instructions can take and give elements one by one (a DMA can, by rows)."
    )
    hop_cycles: Positive = Field(1, description="Cycles from an element's production until a chained consumer sees it.")


class Sram(Section):
    """One on-chip memory: each bank serves one word a cycle."""

    capacity_bytes: Annotated[int, Field(ge=1, le=MAX_SRAM_BYTES)] = Field(description="Size.")
    banks: Annotated[int, Field(ge=1, le=MAX_BANKS)] = Field(
        description="Banks; consecutive words lie in consecutive banks."
    )
    word_bytes: Positive = Field(description="Width of a bank.")
    conflict_free: bool = Field(
        False, description="Whether every access has a port of its own, so that none waits for another's."
    )

    @model_validator(mode="after")
    def _whole_words(self) -> Sram:
        row = self.banks * self.word_bytes
        if self.capacity_bytes % row:
            expected = f"a multiple of banks x word_bytes = {self.banks} x {self.word_bytes} = {row}"
            raise misfit("capacity_bytes", self.capacity_bytes, expected)
        return self


class Srams(Section):
    """The four on-chip memories."""

    weights: Sram = Field(description="int8 weights.")
    activations: Sram = Field(description="Activations and state: int8 and int16.")
    accumulators: Sram = Field(description="int32 sums.")
    parameters: Sram = Field(description="Bias, multipliers and other parameters.")


class Dma(Section):
    """The load and the store engine."""

    sram_bytes_per_cycle: Positive = Field(description="Bytes a DMA moves from or to an SRAM in a cycle.")
    latency_cycles: Positive = Field(description="From a DMA's SRAM beat until the data is there.")
    loads_through_vector: bool = Field(
        False,
        description="Whether loads of activations are beats of the vector unit's last stage, in order with its "
        "results, fed by a queue that the host keeps filled.",
    )


class Dram(Section):
    """Memory outside: one bus for reads and writes."""

    capacity_bytes: Annotated[int, Field(ge=1, le=2**32)] = Field(description="Size.")
    bytes_per_cycle: Annotated[float, Field(gt=0, le=2**20, allow_inf_nan=False)] = Field(
        description="Bus width in bytes a clock cycle; may be a fraction."
    )
    read_latency_cycles: Natural = Field(
        description="From the end of a read's transfer on the bus until its data is there."
    )
    write_latency_cycles: Natural = Field(description="From the last byte on the bus until a write is complete.")
    burst_bytes: Positive = Field(description="Largest transfer of one request; requests end at its multiples.")
    outstanding_bursts: Entries = Field(description="Requests of one DMA under way at once.")

    @property
    def rate(self) -> Fraction:
        """`bytes_per_cycle` as a fraction with a denominator of at most 1024."""
        return Fraction(self.bytes_per_cycle).limit_denominator(1024)

    @model_validator(mode="after")
    def _representable(self) -> Dram:
        if self.rate <= 0:
            raise misfit("bytes_per_cycle", self.bytes_per_cycle, "a value greater than 1/2048")
        return self


class Schedule(Section):
    """What the compiler is to do where more than one way works."""

    weights_preloaded: bool = Field(
        default=False, description="Weights and parameters are loaded once, before the cycles of a frame are counted."
    )
    input_steps_ahead: Natural = Field(
        default=0, description="Steps of a sequence loaded ahead of their use; 0 for as many as the estimate asks for."
    )
    constants_loaded: bool = Field(
        default=False,
        description="Steps of a cell without a source take a vector that is loaded at the start of a frame; else none.",
    )


class EnergyChoice(Section):
    """Which table says what an action costs, and this chip's own figures in place of the table's."""

    table: str | CostTable = Field(
        default=DEFAULT_COST_TABLE,
        description="Energies and areas of its actions and parts: a table's name (see `accelsim energy`), or a file's, "
        "seen from this file's folder.",
    )
    mac_int8_pj: Amount | None = Field(default=None, description="One int8 multiply-accumulate.")
    vector_element_pj: Amount | None = Field(default=None, description="One element through the vector unit.")
    sram_weights_pj_per_byte: Amount | None = Field(default=None, description="Weights' memory, a byte.")
    sram_activations_pj_per_byte: Amount | None = Field(default=None, description="Activations' memory, a byte.")
    sram_accumulators_pj_per_byte: Amount | None = Field(default=None, description="Accumulators' memory, a byte.")
    sram_parameters_pj_per_byte: Amount | None = Field(default=None, description="Parameters' memory, a byte.")
    dram_pj_per_byte: Amount | None = Field(default=None, description="DRAM, a byte.")
    leakage_mw: Amount | None = Field(default=None, description="Power drawn all the time, in milliwatts.")

    @property
    def own(self) -> dict[str, float]:
        """The chip's own figures by key."""
        return {key: value for key, value in self if key != "table" and value is not None}

    @property
    def identity(self) -> dict[str, Any]:
        """All that can change a picojoule.

        A table that ships with the package is its name alone: like the rules of time, its figures are those of the
        version that reads it. Where the chip has all figures of its own, the table changes no energy.
        """
        own: dict[str, Any] = self.own
        if len(own) == len(type(self).model_fields) - 1:
            return own
        return own | {"table": self.table if isinstance(self.table, str) else self.table.figures}


class Chip(Section):
    """A whole chip: the tables of its file."""

    chip: Identity = Field(description="Name and clock.")
    sequencer: Sequencer = Field(description="Fetch, loops, dispatch, synchronization.")
    mac: Mac = Field(description="Matrix unit.")
    vector: Vector = Field(description="Vector unit.")
    chaining: Chaining = Field(description="Element-wise hand-over between units.")
    sram: Srams = Field(description="On-chip memories.")
    dma: Dma = Field(description="Load and store engines.")
    dram: Dram = Field(description="Memory outside.")
    schedule: Schedule = Field(default_factory=Schedule, description="What the compiler is to do.")
    energy: EnergyChoice = Field(default_factory=EnergyChoice, description="What each action costs.")
    provenance: dict[str, str] = Field(
        default_factory=dict, description="Where each figure comes from: a key, or TABLE.* for all of a table."
    )

    @property
    def name(self) -> str:
        """The chip's short name."""
        return self.chip.name

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all of the hardware that can change a cycle or a picojoule.

        What the compiler is to do (`schedule`) is in the program, and changes no chip.
        """
        apart: Any = {"provenance": True, "schedule": True, "energy": True, "chip": {"description": True}}
        content: dict[str, Any] = self.model_dump(exclude=apart) | {"energy": self.energy.identity}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def with_(self, settings: Mapping[str, Any] | None = None, /, **keywords: Any) -> Chip:
        """The chip with some keys set to other values, checked as a chip file is.

        ``chip.with_(mac_rows=32, sram_weights_banks=8)`` and ``chip.with_({"mac.rows": 32, "sram.weights.banks": 8})``
        are the same. This chip stays as it is.

        Parameters
        ----------
        settings : mapping of str to int, float, bool or str, optional
            By dotted key, as `accelsim chips --keys` lists them.
        **keywords : int, float, bool or str
            By key with its dots written as underscores.

        Returns
        -------
        Chip

        Raises
        ------
        InputError
            An unknown key, with the nearest one; a value that the key can't have, or that does not fit the others.
        """
        from accelsim.chip.keywords import dotted_settings
        from accelsim.chip.settings import with_settings

        where = f"chip {self.name}"
        return with_settings(self, dotted_settings(settings or {}, keywords, where), where)
