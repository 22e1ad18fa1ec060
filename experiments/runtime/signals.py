"""Stopping on request: a first SIGINT or SIGTERM asks for it, a second one ends the process at once.

What is trained looks at `requested` between chunks, and saves before it stops. Does not import jax.
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
    """Take signals for requests for a while.

    In another thread than the main one, which signals do not reach, it does nothing.
    """
    stop_requested.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        if stop_requested.is_set():
            os._exit(STOPPED_STATUS)
        stop_requested.set()  # and no more: what a handler does may find anything half done

    before = {polite: signal.signal(polite, handle) for polite in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for polite, handler in before.items():
            signal.signal(polite, handler)
