"""The checker, the fills of arrays, and the statistics of ratios of times."""
