"""The regression gate: two revisions of the kernels, measured in turns, and a verdict per benchmark."""
