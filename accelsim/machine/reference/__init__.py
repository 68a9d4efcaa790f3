"""accelsim.machine/reference."""
