"""A pytest plugin for runs that look for a fault: hypothesis stops at the first, and makes it no smaller."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("quick", phases=[Phase.explicit, Phase.generate], database=None)
settings.load_profile("quick")
