"""asv's benchmarks: an adapter over catalogue x registry.

``asv machine --yes`` once, then ``asv run --quick -E existing --set-commit-hash $(git rev-parse HEAD)``
times the environment that it runs in; without the hash asv stores nothing of an existing environment.
"""
