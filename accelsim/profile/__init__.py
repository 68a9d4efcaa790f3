"""accelsim.profile."""
