"""Rows -> tables and plots for people: terminal, Markdown, one page. `load` gives all stored rows as a frame."""

from suite.report.load import load

__all__ = ["load"]
