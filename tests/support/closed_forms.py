"""Programs as text on random chips whose memories never contend, for tests of closed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.isa import encode
from accelsim.isa.assembler import assemble
from accelsim.isa.opcodes import ISA_VERSION
from accelsim.isa.program import HostTensor, Program, Region
from accelsim.machine.reference import run_reference
from tests.support.tiny import frame, tiny_chip

SMALL = st.integers(1, 9)


@dataclass(frozen=True)
class Run:
    """A chip and what is run on it: (started, issued, done) of each instruction, and the cycles."""

    chip: Chip

    def __call__(self, *code: str) -> tuple[list[tuple[int, int, int]], int]:
        words = assemble("\n".join(code) + "\nhalt")
        io = 1 << 16
        program = Program(
            name="form",
            isa_version=ISA_VERSION,
            chip=self.chip,
            schedule="by hand",
            words=tuple(encode(word) for word in words),
            inputs=(HostTensor("x", "int8", (256,), (1.0,), 0, 0),),
            outputs=(HostTensor("y", "int8", (256,), (1.0,), 0, 256),),
            regions=(Region("io", "dram", 0, io),),
            layers=(),
            image=b"",
            image_address=0,
        )
        program.validate()
        run = run_reference(program, frame(), keep_events=True)
        if run.events is None:
            raise ValueError("no events were kept")
        events = sorted(run.events, key=lambda event: int(event["index"]))
        rows = [(int(event["started"]), int(event["issued"]), int(event["done"])) for event in events]
        return rows, run.counters.cycles


@st.composite
def wide_chips(draw: st.DrawFn, **fixed: Any) -> Run:
    """Chips whose memories have a word for all that a beat touches there, and a bank for each operand used here.

    `fixed` gives the values of keys, written as for `tiny_chip`, that are not to be drawn.
    """
    wide = {"banks": 64, "word_bytes": 1024, "capacity_bytes": 64 * 1024 * 8}
    memories = ("weights", "activations", "accumulators", "parameters")
    keys: dict[str, Any] = {f"sram__{name}__{key}": value for name in memories for key, value in wide.items()}
    keys |= {
        "sequencer__dispatch_cycles": draw(SMALL),
        "sequencer__semaphore_cycles": draw(SMALL),
        "mac__rows": draw(SMALL),
        "mac__columns": draw(SMALL),
        "mac__latency_cycles": draw(SMALL),
        "vector__lanes": draw(SMALL),
        "vector__latency_cycles": draw(SMALL),
        "chaining__hop_cycles": draw(SMALL),
        "dma__sram_bytes_per_cycle": draw(st.sampled_from([1, 3, 8, 64])),
        "dma__latency_cycles": draw(SMALL),
        "dram__capacity_bytes": 1 << 16,
        "dram__bytes_per_cycle": draw(st.sampled_from([0.3, 0.5, 1, 1.5, 4, 7, 100])),
        "dram__read_latency_cycles": draw(st.integers(0, 30)),
        "dram__write_latency_cycles": draw(st.integers(0, 30)),
        "dram__burst_bytes": 1 << 16,
        "dram__outstanding_bursts": draw(SMALL),
    }
    return Run(tiny_chip(**(keys | fixed)))
