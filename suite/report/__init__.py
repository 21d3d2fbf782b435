"""Rows -> tables for people: terminal, Markdown, pictures."""
