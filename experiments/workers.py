"""Workers: processes that train cells, one to a core.

The networks are small: one program gains little from a second core, two programs gain nearly all of it, and compile
side by side too. So on a CPU each worker is a process of its own, kept to one core, and gets whole groups of cells
that share a program. What a worker computes does not depend on how many there are.
"""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from experiments.cells import Cell
from experiments.training import RunError, Trained, train

Group = tuple[int, Sequence[Cell]]  # how many run side by side, and cells that share a program


def run_groups(groups: Sequence[Group], workers: int, deliver: Callable[[list[Trained]], None]) -> None:
    """Trains groups of cells, and delivers what is finished from the calling thread.

    Args:
        groups: trained in this order, as workers become free.
        workers: processes; 1 trains in this one.
        deliver: called with every batch of finished cells.
    """
    batches = [_batches(group) for group in groups]
    if workers == 1:
        for batch, lanes in (pair for group in batches for pair in group):
            deliver(train(batch, lanes))
        return
    finished: queue.Queue[list[Trained] | BaseException | None] = queue.Queue()
    waiting: queue.SimpleQueue[list[tuple[Sequence[Cell], int]]] = queue.SimpleQueue()
    for group in batches:
        waiting.put(group)
    pools = [_process(core) for core in range(min(workers, len(groups)))]
    with ThreadPoolExecutor(len(pools)) as threads:
        try:
            for pool in pools:
                threads.submit(_serve, pool, waiting, finished)
            for _ in range(len(pools)):
                while (result := finished.get()) is not None:
                    if isinstance(result, BaseException):
                        raise result
                    deliver(result)
        finally:
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()
            for pool in pools:
                _kill(pool)


def _batches(group: Group) -> list[tuple[Sequence[Cell], int]]:
    """The cells that run side by side, and how many the program takes."""
    lanes, cells = group
    return [(cells[start : start + lanes], lanes) for start in range(0, len(cells), lanes)]


def _serve(pool: ProcessPoolExecutor, waiting: queue.SimpleQueue, finished: queue.Queue) -> None:
    """Feeds one process with groups until there are none; None says that it is done."""
    try:
        while True:
            for batch, lanes in waiting.get_nowait():
                finished.put(pool.submit(train, batch, lanes).result())
    except queue.Empty:
        finished.put(None)
    except BrokenProcessPool:
        finished.put(
            RunError(
                "a worker was ended from outside, perhaps for want of memory; with --workers 1 less is"
                " needed, and the same command goes on from the last finished training run"
            )
        )
    except BaseException as error:
        finished.put(error)


def _process(core: int) -> ProcessPoolExecutor:
    """A process of its own; spawned, since JAX has threads that a fork would lose."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_settle, initargs=(core,))


def _settle(core: int) -> None:
    """Keeps this process to one core and one thread, and leaves interrupts to its parent. Runs before jax starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def _follow(parent: int) -> None:
    """Ends this process when its parent is gone, even where that had no time to say so."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _kill(pool: ProcessPoolExecutor) -> None:
    """Ends a process at once, whatever it is doing (what `kill_workers` does from Python 3.14 on)."""
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
