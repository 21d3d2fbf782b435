"""pytest-benchmark's benchmarks: an adapter over catalogue x registry.

``pytest suite/pytest_bench --benchmark-only --benchmark-json FILE`` stores what
``convmark report --pytest-benchmark FILE`` reads; ``--benchmark-autosave`` once, and
``--benchmark-compare --benchmark-compare-fail=median:10%`` later, fail where a median has
grown by more than a tenth on the same machine.
"""
