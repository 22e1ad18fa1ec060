"""Workers: what trains groups of cells, one to a core, or one to an accelerator.

The networks are small: one program gains little from a second core, two programs gain nearly all of it, and compile
side by side too. So on a CPU each worker is a process of its own, kept to one core, and gets whole groups of cells
that share a program. Where there are devices that one process drives, each has a thread of this process, and the same
programs as if it were alone: XLA optimises a program that is spread over several devices in another order, so that its
results differ by rounding from those of one (`docs/design.md`). What a worker computes depends neither on how many
there are, be it one, nor on which it is, as far as XLA makes the same of a program twice: for GPUs see `docs/runs.md`.
"""

import multiprocessing
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import jax

from incentivize.agents.sharding import Devices
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError, RunError, Stopped, explain_no_semaphores
from incentivize.experiments.runtime import ambient, cgroup, distributed, signals
from incentivize.experiments.runtime.streams import TolerantStream
from incentivize.experiments.settings.schema import SAVE_EVERY
from incentivize.experiments.storage.cell_store import CellResult
from incentivize.experiments.storage.lock import LockHeld, file_lock
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.loop import train

STOPPING = "stopping: the chunk is finished and saved first; once more to stop at once"
ORPHANED = 30  # seconds within which a worker has noticed that its parent is gone, by far


class ExecutionOptions(NamedTuple):
    """How groups are trained.

    Attributes:
        workers: how many train at a time.
        folder: where checkpoints of groups go; None for none.
        every: seconds between checkpoints.
        checked: whether training stops where a number first is none, and says where that came from.
        split: devices that divide the environments of every agent.
        told: what changes numbers (`ambient.otherwise`) and workers have to be told too; `run_groups` finds it.
    """

    workers: int
    folder: Path | None = None
    save_every: float = SAVE_EVERY
    checkify: bool = False
    devices_per_agent: int = 1
    ambient: dict[str, Any] = {}  # noqa: RUF012, replaced and never changed


def run_groups(
    programs: Sequence[Sequence[CellGroup]], work: ExecutionOptions, deliver: Callable[[list[CellResult]], None]
) -> None:
    """Train groups of cells, and delivers what is finished from the calling thread.

    Args:
        programs: the groups of every program, which one worker trains one after the other; in this order, as workers
            become free.
        work: how.
        deliver: called with every finished group, after which its checkpoints are of no more use.

    Raises:
        Stopped: on request, when every worker has stopped.
    """
    finished: queue.Queue[tuple[CellGroup, list[CellResult]] | BaseException | None] = queue.Queue()
    waiting: queue.SimpleQueue[Sequence[CellGroup]] = queue.SimpleQueue()
    units = programs if workers_are_processes() else [[group] for groups in programs for group in groups]
    for groups in units:
        waiting.put(groups)
    pools = [_process(one) if workers_are_processes() else _thread() for one in range(min(work.workers, len(units)))]
    there = [] if workers_are_processes() else jax.devices()  # of other processes, too
    devices = [
        tuple(there[start : start + work.devices_per_agent])
        for start in range(0, len(there) or 1, work.devices_per_agent)
    ]
    work = work._replace(ambient=ambient.unusual_settings())
    said = stopped = False
    with ThreadPoolExecutor(len(pools)) as threads:
        try:
            for pool, own in zip(pools, cycle(devices), strict=False):
                threads.submit(_serve, pool, own, work, waiting, finished)
            serving = len(pools)
            while serving:
                if signals.stop_requested.is_set():  # again and again: one that begins just now cannot hear yet
                    _ask_to_stop(pools)
                    if not said:
                        print(STOPPING, file=sys.stderr, flush=True)
                    said = True
                with suppress(queue.Empty):
                    result = finished.get(timeout=0.5)
                    serving -= result is None or isinstance(result, Stopped)
                    stopped |= isinstance(result, Stopped)
                    if isinstance(result, tuple):
                        deliver(result[1])
                        if distributed.is_primary():
                            _forget(result[0], work.folder)
                    elif isinstance(result, BaseException) and not isinstance(result, Stopped):
                        raise result
        except BaseException:
            signals.stop_requested.set()  # a thread cannot be ended, but stops soon
            raise
        finally:
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()
            for pool in pools:
                _kill(pool)
    if stopped:
        raise Stopped


