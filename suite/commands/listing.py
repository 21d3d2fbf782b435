"""``convmark list`` and ``convmark machine``: what there is, and where."""

from __future__ import annotations

from suite import options

__all__ = ["EXAMPLES", "list_", "machine"]

EXAMPLES = {
    "list": ("convmark list", "convmark list -n resnet50", "convmark list --json"),
    "machine": ("convmark machine", "convmark machine -t 1,2 --json"),
}


def list_(network: options.Networks = None, as_json: options.Json = False) -> None:
    """List networks, algorithms, peers and blocks, or the layers of networks."""
    from suite.actions import listing

    listing.list_(network, as_json)


def machine(threads: options.Threads = None, no_wait: options.NoWait = False, as_json: options.Json = False) -> None:
    """Describe this machine and measure its limits."""
    from suite.actions import listing

    listing.machine(threads, no_wait, as_json)
