"""Rows, and the runs that they are stored in."""
