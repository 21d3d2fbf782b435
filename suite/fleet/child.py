"""``python -m suite.fleet.child``: a command of convmark that ends with the process that holds its standard input."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

__all__: list[str] = []

#: Seconds from the interrupt, after which a command stores what it has, to the end.
_PATIENCE_S = 20.0


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # A worker of a fleet runs by a policy that gives way; what it starts does not.
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    # One that is started in the background of a shell has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from suite.cli import main

    main(sys.argv[1:])
