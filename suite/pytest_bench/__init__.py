"""pytest-benchmark's benchmarks: an adapter over catalogue x registry.

``pytest suite/pytest_bench --benchmark-only --benchmark-json FILE`` stores what
``convmark report --pytest-benchmark FILE`` reads.
"""
