"""What an engine wrote down about a run, and the rules such a record obeys."""

from accelsim.trace.invariants import check_counters, check_events, check_states

__all__ = ["check_counters", "check_events", "check_states"]
