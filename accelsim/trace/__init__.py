"""accelsim.trace."""
