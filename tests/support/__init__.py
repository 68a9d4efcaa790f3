"""Makers of inputs that several test folders share."""
