"""Faults put into the engines on purpose: each must be caught by a test."""
