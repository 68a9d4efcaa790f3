"""Loads, stores and the one DRAM bus; cycles by hand.

Rows are (unit, instruction, dispatched, started, issued, done): a load's start is its first request, its last issue
the last SRAM beat. A request of n bytes in cycle t has the bus from t, or from when it is free, for n / 4 cycles, to a
time e. Read data can land 5 cycles after e rounded up; written data is in DRAM 3 cycles after. SRAM beats move 8 bytes;
what they write, and what a store sends, takes 2 cycles more.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.isa.opcodes import Unit
from tests.support.tiny import LD, MX, ST, VX, trace


def load(row_bytes: int, more: str = "", *, rows: int = 1, dram: int = 0, sram: int = 0) -> str:
    return (
        f"load memory=activations source=[{dram}] destination=[{sram}] row_bytes={row_bytes} rows={rows} {more}"
    ).strip()


def store(row_bytes: int, more: str = "", *, rows: int = 1, dram: int = 256, sram: int = 0) -> str:
    return (
        f"store memory=activations source=[{sram}] destination=[{dram}] row_bytes={row_bytes} rows={rows} {more}"
    ).strip()


LATE_SIGNAL = "\nloop count=13 {\nnop\n}\nsignal semaphore=s1 amount=1"
"""Behind two instructions: loop in 2, nops in 3-15, the signal in 16, seen in 17."""


def test_a_load() -> None:
    result = trace(load(4))
    # request in 1, bus 1 to 2, data from 2 + 5 = 7, written in 9
    assert result.rows == [(LD, 0, 0, 1, 7, 9)]
    assert result.cycles == 10
    assert result.states(Unit.LOAD) == {"IDLE": 1 + 2, "DRAM": 6, "BUSY": 1}
    assert result.run.counters.traffic[0, :3].tolist() == [0, 4, 0]


def test_a_load_of_a_whole_burst() -> None:
    # bus 1 to 5, data from 10, two beats of 8 bytes: 10 and 11
    assert trace(load(16)).rows == [(LD, 0, 0, 1, 11, 13)]


def test_a_burst_ends_at_a_multiple_of_its_size() -> None:
    result = trace(load(40, dram=8))
    # 8 bytes (8-15): request 1, bus 1-3, data from 8, beat 8, buffer free in 9
    # 16 bytes (16-31): request 2, bus 3-7, data from 12, beats 12 and 13
    # 16 bytes (32-47): two are under way until 8, so request 9, bus 9-13, data from 18, beats 18 and 19
    assert result.rows == [(LD, 0, 0, 1, 19, 21)]
    assert result.states(Unit.LOAD) == {"IDLE": 1 + 2, "BUSY": 5, "DRAM": 14}
    assert result.run.events is not None
    assert result.run.events["dram"].tolist() == [6]  # its front waits for a buffer from 3 to 8


def test_more_bursts_under_way() -> None:
    # as before, but the third request goes out in 3: bus 7-11, data from 16, beats 16 and 17
    assert trace(load(40, dram=8), dram__outstanding_bursts=3).rows == [(LD, 0, 0, 1, 17, 19)]


def test_one_burst_under_way() -> None:
    # 9 first; then request 9, bus 9-13, data from 18, 18 and 19, free in 20; request 20, bus 20-24, 29 and 30
    assert trace(load(40, dram=8), dram__outstanding_bursts=1).rows == [(LD, 0, 0, 1, 30, 32)]


RATES = [
    # bytes a cycle; three loads of n bytes, requests in 1, 2, 3; last landing beat of each
    # 4 bytes take 8/3 cycles: bus to 11/3, 19/3, 27/3 = 9; rounded up 4, 7, 9
    (1.5, 4, [9, 12, 14]),
    # 1 byte takes 10/3 cycles: bus to 13/3, 23/3, 33/3 = 11; rounded up 5, 8, 11
    (0.3, 1, [10, 13, 16]),
    # 4 bytes take 4/3: bus to 7/3, 11/3, 15/3 = 5; rounded up 3, 4, 5
    (3, 4, [8, 9, 10]),
    # 4 bytes take 1/4: each has the bus at once: 5/4, 9/4, 13/4; rounded up 2, 3, 4
    (16, 4, [7, 8, 9]),
    # 4 bytes take 4 x 1024/1023: bus to 1 + k x 4096/1023, just past 5, 9, 13
    (1023 / 1024, 4, [11, 15, 19]),
]


@pytest.mark.parametrize(("rate", "size", "landed"), RATES)
def test_the_bus_is_exact_for_any_rational_rate(rate: float, size: int, landed: list[int]) -> None:
    code = "\n".join(load(size, dram=16 * k, sram=16 * k) for k in range(3))
    result = trace(code, dram__bytes_per_cycle=rate, dram__outstanding_bursts=4)
    assert result.rows == [(LD, k, k, k + 1, cycle, cycle + 2) for k, cycle in enumerate(landed)]


def test_no_read_latency() -> None:
    # bus 1 to 2; data from 2
    assert trace(load(4), dram__read_latency_cycles=0).rows == [(LD, 0, 0, 1, 2, 4)]


def test_rows_are_transfers_of_their_own() -> None:
    # rows at 0 and 24: requests 1 and 2, bus 1-3 and 3-5, data from 8 and 10
    code = load(8, "source_pitch=24 destination_pitch=8", rows=2)
    assert trace(code).rows == [(LD, 0, 0, 1, 10, 12)]


def test_a_row_across_a_burst_is_two_requests() -> None:
    # rows 0-11 and 12-23: bursts of 12, 4 (12-15) and 8 (16-23). Requests 1 and 2: bus 1-4 and 4-5, data from 9 and 10;
    # beats 9, 10 (12 bytes are two), then 11; buffer of the first free in 11: request 11, bus 11-13, data from 18
    code = load(12, "source_pitch=12 destination_pitch=12", rows=2)
    assert trace(code).rows == [(LD, 0, 0, 1, 18, 20)]


def test_loads_overlap() -> None:
    assert trace(load(4) + "\n" + load(4, dram=16, sram=4)).rows == [(LD, 0, 0, 1, 7, 9), (LD, 1, 1, 2, 8, 10)]


def test_data_waits_while_data_before_it_lands() -> None:
    # bus 1-5 and 5-6, data from 10 and 11; the first lands in 10 and 11, so the second in 12
    assert trace(load(16) + "\n" + load(4, dram=16, sram=32)).rows == [(LD, 0, 0, 1, 11, 13), (LD, 1, 1, 2, 12, 14)]


ALIGNMENTS: list[tuple[int, int, dict[str, Any], int]] = [
    # SRAM address, bytes, chip, passes of all landing beats
    (0, 8, {}, 1),
    (2, 8, {}, 1),  # 3 words in 3 banks
    (0, 8, {"sram__activations__banks": 1}, 2),
    (2, 8, {"sram__activations__banks": 1}, 3),
    (3, 2, {"sram__activations__banks": 1}, 2),  # straddles
    (2, 8, {"sram__activations__banks": 2}, 2),  # words 0, 1, then 2
    (0, 16, {"sram__activations__banks": 2}, 2),
    (0, 5, {"dma__sram_bytes_per_cycle": 2}, 3),
]


@pytest.mark.parametrize(("address", "size", "changes", "passes"), ALIGNMENTS)
def test_beats_of_the_sram_side(address: int, size: int, changes: dict[str, Any], passes: int) -> None:
    landing = 1 + -(-size // 4) + 5
    result = trace(load(size, sram=address), **changes)
    assert result.rows == [(LD, 0, 0, 1, landing + passes - 1, landing + passes + 1)]
    result = trace(store(size, sram=address), **changes)
    # beats from 1 on; bus 2 cycles after the last; 3 cycles late
    assert result.rows == [(ST, 0, 0, 1, passes, passes + 2 + -(-size // 4) + 3)]


def test_a_sync_waits_for_the_loads_before_it() -> None:
    # its front half passes in 2; its beat comes after the load's in 7
    result = trace(load(4) + "\nsync unit=load signal=s1\nsync unit=matrix wait=s1")
    assert result.rows == [(LD, 0, 0, 1, 7, 9), (LD, 1, 1, 2, 8, 10), (MX, 2, 2, 11, 11, 14)]


def test_a_sync_takes_no_buffer() -> None:
    code = load(4) + "\nsync unit=load\n" + load(4, dram=16, sram=4)
    # one request under way: the third waits for the first's buffer, free in 8, not for the sync
    assert trace(code, dram__outstanding_bursts=1).rows == [
        (LD, 0, 0, 1, 7, 9),
        (LD, 1, 1, 2, 8, 10),
        (LD, 2, 2, 8, 14, 16),
    ]


def test_rows_of_a_load_wait_and_signal_one_by_one() -> None:
    code = "\n".join(
        [
            load(8, "source_pitch=8 destination_pitch=8 wait=s1* signal=s2*", rows=2),
            "sync unit=vector wait=s2*",
            "signal semaphore=s1 amount=1",
            "sync unit=vector wait=s2*",
            "nop\nnop",
            "signal semaphore=s1 amount=1",
        ]
    )
    # s1 in 3 and 7: requests 3 and 7, bus 3-5 and 7-9, beats 10 and 14, written 12 and 16, seen 2 later
    assert trace(code).rows == [(LD, 0, 0, 3, 14, 16), (VX, 1, 1, 14, 14, 18), (VX, 3, 3, 18, 18, 22)]


def test_a_load_waiting_behind_data_under_way() -> None:
    code = load(4) + "\n" + load(4, "wait=s1", dram=16, sram=4) + LATE_SIGNAL
    # request 17, bus 17-18, data from 23
    result = trace(code)
    assert result.rows == [(LD, 0, 0, 1, 7, 9), (LD, 1, 1, 17, 23, 25)]
    # data under way 1-6 and 17-22, beats 7 and 23, waiting 8-16; then 24 and 25 without instruction
    assert result.states(Unit.LOAD) == {"IDLE": 1 + 2, "DRAM": 12, "BUSY": 2, "SEMAPHORE": 9}


def test_landing_is_busy_whatever_the_front_half_does() -> None:
    # Requests go out in 1-6, a row of 4 bytes each; bus from 1 to 7, so that data is there from 7 - 5 + 1 = 3 on with
    # read latency 1: landing beats in 3-8, while requests still go out.
    code = load(4, "source_pitch=4 destination_pitch=4", rows=6)
    result = trace(code, dram__read_latency_cycles=1, dram__outstanding_bursts=8)
    assert result.rows == [(LD, 0, 0, 1, 8, 10)]
    assert result.states(Unit.LOAD) == {"IDLE": 1 + 2, "DRAM": 2, "BUSY": 6}


# --- stores -------------------------------------------------------------------------------------------------------


def test_a_store() -> None:
    result = trace(store(4))
    # beat 1, bus 3 to 4, in DRAM in 4 + 3
    assert result.rows == [(ST, 0, 0, 1, 1, 7)]
    assert result.cycles == 8
    assert result.states(Unit.STORE) == {"IDLE": 1, "BUSY": 1, "DRAM": 6}
    assert result.run.counters.traffic[1, :5].tolist() == [0, 0, 0, 4, 0]


def test_a_store_of_a_whole_burst() -> None:
    # beats 1 and 2, bus 4 to 8
    assert trace(store(16)).rows == [(ST, 0, 0, 1, 2, 11)]


def test_bursts_of_a_store() -> None:
    # beats 1, 2: bus 4 to 8, done in 11; beats 3, 4: asks in 6, bus 8 to 12
    assert trace(store(32)).rows == [(ST, 0, 0, 1, 4, 15)]
    # 24-31, then 32-39 (DRAM 264 is 8 past a multiple of 16): beat 1, bus 3-5; beat 2, bus 5-7
    assert trace(store(16, dram=264)).rows == [(ST, 0, 0, 1, 2, 10)]


def test_a_store_waits_for_its_buffer() -> None:
    result = trace(store(32), dram__outstanding_bursts=1)
    # the first burst is in DRAM in 11, its buffer free in 12: beats 12, 13, bus 15 to 19
    assert result.rows == [(ST, 0, 0, 1, 13, 22)]
    assert result.states(Unit.STORE) == {"IDLE": 1, "BUSY": 4, "DRAM": 9 + 9}
    assert result.run.events is not None
    assert result.run.events["dram"].tolist() == [9]  # 3-11


def test_no_write_latency() -> None:
    assert trace(store(4), dram__write_latency_cycles=0).rows == [(ST, 0, 0, 1, 1, 4)]


def test_rational_rates_for_stores() -> None:
    # 4 bytes take 8/3: asks in 3, 4, 5; bus to 17/3, 25/3, 33/3 = 11: rounded up 6, 9, 11
    code = "\n".join(store(4, dram=256 + 16 * k) for k in range(3))
    result = trace(code, dram__bytes_per_cycle=1.5, dram__outstanding_bursts=4)
    assert result.rows == [(ST, 0, 0, 1, 1, 9), (ST, 1, 1, 2, 2, 12), (ST, 2, 2, 3, 3, 14)]


def test_a_sync_waits_for_the_stores_before_it() -> None:
    result = trace(store(4) + "\nsync unit=store signal=s1\nsync unit=matrix wait=s1")
    # its beat is in 2, its latency over in 4; but the store is in DRAM in 7
    assert result.rows == [(ST, 0, 0, 1, 1, 7), (ST, 1, 1, 2, 2, 7), (MX, 2, 2, 8, 8, 11)]


def test_rows_of_a_store_wait_and_signal_one_by_one() -> None:
    code = "\n".join(
        [
            store(4, "source_pitch=4 destination_pitch=4 wait=s1* signal=s2*", rows=2),
            "sync unit=vector wait=s2*",
            "signal semaphore=s1 amount=1",
            "sync unit=vector wait=s2*",
            "nop\nnop",
            "signal semaphore=s1 amount=1",
        ]
    )
    # s1 in 3 and 7: beats 3 and 7, bus 5-6 and 9-10, in DRAM in 9 and 13, seen 2 later
    assert trace(code).rows == [(ST, 0, 0, 3, 7, 13), (VX, 1, 1, 11, 11, 15), (VX, 3, 3, 15, 15, 19)]


def test_a_store_waiting_behind_data_under_way() -> None:
    code = store(4) + "\n" + store(4, "wait=s1", dram=260) + LATE_SIGNAL
    result = trace(code)
    # s1 is seen in 17: beat 17, bus 19-20, done in 23
    assert result.rows == [(ST, 0, 0, 1, 1, 7), (ST, 1, 1, 17, 17, 23)]
    # beats 1 and 17; data under way 2-7 and 18-23; waiting 8-16
    assert result.states(Unit.STORE) == {"IDLE": 1, "BUSY": 2, "DRAM": 12, "SEMAPHORE": 9}


# --- one bus ------------------------------------------------------------------------------------------------------


def test_a_write_waits_for_a_read() -> None:
    # LD's bus 1-5. ST's beat in 2, asks in 4, has the bus 5-6, done in 9.
    assert trace(load(16, sram=32) + "\n" + store(4)).rows == [(LD, 0, 0, 1, 11, 13), (ST, 1, 1, 2, 2, 9)]


def test_a_read_waits_for_a_write() -> None:
    # ST's beats in 1 and 2, bus 4-8. LD's request in 5 (four nops), bus 8-9, data from 14.
    code = store(16) + "\nnop\nnop\nnop\n" + load(4, sram=32)
    assert trace(code).rows == [(ST, 0, 0, 1, 2, 11), (LD, 4, 4, 5, 14, 16)]


def test_a_write_asks_before_a_read_in_the_same_cycle() -> None:
    # both ask in 3: ST has the bus 3-4, LD 4-5
    code = store(4) + "\nnop\n" + load(4, sram=32)
    assert trace(code).rows == [(ST, 0, 0, 1, 1, 7), (LD, 2, 2, 3, 10, 12)]


def test_buffers_are_each_dmas_own() -> None:
    code = load(4, sram=32) + "\n" + store(4)
    # one request of each under way at a time: LD 1-7, ST 2-8
    assert trace(code, dram__outstanding_bursts=1).rows == [(LD, 0, 0, 1, 7, 9), (ST, 1, 1, 2, 2, 8)]


# --- values at their cycle ----------------------------------------------------------------------------------------


def test_dram_is_read_in_the_cycle_of_the_request() -> None:
    """A store behind a load in program order may overwrite what the load reads as soon as the request is out."""
    code = "\n".join(
        [
            load(4, "signal=s2,s3", dram=16, sram=64),
            load(4, "wait=s3 signal=s1", sram=32),
            store(4, "wait=s2", dram=0, sram=64),
            store(4, "wait=s1", sram=32),
        ]
    )
    result = trace(code, content=bytes([1, 2, 3, 4]), check_hazards=True, dram__read_latency_cycles=39)
    assert result.rows == [
        (LD, 0, 0, 1, 41, 43),
        (LD, 1, 1, 44, 84, 86),  # request in 44, bus 44-45, data from 45 + 39
        (ST, 2, 2, 44, 44, 50),  # bus 46-47: overwrites what the load is reading
        (ST, 3, 3, 87, 87, 93),
    ]
    assert result.run.output[:4].tolist() == [1, 2, 3, 4]
