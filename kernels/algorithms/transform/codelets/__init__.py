"""One-dimensional transforms of a few vectors, as straight-line code."""
