"""What a fleet needs of Dask, or one sentence for what is missing or wrong."""

from __future__ import annotations

import logging
from typing import Any

from suite.results.files import StoreError

__all__ = ["distributed_for"]


def distributed_for(scheduler: str = "tcp://127.0.0.1:0") -> Any:
    """Dask's package ``distributed``, for a scheduler at an address.

    Raises
    ------
    StoreError
        It is not installed, or the address is none.
    """
    try:
        import distributed
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend
    except ImportError as error:
        raise StoreError("a fleet needs Dask, expected it installed: pip install 'convmark[fleet]'") from error
    try:
        scheme, location = parse_address(scheduler)
        get_backend(scheme)
        parse_host_port(location)
    except ValueError as error:
        raise StoreError(f"--scheduler is {scheduler!r}, expected an address like tcp://10.0.0.1:8786") from error
    # What happens is said in the words of a fleet.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed
