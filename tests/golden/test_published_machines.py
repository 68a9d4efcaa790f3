"""Published figures of other machines: every row in its band, and the report as the simulator says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.validation.compare import compare_tables
from accelsim.validation.published import Table, published_tables
from accelsim.validation.report import row_cells

REPORT = Path(__file__).parents[2] / "reports" / "validation.md"


@pytest.mark.parametrize("table", published_tables(), ids=lambda table: table.chip)
def test_every_row_is_in_its_band_and_in_the_report(table: Table) -> None:
    (compared,) = compare_tables([table])
    report = REPORT.read_text(encoding="utf-8")
    assert [(row.row.title, row.error_percent) for row in compared.rows if not row.inside] == []
    for row in compared.rows:
        assert f"| {' | '.join(row_cells(row))} |" in report
        if row.row.note:
            assert f"* {row.row.title}: {row.row.note}" in report
    for text in (table.title, table.source, table.proves, table.does_not_prove):
        assert text in report
