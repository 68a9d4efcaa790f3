"""The report of a run: figures, lower bounds, tables, CSV and plots, all from an engine's counters.

Only figures are imported here; `tables` needs rich, `csv_file.layers_frame` pandas and `plots` matplotlib.
"""

from accelsim.profile.bounds import Bound, lower_bound
from accelsim.profile.profile import Part, Profile, Traffic, build_profile

__all__ = ["Bound", "Part", "Profile", "Traffic", "build_profile", "lower_bound"]
