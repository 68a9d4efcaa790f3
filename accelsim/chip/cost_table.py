"""Cost tables: what an action takes and a part covers, in a technology; every figure with its source beside it."""

from __future__ import annotations

import difflib
import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from accelsim.chip.faults import explain, nearest
from accelsim.chip.section import Amount, Positive, Section, misfit
from accelsim.errors import InputError, ManyErrors
from accelsim.resources import resource_root
from accelsim.toml_input import parse_toml

DEFAULT_COST_TABLE = "45nm"
"""The table of a chip that names none."""

Source = Annotated[str, Field(min_length=1, pattern=r"\S")]


class Operation(Section):
    """An operation that parts are made of, such as an 8-bit multiply."""

    energy_pj: Amount = Field(description="One of it.")
    energy_source: Source = Field(description="Where the energy comes from.")
    area_um2: Amount | None = Field(default=None, description="What does one a cycle.")
    area_source: Source | None = Field(default=None, description="Where the area comes from.")

    @model_validator(mode="after")
    def _sourced(self) -> Operation:
        if self.area_um2 is not None and self.area_source is None:
            raise misfit("area_source", "none", "where area_um2 comes from")
        return self


class UnitLeakage(Section):
    """Power of one such part, drawn all the time."""

    uw: Amount = Field(description="Microwatts.")
    source: Source = Field(description="Where the figure comes from.")


class Composed(Section):
    """A part that is made of operations: its energy and area are the sums of theirs."""

    operations: Annotated[dict[str, Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)] = Field(
        description="How many of each."
    )
    leakage: UnitLeakage | None = Field(default=None, description="Power drawn all the time.")
    source: Source = Field(description="Why it is made of these.")


class AccessEnergy(Section):
    """A published energy of an access."""

    capacity_bytes: Positive = Field(description="Size of the memory.")
    energy_pj: Amount = Field(description="One access of `access_bytes`.")
    source: Source = Field(description="Where the figure comes from.")


class BitArea(Section):
    """Area of memory."""

    um2_per_bit: Amount = Field(description="One bit.")
    source: Source = Field(description="Where the figure comes from, and what it leaves out.")


class SramLeakage(Section):
    """Power of memory, drawn all the time."""

    uw_per_kib: Amount = Field(description="Microwatts a KiB.")
    source: Source = Field(description="Where the figure comes from.")


MOST_POWER = 4
"""Wires make the energy of an access go with the square root of the size; more than this is two sizes mixed up."""


def power_of(first: AccessEnergy, second: AccessEnergy) -> float:
    """The power of the size that the energy of an access goes with, between two points."""
    return math.log(second.energy_pj / first.energy_pj) / math.log(second.capacity_bytes / first.capacity_bytes)


class SramCost(Section):
    """A memory on the chip.

    The energy of an access goes with a power of the size between two neighbours of `accesses`; below the first and
    above the last, the power of the nearest two goes on. One point alone holds at any size.
    """

    access_bytes: Positive = Field(description="Bytes of an access that the energies are of.")
    size_of: Literal["memory", "bank"] = Field(
        "memory", description="Whose size counts: the whole memory's, with the way across it, or one bank's alone."
    )
    accesses: Annotated[tuple[AccessEnergy, ...], Field(strict=False, min_length=1)] = Field(
        description="Energies of an access, of growing size."
    )
    area: BitArea | None = Field(default=None, description="Area of a bit.")
    leakage: SramLeakage | None = Field(default=None, description="Power drawn all the time.")

    @model_validator(mode="after")
    def _growing(self) -> SramCost:
        sizes = [point.capacity_bytes for point in self.accesses]
        if sizes != sorted(set(sizes)):
            raise misfit("accesses", sizes, "sizes that grow")
        if len(sizes) > 1 and not all(point.energy_pj for point in self.accesses):
            found = [point.energy_pj for point in self.accesses]
            raise misfit("accesses", found, "energies greater than 0, as a power law goes through them")
        for first, second in pairwise(self.accesses):
            if abs(power_of(first, second)) > MOST_POWER:
                both = f"{first.energy_pj:g} and {second.energy_pj:g} pJ"
                near = f"{both} at {first.capacity_bytes:,} and {second.capacity_bytes:,} bytes"
                raise misfit("accesses", near, f"energies that go with a power of the size of at most {MOST_POWER}")
        return self


