"""Stopping on request: a first SIGINT or SIGTERM requests a stop, a second one ends the process at once.

Training checks `stop_requested` between its compiled calls, and saves before it stops. Does not import jax.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from incentivize.experiments.errors import STOPPED_STATUS

SIGNALS = (signal.SIGINT, signal.SIGTERM)
stop_requested = threading.Event()
interrupted = threading.Event()
"""Set by `interrupt_once`. The exception that it raises can be lost: callbacks of the garbage collector swallow it."""


def interrupt_once(*_: object) -> None:
    """Handle a signal: raise KeyboardInterrupt, and ignore further signals, as they must not disturb the clean-up."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    interrupted.set()
    raise KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into requests to stop until the block ends; one that came before the block counts.

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

    previous = {number: signal.signal(number, handle) for number in SIGNALS}
    if interrupted.is_set():
        stop_requested.set()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
