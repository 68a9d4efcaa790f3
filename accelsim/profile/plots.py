"""A profile as pictures: which there are, and what each needs of the run. matplotlib is imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from accelsim.errors import InputError
from accelsim.isa.program import Program
from accelsim.profile.figures.bars import plot_cycles, plot_energy
from accelsim.profile.figures.occupancy import plot_occupancy
from accelsim.profile.figures.roofline import plot_roofline
from accelsim.profile.figures.style import Format, picture_files, text_by_name
from accelsim.profile.figures.timeline import plot_timeline
from accelsim.profile.figures.traffic import plot_traffic
from accelsim.profile.figures.zoom import Zoom, plot_zoom
from accelsim.profile.occupancy import Occupancy, OccupancyCounter
from accelsim.profile.operations import Events, Kept, all_operations, hand_over, operation_count
from accelsim.profile.profile import Profile
from accelsim.profile.steps import Executions, StepWindow, busiest_layer, find_steps

MOST_DRAWN = 1_000_000
"""Operations a timeline is drawn of: they are held for it, and no eye tells more of them apart."""
MOST_FOLLOWED = 20_000_000
"""Operations the SRAMs' occupancy is counted of: they are not held, but each is gone through."""


@dataclass(frozen=True)
class ZoomWish:
    """What part of the run is to be drawn operation by operation: cycles, or a layer's time step.

    Parameters
    ----------
    cycles : (int, int), optional
        First cycle, and the one after the last.
    step : int, optional
        From 0, in order of execution.
    layer : str, optional
        Whose step; of the layer that takes most cycles where left out.
    """

    cycles: tuple[int, int] | None = None
    step: int | None = None
    layer: str | None = None


def draw_plots(
    profile: Profile,
    program: Program,
    *,
    formats: Sequence[Format] = ("png",),
    zoom: ZoomWish | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, bytes]:
    """All pictures of a run, by file name.

    Parameters
    ----------
    profile : Profile
    program : Program
    formats : sequence of str
        ``png``, ``svg``.
    zoom : ZoomWish, optional
        Also draws ``unit_timeline_zoom``.
    note : callable, optional
        Is told which picture is left out, and why.

    Returns
    -------
    dict of str to bytes
        ``cycles_by_layer``, ``energy_by_layer``, ``roofline``, ``unit_timeline``, ``dram_traffic``,
        ``sram_occupancy``, each with its ending.

    Raises
    ------
    InputError
        A zoom on what is not there.
    """
    return picture_files(draw_figures(profile, program, zoom=zoom, note=note), formats)


def draw_figures(
    profile: Profile,
    program: Program,
    *,
    zoom: ZoomWish | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, Figure]:
    """As `draw_plots`, as matplotlib's figures by name without ending."""
    tell = note or (lambda text: None)
    count = operation_count(profile)
    events = all_operations(program) if 0 < count <= MOST_DRAWN else None
    drawn: dict[str, Figure | None] = {"cycles_by_layer": plot_cycles(profile), "energy_by_layer": plot_energy(profile)}
    if drawn["energy_by_layer"] is None:
        tell("no energy_by_layer: by the chip's cost table the run takes none")
    drawn["roofline"] = plot_roofline(profile)
    if drawn["roofline"] is None:
        tell("no roofline: the run has no multiply-accumulates")
    if events is not None:
        drawn["unit_timeline"] = plot_timeline(profile, program, events)
    elif count:
        tell(f"no unit_timeline: the run has {count:,} operations, more than the {MOST_DRAWN:,} one is drawn of")
    if zoom is not None:
        drawn["unit_timeline_zoom"] = draw_zoom(profile, program, zoom, events, tell)
    drawn["dram_traffic"] = plot_traffic(profile)
    if count > MOST_FOLLOWED:
        tell(f"no sram_occupancy: the run has {count:,} operations, more than the {MOST_FOLLOWED:,} it is counted of")
    elif count:
        drawn["sram_occupancy"] = plot_occupancy(profile, count_occupancy(profile, program, events))
        if drawn["sram_occupancy"] is None:
            tell("no sram_occupancy: no operation reads what another has written to an SRAM")
    return {name: figure for name, figure in drawn.items() if figure is not None}


def count_occupancy(profile: Profile, program: Program, events: Events | None = None) -> Occupancy:
    """What the SRAMs hold over time.

    Parameters
    ----------
    profile : Profile
    program : Program
    events : EVENT[operations], optional
        All of a frame, in order of completion; gone through once more where left out.
    """
    counter = OccupancyCounter(program, profile.cycles)
    if events is None:
        hand_over(program, counter)
    else:
        counter(events)
    return counter.finish()


def find_zoom(profile: Profile, program: Program, wish: ZoomWish, events: Events | None = None) -> Zoom:
    """The cycles to be shown.

    Parameters
    ----------
    profile : Profile
    program : Program
    wish : ZoomWish
    events : EVENT[operations], optional
        All of a frame; the run is gone through anew where left out.

    Raises
    ------
    InputError
        Cycles, a layer or a step that the run does not have.
    """
    if wish.cycles is not None:
        first, last = wish.cycles
        if not 0 <= first < last <= profile.cycles:
            raise InputError("--zoom", "", f"found {first}:{last}", f"cycles of the run, within 0:{profile.cycles}")
        return Zoom(first, last)
    layer = wish.layer or busiest_layer(program, profile)
    executions = Executions(program)
    _go_through(program, executions, events)
    window = StepWindow(find_steps(program, executions.counts, layer), wish.step or 0)
    _go_through(program, window, events)
    first, last = window.window
    name = text_by_name([one.name for one in program.layers])[layer]
    return Zoom(first, last, f"time step {wish.step or 0:,} of {name}", frozenset(window.operations))


def draw_zoom(
    profile: Profile, program: Program, wish: ZoomWish, events: Events | None, tell: Callable[[str], None]
) -> Figure | None:
    """The figure of a stretch of the run, of which alone operations are held; None where there are too many, or none.

    Parameters
    ----------
    profile : Profile
    program : Program
    wish : ZoomWish
    events : EVENT[operations] or None
        All of a frame; the run is gone through anew where left out.
    tell : callable
        Is told why there is none.

    Raises
    ------
    InputError
        As `find_zoom` raises it.
    """
    zoom = find_zoom(profile, program, wish, events)
    kept = Kept(zoom.first, zoom.last, MOST_DRAWN)
    _go_through(program, kept, events)
    if not 0 < kept.count <= MOST_DRAWN:
        tell(f"no unit_timeline_zoom: cycles {zoom.first:,} to {zoom.last:,} have {kept.count:,} operations")
        return None
    return plot_zoom(profile, program, kept.events, zoom)


def _go_through(program: Program, take: Callable[[Events], None], events: Events | None) -> None:
    if events is None:
        hand_over(program, take)
    else:
        take(events)
