"""Colours that tell apart in print and without colour vision.

Source: M. Okabe and K. Ito, "Color Universal Design" (2008), the palette of eight.
"""

from __future__ import annotations

from collections.abc import Sequence

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"

CAUSE_STYLE = {
    "matrix": (BLUE, ""),
    "vector": (SKY, ""),
    "latency": (YELLOW, "...."),
    "dram": (ORANGE, "////"),
    "sequencer": (GREY, "\\\\\\\\"),
}
"""Colour and hatching of each cause: work is plain, waiting is hatched."""

COMPONENT_STYLE = {
    "mac": (BLUE, ""),
    "vector": (SKY, ""),
    "weights_sram": (GREEN, "////"),
    "activations_sram": (YELLOW, "...."),
    "accumulators_sram": (PURPLE, "\\\\\\\\"),
    "parameters_sram": (GREY, "xxxx"),
    "dram": (ORANGE, "----"),
    "leakage": (VERMILION, "oo"),
}
"""Colour and hatching of each component of the energy: compute is plain, memories are hatched."""

OUTSIDE_COLOUR = "#BBBBBB"
"""For instructions of no layer."""

OUTSIDE_STYLE = OUTSIDE_COLOUR, ""

_LAYERS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)


def layer_colours(count: int) -> Sequence[str]:
    """A colour a layer: distinct ones for a few, else from dark to light in the order of the layers."""
    if count <= len(_LAYERS):
        return _LAYERS[:count]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    ramp = colormaps["viridis"]
    return [to_hex(ramp(index / (count - 1))) for index in range(count)]


_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "||||")


def layer_styles(count: int) -> Sequence[tuple[str, str]]:
    """A colour and hatching a layer; of layers that follow each other both differ."""
    return [(colour, _HATCHES[at % len(_HATCHES)]) for at, colour in enumerate(layer_colours(count))]
