"""Where the engine's state lies in its one array of integers.

All that can change in a run is in one int64 array, `s`; what the chip fixes is in `c`, what the program fixes in `p`.
So a compiled function has few arguments, a state can be copied, compared and grown as a whole, and a run can stop and
go on. The names here are places in these arrays. Absolute cycles are in `s` as they are, `NEVER` where nothing is due.

Rings hold entries by their running number, entry i at ``i % capacity``; a cursor is such a running number. When one
of them is nearly full the run returns, the driver doubles the capacity of all, and the run goes on.
"""

from __future__ import annotations

from accelsim.isa import opcodes as isa

NEVER = 1 << 60
LONG_AGO = -(1 << 40)

UNITS = 5
REASONS = 7
CAUSES = 5
LONG_STREAM = 8
"""Bursts that have to be left of a row for it to be worth a look whether they repeat."""
SPARE = 8
"""Entries that one cycle can add to a ring, at most."""

# --- s: one number each -------------------------------------------------------------------------------------------
(
    NOW,
    STATUS,
    CAPACITY,
    PENDING,
    LAST_DONE,
    LAST_SEEN,
    FRAME_START,
    HALT_AT,
    BUS_FREE,
    CAUSE_SINCE,
    FAULT_INDEX,
    PC,
    DEPTH,
    SEQUENCE,
    SEQ_WAITS,
    PROGRAM_READ,
    LOAD_BUFFERS,
    STORE_BUFFERS,
    STORE_DONE,
    LOOPED,
    SKIPPED,
    ACTIVITY,
    BIN_CYCLES,
    LOG_SIZE,
    LOG_READ,
    LOG_WRITE,
    LOG_OPEN,
    EVENT_COUNT,
    KEEP_EVENTS,
    STEADY,
    GROW,
    CAUSE,
    CAUSE_ROW,
    VISITED,
    REQUESTED,
    STREAM_KEPT,
    STATE_COUNT,
) = range(37)
USED = 37
"""Banks taken in this cycle, a mask a memory."""

NO_EVENTS, ALL_EVENTS, FRAME_EVENTS = range(3)
"""Values of KEEP_EVENTS; the last is for those from the frame on, since what is handed on can't be taken back."""
RUNNING, DONE, DEADLOCK, GROWING, EVENTS_FULL, OUT_OF_RANGE, RAN_OFF, TOO_DEEP, PAUSED = range(9)
"""Values of STATUS."""

# --- s: small tables ----------------------------------------------------------------------------------------------
LOOP = USED + 4
"""A loop a level: first instruction, the one behind it, turns, turns done, how many turns apart may be alike (0: none),
and whether no state of it is kept yet."""
LOOP_SIZE = 6
L_START, L_END, L_COUNT, L_COUNTER, L_APART, L_FRESH = range(LOOP_SIZE)
REGISTER = LOOP + LOOP_SIZE * isa.LOOP_LEVELS
"""An address register: base, phase, wrap, a stride a level, and the instruction that defined it."""
REGISTER_SIZE = 4 + isa.LOOP_LEVELS
R_BASE, R_PHASE, R_WRAP, R_STRIDE, R_MADE_BY = 0, 1, 2, 3, 3 + isa.LOOP_LEVELS
GUARD = REGISTER + REGISTER_SIZE * isa.ADDRESS_REGISTERS
GUARD_SIZE = 3
SEMAPHORE = GUARD + GUARD_SIZE * isa.GUARD_REGISTERS
PLACES = SEMAPHORE + isa.SEMAPHORES
"""Free places in each unit's queue."""
STATE = PLACES + 4
"""What each unit does: reason, layer, since when."""
STATE_SIZE = 3
TOLD = STATE + STATE_SIZE * UNITS
"""What was said last of what each unit does, where it is kept: reason, layer."""
TOLD_SIZE = 2
TAIL = TOLD + TOLD_SIZE * UNITS
"""Cursors of each unit's ring of jobs: the next to be dispatched, issued to the end, closed, seen."""
ISSUED = TAIL + 4
CLOSED = ISSUED + 4
SEEN = CLOSED + 4
GIVE_HEAD = SEEN + 4
"""Cursors of the rings of counts under way: two a unit (completions, elements), one of the sequencer."""
GIVES = 9
GIVE_TAIL = GIVE_HEAD + GIVES
LAND_TAIL = GIVE_TAIL + GIVES
LAND_NEXT = LAND_TAIL + 1
LAND_LEFT = LAND_NEXT + 1
SEND_TAIL = LAND_LEFT + 1
SEND_NEXT = SEND_TAIL + 1
SEND_LEFT = SEND_NEXT + 1

