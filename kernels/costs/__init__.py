"""What a convolution costs: the amounts of work of every algorithm, and the seconds that they take.

A model, not a measurement: `kernels.costs.amounts` says what is counted, a file for each kind of loops
counts it, `kernels.costs.table` has the cycles that each count takes, and `kernels.tuning.limits` the
machine's rates.
"""