class SramCosts(Section):
    """The memories on the chip; `default` is for those that have no table of their own."""

    default: SramCost | None = Field(default=None, description="Every memory without a table of its own.")
    weights: SramCost | None = Field(default=None, description="Weights' memory.")
    activations: SramCost | None = Field(default=None, description="Activations' memory.")
    accumulators: SramCost | None = Field(default=None, description="Accumulators' memory.")
    parameters: SramCost | None = Field(default=None, description="Parameters' memory.")

    def of(self, memory: str) -> SramCost:
        """The costs of a memory by its name."""
        cost: SramCost | None = getattr(self, memory) or self.default
        assert cost is not None, "checked below"
        return cost

    @model_validator(mode="after")
    def _all_there(self) -> SramCosts:
        names = set(type(self).model_fields) - {"default"}
        missing = sorted(name for name in names if getattr(self, name) is None)
        if self.default is None and missing:
            raise misfit("default", "none", f"one, for {', '.join(missing)}")
        return self


class DramCost(Section):
    """The memory outside."""

    access_bytes: Positive = Field(description="Bytes of an access that the energy is of.")
    energy_pj: Amount = Field(description="One access.")
    source: Source = Field(description="Where the figure comes from.")


class CostTable(Section):
    """A whole table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] = Field(description="Short name.")
    description: str = Field("", description="One line.")
    operations: dict[str, Operation] = Field(description="What parts are made of.")
    mac: Composed = Field(description="One int8 multiply-accumulate.")
    vector_element: Composed = Field(description="One element through the vector unit; a lane does one a cycle.")
    sram: SramCosts = Field(description="Memories on the chip.")
    dram: DramCost = Field(description="Memory outside.")

    @property
    def figures(self) -> dict[str, Any]:
        """All that a cost depends on: neither texts nor the name."""
        content: dict[str, Any] = _without_texts(self.model_dump(exclude_none=True))
        return content

    @model_validator(mode="after")
    def _known_operations(self) -> CostTable:
        for part in ("mac", "vector_element"):
            for name in getattr(self, part).operations:
                if name not in self.operations:
                    known = ", ".join(sorted(self.operations))
                    hint = nearest(name, self.operations)
                    raise misfit(f"{part}.operations", name, f"one of [operations]: {known}{hint}")
        return self


_TEXTS = ("name", "description", "source", "energy_source", "area_source")


def _without_texts(content: Any) -> Any:
    if isinstance(content, dict):
        texts = {key for key in _TEXTS if isinstance(content.get(key), str)}
        return {key: _without_texts(value) for key, value in content.items() if key not in texts}
    return [_without_texts(item) for item in content] if isinstance(content, list | tuple) else content


def _folder() -> Path:
    return resource_root() / "configs" / "energy"


@cache
def cost_table_names() -> tuple[str, ...]:
    """Names of the tables that ship with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


@cache
def _shipped(name: str) -> CostTable:
    return _read(_folder() / f"{name}.toml")


def load_cost_table(
    name_or_path: str | Path, *, where: str | Path = "--energy", field: str = "", folder: Path | None = None
) -> CostTable:
    """The table of a name (`45nm`) or of a TOML file (`my/table.toml`).

    Parameters
    ----------
    name_or_path : str or Path
    where, field : str
        What named it, for messages.
    folder : Path, optional
        Where a relative path is seen from; the working directory, if none is given.

    Raises
    ------
    InputError
        No such table, an unreadable file, or (as `ManyErrors`) every wrong key of it.
    """
    text = str(name_or_path)
    names = cost_table_names()
    if text in names:
        return _shipped(text)
    if text.endswith(".toml") or "/" in text:
        return _read((folder or Path()) / text)
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    hint = f" (nearest: {near[0]})" if near else ""
    raise InputError(where, field, f"no cost table named {text!r}{hint}", f"one of {', '.join(names)}, or a .toml file")


def _read(path: Path) -> CostTable:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(path, "", "not UTF-8 text", "a cost table") from None
    except (OSError, ValueError) as error:
        # A name with a null character is a ValueError.
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(path, "", str(reason or error), "a cost table") from None
    return check_cost_table(parse_toml(text, path), path)


def check_cost_table(data: dict[str, Any], where: str | Path) -> CostTable:
    """The table that plain data describes.

    Raises
    ------
    ManyErrors
        One error a wrong, missing or unknown key.
    """
    try:
        return CostTable.model_validate(data)
    except ValidationError as error:
        raise ManyErrors([explain(item, where, CostTable, set()) for item in error.errors()]) from None
