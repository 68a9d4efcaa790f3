"""The harness: what it measures is what was used, and the page says what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from accelsim.isa.files import read_program
from tests.benchmarks.host import machine, versions
from tests.benchmarks.measure import Measured, ProcessFailed, Spread, repeated, run_process
from tests.benchmarks.page import data, number, page, spread_text
from tests.benchmarks.peers.catalogue import PEERS
from tests.benchmarks.peers.run import PeerRun
from tests.benchmarks.peers.shapes import KEYWORD, LARGE_STEP
from tests.benchmarks.rows import KEYWORD_MODEL, ROWS, Row, Target, checked

HELD_MB = 300


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_memory_and_output_of_a_process() -> None:
    small = run_process(python("print('small')"))
    large = run_process(python(f"held = b'x' * {HELD_MB * 10**6}; print(len(held))"))
    assert small.output == "small\n"
    assert large.output == f"{HELD_MB * 10**6}\n"
    assert large.peak_mb >= HELD_MB
    # A process starts with its parent's peak, whatever that is here.
    assert small.peak_mb <= large.peak_mb


def test_processor_time_is_not_time_waited() -> None:
    idle = run_process(python("import time; time.sleep(1)"))
    assert idle.wall_s >= 1
    assert idle.cpu_s < idle.wall_s


def test_folder_and_environment_of_a_process(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['ACCELSIM_TEST'], len(os.environ) > 1)"
    measured = run_process(python(code), folder=tmp_path, environment={"ACCELSIM_TEST": "here"})
    assert measured.output.split() == [str(tmp_path.resolve()), "here", "True"]


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(ProcessFailed, match="exit code 3: the reason"):
        run_process(python("import sys; sys.stderr.write('the reason'); sys.exit(3)"))


def test_a_process_is_stopped_at_its_limit() -> None:
    with pytest.raises(ProcessFailed, match=r"stopped after 0\.5 s"):
        run_process(python("import time; time.sleep(60)"), limit_s=0.5)


def test_warm_up_is_not_counted() -> None:
    times = iter([9.0, 1.0, 3.0, 2.0])
    runs = repeated(lambda: Measured(next(times), 0, 0, ""), 3, warm_up=True)
    assert Spread.of([run.wall_s for run in runs]) == Spread(1.0, 2.0, 3)


def test_shapes_are_those_of_the_keyword_model() -> None:
    program = read_program(KEYWORD_MODEL / "lstm_quantize_r.cfg")
    assert KEYWORD.macs == sum(layer.macs for layer in program.layers)
    assert program.inputs[0].shape == (KEYWORD.steps, KEYWORD.inputs)
    assert program.outputs[0].shape == (KEYWORD.outputs,)
    (product,) = LARGE_STEP.products()
    assert (product.rows, product.columns) == (4096, 2048)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.012"), (0.5, "0.50"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,234"), (5.0, "5")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_spread_names_the_least_where_it_differs() -> None:
    assert spread_text("wall_s", Spread(0.5, 0.6, 3)) == "0.60 (least 0.50)"
    assert spread_text("wall_s", Spread(0.501, 0.502, 3)) == "0.50"


def test_page_and_data() -> None:
    targets = (Target("wall_s", 1.0), Target("cycles_per_s", 2e6, at_least=True))
    row = Row("work", "some work", targets, lambda folder, times: {})
    figures = {"work": {"wall_s": Spread(0.8, 0.9, 3), "cycles_per_s": Spread(1e6, 1.5e6, 3)}}
    ran = PeerRun("Peer", "1.0", KEYWORD, "its shapes", Measured(4.0, 3.0, 200.0, ""), 1234, "")
    failed = PeerRun("Peer", "1.0", LARGE_STEP, "its shapes", None, None, "stopped after 5 s")
    parts = ("command", "2026-01-01", machine(), versions(), [row], figures, [ran, failed])
    text = page(*parts)
    assert "| some work | 0.90 (least 0.80) |  |  | simulated cycles a second 1.50 million | " in text
    assert "wall time <= 1 s: met; simulated cycles a second >= 2 million: **not met** |" in text
    assert "| Peer 1.0 | keyword model | its shapes | 4 | 3 | 200 | 1,234 |" in text
    assert "none: stopped after 5 s" in text
    plain = json.loads(json.dumps(data(*parts)))
    assert [target["met"] for target in plain["rows"][0]["targets"]] == [True, False]
    assert [peer["cycles"] for peer in plain["peers"]] == [1234, None]


def test_a_figure_without_a_unit_is_refused_as_it_is_measured() -> None:
    row = Row("work", "some work", (), lambda folder, times: {})
    assert checked(row, {"points": Spread(1, 1, 1)})
    with pytest.raises(KeyError, match="work: no unit of parsecs"):
        checked(row, {"wall_s": Spread(1, 1, 1), "parsecs": Spread(1, 1, 1)})


def test_rows_and_peers_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert all("==" in requirement for peer in PEERS for requirement in peer.requirements)
