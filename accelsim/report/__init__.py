"""Reports as one self-contained HTML page: of a program's run, and of a sweep's results.

A page holds its data, its style, its scripts and plotly's, and asks no network for anything.
"""

from accelsim.report.program import program_page
from accelsim.report.sweep import sweep_page

__all__ = ["program_page", "sweep_page"]
