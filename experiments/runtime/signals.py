"""Stopping on request: a first SIGINT or SIGTERM requests a stop, a second one ends the process at once.

Training checks `stop_requested` between its compiled calls, and saves before it stops. Does not import jax.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from incentivize.experiments.errors import STOPPED_STATUS

stop_requested = threading.Event()


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into requests to stop until the block ends.

    Does nothing in threads other than the main one, which signals do not reach.
    """
    stop_requested.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        if stop_requested.is_set():
            os._exit(STOPPED_STATUS)
        stop_requested.set()  # nothing else: a handler may interrupt any statement

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
