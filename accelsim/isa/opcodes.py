"""Numbers of the instruction set, for code that runs too often to look names up.

Generated from isa/isa.toml by `python -m accelsim.isa.generate`; do not edit.
"""

from __future__ import annotations

from enum import IntEnum

ISA_NAME = "RNE"
ISA_VERSION = 2
WORD_BITS = 288
LOOP_LEVELS = 4
ADDRESS_REGISTERS = 32
GUARD_REGISTERS = 16
SEMAPHORES = 128


class Op(IntEnum):
    """Opcodes."""

    NOP = 0
    HALT = 1
    LOOP = 2
    ADDRESS = 3
    GUARD = 4
    SIGNAL = 5
    FRAME = 7
    SYNC = 6
    LOAD = 8
    STORE = 9
    MATMUL = 16
    VECTOR = 24


class Memory(IntEnum):
    """The SRAMs."""

    WEIGHTS = 0
    ACTIVATIONS = 1
    ACCUMULATORS = 2
    PARAMETERS = 3


class Unit(IntEnum):
    """The units with a queue of their own, and the sequencer."""

    LOAD = 0
    MATRIX = 1
    VECTOR = 2
    STORE = 3
    SEQUENCER = 4


class Start(IntEnum):
    """What a matrix product's sums start from."""

    ZERO = 0
    BIAS = 1
    ACCUMULATE = 2


class Source(IntEnum):
    """Type of a vector instruction's source."""

    NONE = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3


class Requantize(IntEnum):
    """How a vector instruction's source is scaled."""

    NONE = 0
    SCALAR = 1
    CHANNEL = 2
    REAL = 3


class Addend(IntEnum):
    """What a vector instruction adds before its activation."""

    NONE = 0
    INT16 = 1
    INT32 = 2


class Activation(IntEnum):
    """Functions of the vector unit's table stage."""

    NONE = 0
    SIGMOID = 1
    TANH0 = 2
    TANH1 = 3
    TANH2 = 4
    TANH3 = 5
    TANH4 = 6
    TANH5 = 7
    TANH6 = 8
    SIGMOID_COMPLEMENT = 9
    RELU = 10
    COMPLEMENT = 11


class Destination(IntEnum):
    """Type of a vector instruction's result."""

    INT8 = 1
    INT16 = 2


class Place(IntEnum):
    """Where in the vector unit a vector instruction takes a wait."""

    FIRST = 0
    ADDEND = 1
    FACTOR = 2
    TERM = 3
    LAST = 4


# Columns of `codec.table`.
COL_OPCODE = 0
COL_GUARD = 1
COL_WAIT0 = 2
COL_WAIT0_EACH = 3
COL_WAIT1 = 4
COL_WAIT1_EACH = 5
COL_WAIT2 = 6
COL_WAIT2_EACH = 7
COL_SIGNAL0 = 8
COL_SIGNAL0_EACH = 9
COL_SIGNAL1 = 10
COL_SIGNAL1_EACH = 11
COL_SIGNAL2 = 12
COL_SIGNAL2_EACH = 13
COL_COUNT = 14
COL_LENGTH = 15
COL_REGISTER = 16
COL_BASE = 17
COL_PHASE = 18
COL_WRAP = 19
COL_STRIDE0 = 20
COL_STRIDE1 = 21
COL_STRIDE2 = 22
COL_STRIDE3 = 23
COL_LEVEL = 24
COL_LOW = 25
COL_HIGH = 26
COL_SEMAPHORE = 27
COL_AMOUNT = 28
COL_UNIT = 29
COL_MEMORY = 30
COL_ROW_BYTES = 31
COL_ROWS = 32
COL_SOURCE_PITCH = 33
COL_DESTINATION_PITCH = 34
COL_SOURCE_REGISTER = 35
COL_SOURCE_OFFSET = 36
COL_DESTINATION_REGISTER = 37
COL_DESTINATION_OFFSET = 38
COL_START = 39
COL_COLUMNS = 40
COL_EXTRA_VECTORS = 41
COL_WEIGHTS_REGISTER = 42
COL_WEIGHTS_OFFSET = 43
COL_INPUT_REGISTER = 44
COL_INPUT_OFFSET = 45
COL_ACCUMULATORS_REGISTER = 46
COL_ACCUMULATORS_OFFSET = 47
COL_BIAS_REGISTER = 48
COL_BIAS_OFFSET = 49
COL_SOURCE_TYPE = 50
COL_REQUANTIZE = 51
COL_ADDEND_TYPE = 52
COL_ACTIVATION = 53
COL_MULTIPLY = 54
COL_SHIFT = 55
COL_ACCUMULATE = 56
COL_OUTPUT_REQUANTIZE = 57
COL_DESTINATION_TYPE = 58
COL_WAIT0_AT = 59
COL_WAIT1_AT = 60
COL_WAIT2_AT = 61
COL_KEEP = 62
COL_ADDEND_REGISTER = 63
COL_ADDEND_OFFSET = 64
COL_FACTOR_REGISTER = 65
COL_FACTOR_OFFSET = 66
COL_TERM_REGISTER = 67
COL_TERM_OFFSET = 68
COL_KEPT_REGISTER = 69
COL_KEPT_OFFSET = 70
COL_PARAMETERS_REGISTER = 71
COL_PARAMETERS_OFFSET = 72
COLUMNS = 73

# Byte offsets in a vector instruction's parameter block.
PARAM_SOURCE_MULTIPLIER = 0
PARAM_ADDEND_MULTIPLIER = 4
PARAM_OUTPUT_MULTIPLIER = 8
PARAM_SOURCE_SHIFT = 12
PARAM_ADDEND_SHIFT = 13
PARAM_OUTPUT_SHIFT = 14
PARAM_ZERO_POINT = 16
PARAM_LOW = 18
PARAM_HIGH = 20
PARAM_BYTES = 32