def workers_are_processes() -> bool:
    """Whether workers are processes: on a CPU, unless there are several devices."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1


def check_devices_per_agent(cells: Sequence[Cell], devices_per_agent: int) -> None:
    """Refuse to divide what cannot be divided evenly.

    Raises:
        SettingsError: the devices of this host, or the environments of a minibatch.
    """
    devices = jax.device_count()
    if devices % devices_per_agent:
        raise InputError(
            f"--devices-per-agent = {devices_per_agent}: want what divides the number of devices, {devices}"
        )
    if distributed.is_distributed() and devices_per_agent != devices:
        raise InputError(
            f"--devices-per-agent = {devices_per_agent}: want {devices}, all devices: that is what {jax.process_count()} processes are for"
        )
    for training in (cell.training for cell in cells):
        each = training.num_envs // training.minibatches
        if each % devices_per_agent:
            raise InputError(
                f"--devices-per-agent = {devices_per_agent}: want what divides a minibatch, of {each} environments (num_envs = "
                f"{training.num_envs}, minibatches = {training.minibatches})"
            )


def default_workers(devices_per_agent: int = 1) -> int:
    """One worker to a core that this process can keep busy, or one to an accelerator, or to so many of them."""
    if not workers_are_processes():
        return jax.device_count() // devices_per_agent
    return cgroup.cores()


def _serve(
    pool: Executor, devices: Devices, work: ExecutionOptions, waiting: queue.SimpleQueue, finished: queue.Queue
) -> None:
    """Feed one worker with groups until there are none; None says that it is done."""
    try:
        while True:
            for group in waiting.get_nowait():
                finished.put((group, pool.submit(_train_alike, group, work, devices).result()))
    except queue.Empty:
        finished.put(None)
    except BrokenProcessPool:
        ended = (
            "a worker was ended from outside, perhaps for want of memory; with fewer --workers less is needed, and "
            "the same command goes on from the last checkpoint"
        )  # or it was asked to stop before it could hear
        finished.put(Stopped() if signals.stop_requested.is_set() else RunError(ended))
    except BaseException as error:
        finished.put(error)


def _train_alike(group: CellGroup, work: ExecutionOptions, devices: Devices) -> list[CellResult]:
    """Train a group under the settings that the thread has which asks for it."""
    with ambient.ambient_for_workers(work.ambient):
        return _train(group, work, devices)


def _train(group: CellGroup, work: ExecutionOptions, devices: Devices) -> list[CellResult]:
    """Train a group, once nobody else does: a worker whose parent was killed may still be at it."""
    if work.folder is None:
        return train(group, checkify=work.checkify, devices=devices)
    work.folder.mkdir(parents=True, exist_ok=True)
    if not distributed.is_primary():
        return train(group, work.folder, work.save_every, work.checkify, devices)
    lock = work.folder / f"{group.id}.lock"
    try:
        with file_lock(lock, ORPHANED):
            return train(group, work.folder, work.save_every, work.checkify, devices)
    except LockHeld:
        told = f"{lock}: another process trains the same and does not end; end it, and the same command goes on"
        raise RunError(told) from None


def _forget(group: CellGroup, folder: Path | None) -> None:
    """Remove the checkpoints of a group that is done."""
    if folder is not None:
        shutil.rmtree(folder / group.id, ignore_errors=True)
        (folder / f"{group.id}.lock").unlink(missing_ok=True)


def _thread() -> Executor:
    """A thread of this process, so that signals find the main one idle."""
    return ThreadPoolExecutor(1)


def _process(core: int) -> Executor:
    """A process of its own; spawned, since JAX has threads that a fork would lose.

    Raises:
        RunError: where there are no semaphores, by which it is told what to do.
    """
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(1, mp_context=context, initializer=_init_worker, initargs=(core, os.getpid()))
    except (OSError, ImportError) as error:  # the latter where Python has none at all
        raise RunError(explain_no_semaphores(error)) from None


def _init_worker(core: int, parent: int) -> None:
    """Keep this process to one core and one thread; its parent says when to stop. Runs before jax starts."""
    sys.stdout, sys.stderr = (
        TolerantStream(sys.stdout),
        TolerantStream(sys.stderr),
    )  # a terminal that is gone ends no training
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signals.stop_requested.set())
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    flags = ambient.spell_out(os.environ.get("XLA_FLAGS", ""))
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # where a container forbids it, the system finds it a core
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def _exit_with_parent(parent: int) -> None:
    """End this process when its parent is gone, even where that was before it had begun."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _processes(pool: Executor) -> list[multiprocessing.Process]:
    return list((getattr(pool, "_processes", None) or {}).values())


def _ask_to_stop(pools: Sequence[Executor]) -> None:
    """Ask every worker to stop."""
    for process in (process for pool in pools for process in _processes(pool)):
        process.terminate()


def _kill(pool: Executor) -> None:
    """End a process at once, whatever it is doing (what `kill_workers` does from Python 3.14 on)."""
    for process in _processes(pool):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
