"""Bytes as the engine reads them: weight tiles, parameter blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.chip.model import Mac
from accelsim.fixedpoint import INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN
from accelsim.isa import opcodes
from accelsim.quant.model import Requantizer


def tile_bytes(columns: int, mac: Mac) -> int:
    """Bytes of a row tile's weights: the array's height, and columns in whole blocks."""
    return mac.rows * align(columns, mac.weight_block_columns)


def weights_bytes(rows: int, columns: int, mac: Mac) -> int:
    """Bytes of a product's weights, in whole row tiles."""
    return -(-rows // mac.rows) * tile_bytes(columns, mac)


def align(address: int, unit: int) -> int:
    """The first multiple of `unit` not below `address`."""
    return -(-address // unit) * unit


def pack_weights(weights: NDArray[np.int8], mac: Mac) -> bytes:
    """Row tiles of the array's height, each column by column.

    Parameters
    ----------
    weights : int8[rows, columns]
    mac : Mac
        The matrix unit.

    Returns
    -------
    bytes
        `weights_bytes` of them: byte ``tile * tile_bytes + column * mac.rows + row``, zeros for padding.
    """
    rows, columns = weights.shape
    stored = align(columns, mac.weight_block_columns)
    padded = np.zeros((align(rows, mac.rows), stored), dtype=np.int8)
    padded[:rows, :columns] = weights
    return padded.reshape(-1, mac.rows, stored).transpose(0, 2, 1).tobytes()


class Packer:
    """`pack_weights` of matrices one below the other, done once for each: programs of one graph have them in common.

    Parameters
    ----------
    mac : Mac
    """

    def __init__(self, mac: Mac) -> None:
        self.mac = mac
        # By the identity of the matrices, which are kept so that it lasts.
        self._packed: dict[tuple[int, ...], tuple[tuple[NDArray[np.int8], ...], bytes]] = {}

    @property
    def form(self) -> tuple[int, int]:
        """All of the matrix unit that packing depends on."""
        return self.mac.rows, self.mac.weight_block_columns

    def __call__(self, *matrices: NDArray[np.int8]) -> bytes:
        """int8[rows, columns] each, of equal columns; see `pack_weights`."""
        key = tuple(id(matrix) for matrix in matrices)
        if key not in self._packed:
            whole = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
            self._packed[key] = matrices, pack_weights(whole, self.mac)
        return self._packed[key][1]


def parameter_block(
    *,
    source: Requantizer | None = None,
    addend: Requantizer | None = None,
    output: Requantizer | None = None,
    zero_point: int = 0,
    low: int = INT16_MIN,
    high: int = INT16_MAX,
    channels: NDArray[np.float64] | None = None,
) -> bytes:
    """A vector instruction's parameter block, with its per-channel factors behind it.

    Parameters
    ----------
    source, addend, output : Requantizer, optional
        Factors of the three requantization stages.
    zero_point, low, high : int
        Added at the end, and the range clamped to.
    channels : float64[length], optional
        Factors for `requantize = real`.
    """
    none = Requantizer(0, 0)
    source, addend, output = source or none, addend or none, output or none
    block = bytearray(opcodes.PARAM_BYTES)
    for offset, multiplier in (
        (opcodes.PARAM_SOURCE_MULTIPLIER, source.multiplier),
        (opcodes.PARAM_ADDEND_MULTIPLIER, addend.multiplier),
        (opcodes.PARAM_OUTPUT_MULTIPLIER, output.multiplier),
    ):
        block[offset : offset + 4] = multiplier.to_bytes(4, "little", signed=True)
    for offset, shift in (
        (opcodes.PARAM_SOURCE_SHIFT, source.shift),
        (opcodes.PARAM_ADDEND_SHIFT, addend.shift),
        (opcodes.PARAM_OUTPUT_SHIFT, output.shift),
    ):
        block[offset : offset + 1] = shift.to_bytes(1, "little", signed=True)
    for offset, value in (
        (opcodes.PARAM_ZERO_POINT, zero_point),
        (opcodes.PARAM_LOW, low),
        (opcodes.PARAM_HIGH, high),
    ):
        block[offset : offset + 2] = value.to_bytes(2, "little", signed=True)
    return bytes(block) + (b"" if channels is None else channels.astype("<f8").tobytes())


def int8_block(**factors: Any) -> bytes:
    """A parameter block whose result is int8; arguments as `parameter_block`'s."""
    return parameter_block(low=INT8_MIN, high=INT8_MAX, **factors)
