"""Measuring: worker processes, samples, turns, and what comes of them."""
