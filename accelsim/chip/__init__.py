"""accelsim.chip."""
