"""Verification without times: results against the oracle, and how far from it they are."""