# The two halves of the load DMA, and the store DMA: what they are at.
DMA = SEND_LEFT + 1
DMA_SIZE = 24
(
    D_JOB,
    D_BUSY,
    D_REASON,
    D_ASKED,
    D_WAITS,
    D_ROW,
    D_LEFT,
    D_DRAM,
    D_SRAM,
    D_SIZE,
    D_FIRST,
    D_PIECE,
    D_PASS,
    D_PASSES,
    D_FRESH,
    D_FRONT,
    D_FRONT_LAYER,
    D_BEAT,
    D_BEAT_LAYER,
    D_ASKS,
) = range(20)
STORE_DMA, LOAD_DMA, LANDING = DMA, DMA + DMA_SIZE, DMA + 2 * DMA_SIZE

DUE = DMA + 3 * DMA_SIZE
"""When something is due: of the actors, then of the rings. With n stages (the matrix unit's and the vector unit's)
the table has DUE_FIXED + 2 n entries."""
A_SEQUENCER, A_STORE, A_LOAD, A_LANDING = range(4)
K_GIVE = 4
K_CLOSE = K_GIVE + GIVES
K_SEEN = K_CLOSE + 4
K_SEND = K_SEEN + 4
K_STORE_LEAVE = K_SEND + 1
K_LOAD_LEAVE = K_STORE_LEAVE + 1
DUE_FIXED = K_LOAD_LEAVE + 1

# --- s: a stage of the matrix or vector unit ----------------------------------------------------------------------
(
    S_JOB,
    S_BUSY,
    S_REASON,
    S_ASKED,
    S_WAITS,
    S_NUMBER,
    S_FIRST,
    S_TILES,
    S_LEFT,
    S_VECTOR,
    S_COLUMN,
    S_TILE,
    S_ROW,
    S_SIZE,
    S_TAKES,
    S_GIVES,
    S_BEGINS,
    S_IS_LAST,
    S_WRITES,
    S_PASS,
    S_PASSES,
    S_READY,
    S_MACS,
    S_BEFORE,
    S_LAST_OUT,
    S_FREE,
    S_LAST,
    S_ISSUES,
    S_BETWEEN_HEAD,
    S_BETWEEN_TAIL,
    S_ASKS,
    S_BYTES,
) = range(32)
STAGE_SIZE = S_BYTES + 8
"""Behind S_BYTES: bytes read of each memory, then written."""

# --- entries of rings ---------------------------------------------------------------------------------------------
(
    J_INDEX,
    J_SEQUENCE,
    J_LAYER,
    J_VISIBLE,
    J_DISPATCHED,
    J_STARTED,
    J_ISSUED,
    J_DONE,
    J_SEEN,
    J_CALLED,
    J_WAITED,
    J_ADDRESS,
) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16)
"""Behind J_WAITED: busy, semaphore, dependency, bank, dram, as in `timing.record.EVENT`."""
ADDRESSES = 7
JOB_SIZE = J_ADDRESS + ADDRESSES
GIVE_SIZE = 3
G_CYCLE, G_TOKEN, G_AMOUNT = range(GIVE_SIZE)
LAND_SIZE = 6
B_JOB, B_CYCLE, B_SRAM, B_SIZE, B_FLAGS, B_DONE = range(LAND_SIZE)
"""A burst: of the load DMA B_CYCLE is its arrival; of the store DMA when it asks for the bus."""
LAST_OF_ROW, LAST = 1, 2

LOAD_BUFFER_TOKEN, STORE_BUFFER_TOKEN, BEFORE_TOKEN, NO_TOKEN = isa.SEMAPHORES, isa.SEMAPHORES + 1, -2, -1

LOG_CYCLE, LOG_STEP, LOG_BYTES, LOG_COUNT, LOG_IS_WRITE = range(5)
"""A record of the log of transfers: `count` of them of so many bytes, `step` cycles apart."""
LOG_FIELDS = 5
LOG_RECORDS = 1 << 16

