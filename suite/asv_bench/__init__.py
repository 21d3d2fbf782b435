"""asv's benchmarks: an adapter over catalogue x registry.

``asv machine --yes`` once, then ``asv run HEAD^!``, ``asv continuous --interleave-rounds BASE
HEAD`` and ``asv publish``: asv builds each commit and installs it into an environment below
``.asv``. ``asv run -E existing --set-commit-hash $(git rev-parse HEAD)`` times the environment
that it runs in instead; without the hash asv stores nothing of it.
"""
