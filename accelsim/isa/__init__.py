"""accelsim.isa."""