# --- what is kept of a state ------------------------------------------------------------------------------------------
(
    M_SIZE,
    M_NOW,
    M_COUNTER,
    M_LOOKS,
    M_PATIENCE,
    M_LOG,
    M_LAST_DONE,
    M_LAST_SEEN,
    M_SEQUENCE,
    M_LEFT,
    M_SEMAPHORES,
) = range(11)
"""What is kept of a state: a row of `marks` a level, one for a stream; the last row is scratch. Behind M_TOTALS: the
counts, then the signature."""
M_TOTALS = M_SEMAPHORES + isa.SEMAPHORES
MARKS = isa.LOOP_LEVELS + 2

# --- c: what the chip fixes ---------------------------------------------------------------------------------------
(
    C_STAGES,
    C_DISPATCH,
    C_SEMAPHORE,
    C_HOP,
    C_WAKE,
    C_MAC_ROWS,
    C_MAC_COLUMNS,
    C_BATCH_COLUMNS,
    C_INTERVAL,
    C_BLOCK_COLUMNS,
    C_LANES,
    C_DMA_WIDTH,
    C_DMA_LATENCY,
    C_READ_LATENCY,
    C_WRITE_LATENCY,
    C_BURST,
    C_BUFFERS,
    C_RATE_UP,
    C_RATE_DOWN,
    C_BEATS_AHEAD,
    C_BEAT_CYCLES,
    C_INSTRUCTION_CYCLES,
    C_PROGRAM_BYTES,
    C_LAYERS,
    C_INSTRUCTIONS,
    C_MARK_SIZE,
    C_EVENTS,
    C_STATES,
    C_DEPTH,
) = range(29)
C_BANKS = C_DEPTH + 4
C_WORD = C_BANKS + 4
C_CONFLICT_FREE = C_WORD + 4
C_BANK_BITS = C_CONFLICT_FREE + 4
"""banks - 1 and log2(word_bytes) where these are powers of two; else -1."""
C_WORD_SHIFT = C_BANK_BITS + 4
# Where the parts of `s` lie whose size depends on the chip, the program or the capacity.
(
    O_STAGE,
    O_BETWEEN,
    O_ISSUES,
    O_PASSES,
    O_PASSES_SIZE,
    O_YOUNG,
    O_TOTALS,
    O_TOTALS_SIZE,
    O_TRAFFIC,
    O_JOBS,
    O_GIVES,
    O_LANDS,
    O_SENDS,
    O_UNIT_CYCLES,
    O_CAUSE_CYCLES,
    O_BYTES,
    O_ELEMENTS,
    O_MACS,
    O_OPERATIONS,
    O_SAVED,
    O_SAVED_SIZE,
    C_LATENCY,
) = range(C_WORD_SHIFT + 4, C_WORD_SHIFT + 26)
"""Behind C_LATENCY: latency and drain of each stage."""

# --- p: what the program fixes; the columns of `isa.table`, then these ----------------------------------------------
_BASE = 1 + max(value for name, value in vars(isa).items() if name.startswith("COL_"))
P_UNIT = _BASE
P_LAYER = P_UNIT + 1
P_WAIT_STAGE = P_LAYER + 1
"""The stage in which each of the three waits is taken."""
P_ADDEND_STAGE = P_WAIT_STAGE + 3
P_FACTOR_STAGE = P_ADDEND_STAGE + 1
P_TERM_STAGE = P_FACTOR_STAGE + 1
P_REGISTER = P_TERM_STAGE + 1
"""Register and offset of each operand, in the order of the instruction set; then what its address counts modulo."""
P_OFFSET = P_REGISTER + ADDRESSES
P_MODULUS = P_OFFSET + ADDRESSES
P_PERIOD = P_MODULUS + ADDRESSES
"""Of an `address`: after how many iterations, a level, what lies there is the same again for the banks and bursts."""
P_NEAR = P_PERIOD + isa.LOOP_LEVELS
P_ROOM = P_NEAR + isa.LOOP_LEVELS
"""The same where a loop has no more than P_ROOM iterations: it does not come to the ring's end then."""
P_WAITED = P_ROOM + isa.LOOP_LEVELS
"""The semaphores that an instruction waits for, those of a loop with all of its body: a bit each."""
WAITED_BITS = 32
WAITED_WORDS = isa.SEMAPHORES // WAITED_BITS
P_RANGES = P_WAITED + WAITED_WORDS
"""How many ranges are to be checked; then each: operand, its first byte, its end, the memory's size, alignment."""
RANGE_SIZE = 5
MOST_RANGES = 9
P_SIZE = P_RANGES + 1 + RANGE_SIZE * MOST_RANGES
