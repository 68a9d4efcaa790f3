"""Many chips at once, as a pandas frame."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from accelsim.api.inputs import chip_of, path_of
from accelsim.api.steps import Schedule
from accelsim.chip import Chip
from accelsim.errors import InputError
from accelsim.quant.model import QGraph
from accelsim.quant.quantize import QuantizationResult

if TYPE_CHECKING:
    import pandas as pd

    from accelsim.explore.axes import Axis
    from accelsim.explore.models import Model

SweepModel: TypeAlias = str | Path | QGraph | QuantizationResult


def sweep(
    models: SweepModel | Sequence[SweepModel],
    chip: Chip | str | Path = "tx5368",
    axes: Mapping[str, Iterable[Any] | str] | None = None,
    *,
    where: str | Sequence[str] = (),
    schedule: Schedule = "auto",
    out: str | Path | None = None,
    jobs: int = 1,
    **keywords: Iterable[Any] | str,
) -> pd.DataFrame:
    """Compile models for every combination of some keys' values, and count the cycles.

    ``sweep(model, "tx5368", {"mac.rows": [8, 16]}, dram_bytes_per_cycle="1:8:x2", batch=[1, 4])``

    Parameters
    ----------
    models : str, Path, QGraph or QuantizationResult, or a sequence of them
        Quantized models; of a float ONNX file only the shape counts.
    chip : Chip, str or Path
        Whose keys are set.
    axes : mapping of str to iterable or str, optional
        Values by dotted key, or ``batch``: a list or an array, or a text as for `accelsim sweep --set`: ``8,16,32``,
        ``8:64:x2``, ``8:64:+8``.
    where : str or sequence of str
        Conditions that a point has to meet: ``"mac.rows * mac.columns <= 4096"``.
    schedule : str
        As for `compile`.
    out : str or Path, optional
        A folder for the sweep's database: the same call goes on with what it holds, and `accelsim report` reads it.
        Without one, nothing is kept but what is returned.
    jobs : int
        Processes; 1 for this one alone.
    **keywords : iterable or str
        Values by key with its dots written as underscores.

    Returns
    -------
    pandas.DataFrame
        A row a point: ``number``, ``model``, ``batch``, ``schedule_asked``, a column for each key, ``status``
        (``done``, or ``failed`` with its ``reason``), ``cycles``, ``time_us``, ``bound_cycles``, ``dram_bytes``,
        ``energy_nj`` and more, with their units; NaN where a point failed.

    Raises
    ------
    InputError
        An unknown key, with the nearest one; a value that it can't have; no key; no point that meets the conditions;
        a folder that holds another sweep.
    """
    from accelsim.explore.constraints import Constraint
    from accelsim.explore.database import read_results
    from accelsim.explore.executors import Here, Processes
    from accelsim.explore.space import fixed_values
    from accelsim.explore.sweep import Sweep, opened, run_sweep

    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError("jobs", "", f"found {jobs!r}", "an integer of at least 1")
    target = chip_of(chip)
    several = list(models) if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    keys = fixed_values(target)
    texts = [where] if isinstance(where, str) else where
    asked = Sweep(
        _models(several),
        target,
        _axes(axes or {}, keywords),
        [Constraint(text, keys, "where") for text in texts],
        schedule=schedule,
        command="accelsim.sweep",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if out is None else path_of(out, "out", "None")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                folder, "", error.strerror or str(error), "a folder that can be written, or made"
            ) from None
        with opened(folder, asked.meta()) as database:
            run_sweep(asked, database, Here(asked.work()) if jobs == 1 else Processes(asked.work(), jobs))
        return read_results(folder).points


def _axes(axes: Mapping[str, Iterable[Any] | str], keywords: Mapping[str, Iterable[Any] | str]) -> list[Axis]:
    from accelsim.chip.keywords import dotted_settings, plain
    from accelsim.chip.settings import setting_keys
    from accelsim.explore.axes import BATCH, axis, parse_axis

    found = []
    for key, values in dotted_settings(axes, keywords, "axes", (*setting_keys(), BATCH)).items():
        if isinstance(values, str):
            found.append(parse_axis(f"{key}={values}", "axes"))
        elif isinstance(values, Iterable):
            found.append(axis(key, map(plain, values), "axes"))
        else:
            raise InputError("axes", key, f"found {values!r}", "a list of values, or a text such as 8:64:x2")
    if not found:
        raise InputError("axes", "", "no key is set", "at least one, with its values")
    return found


def _models(models: Sequence[object]) -> list[Model]:
    """Models of files and of objects; of several with one name the later ones are numbered."""
    from dataclasses import replace

    found: list[Model] = []
    for one in models:
        model = _model(one)
        same = sum(other.name.partition("#")[0] == model.name for other in found)
        found.append(replace(model, name=f"{model.name}#{same + 1}") if same else model)
    if not found:
        raise InputError("models", "", "none", "at least one")
    return found


def _model(model: object) -> Model:
    import hashlib

    from accelsim.explore.models import Model, read_model
    from accelsim.quant.onnx_writer import build_model, seal

    if isinstance(model, QuantizationResult):
        model = model.qgraph
    if isinstance(model, QGraph):
        digest = hashlib.sha256(seal(build_model(model, model.name))).hexdigest()
        return Model(model.name, model.name, digest, model)
    return read_model(path_of(model, "models", "a QGraph"))
