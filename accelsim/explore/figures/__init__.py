"""Figures of a sweep, one kind a module. matplotlib is imported here, so only what draws imports this."""
