"""Workers, which train groups of cells side by side: one to a CPU core, or one to an accelerator.

The networks are small: one program gains little from a second core, two programs gain nearly all of it, and compile
side by side too. So on a CPU each worker is a process pinned to one core, and gets whole groups of cells that share a
program. On devices that one process drives, each has a thread of this process, and the same programs as if it were
alone: XLA optimises a program that is spread over several devices in another order, so that its results differ by
rounding from those of one (`docs/design.md`). A worker's results depend neither on the number of workers nor on which
worker it is, as far as XLA makes the same of a program twice: for GPUs see `docs/runs.md`.
"""

import multiprocessing
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import jax

from incentivize.agents.sharding import Devices
from incentivize.experiments.errors import RunError, Stopped, explain_no_semaphores
from incentivize.experiments.execution.execution_options import ExecutionOptions
from incentivize.experiments.runtime import cgroup, distributed, jax_settings, signals
from incentivize.experiments.runtime.standard_streams import TolerantStream
from incentivize.experiments.storage.cell_store import CellResult
from incentivize.experiments.storage.lock import LockHeld, file_lock
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.loop import train

STOPPING = "stopping after the current chunk is saved; interrupt once more to stop at once"
WORKER_ENDED = (
    "a worker process was ended from outside, perhaps because memory ran out. Use fewer --workers to need less memory; "
    "the same command resumes from the last checkpoint."
)
ORPHANED = 30  # seconds; a worker notices within 1 or 2 that its parent process is gone


class GroupDone(NamedTuple):
    """Message of a worker that has trained a group."""

    group: CellGroup
    results: list[CellResult]


class WorkerStopped(NamedTuple):
    """Last message of a worker that has ended: no group is left, or it was asked to stop."""

    on_request: bool


class WorkerFailed(NamedTuple):
    """Last message of a worker whose training raised an error."""

    error: BaseException


class WorkerPool:
    """Workers with one queue of programs; every worker takes the next program when it is free."""

    def __init__(self, count: int, options: ExecutionOptions) -> None:
        """Create workers; they start in `results`.

        Raises:
            RunError: if worker processes cannot be created.
        """
        self.options = options
        self.programs: deque[Sequence[CellGroup]] = deque()
        self.messages: queue.SimpleQueue[GroupDone | WorkerStopped | WorkerFailed] = queue.SimpleQueue()
        self.executors = [
            _process_executor(core) if workers_are_processes() else _thread_executor() for core in range(count)
        ]
        self.threads = ThreadPoolExecutor(count)

    def submit(self, groups: Sequence[CellGroup]) -> None:
        """Add groups that one worker trains one after the other."""
        self.programs.append(groups)

    def results(self) -> Iterator[GroupDone | WorkerStopped | WorkerFailed]:
        """Start all workers, and yield their messages until all have ended.

        Where a stop is requested, all workers are asked for it, twice a second: a worker that is just starting would
        not hear the first request.
        """
        settings = jax_settings.unusual_settings()
        for executor, devices in zip(self.executors, cycle(_devices_of_agents(self.options)), strict=False):
            self.threads.submit(self._serve, executor, devices, settings)
        working, announced = len(self.executors), False
        while working:
            if signals.stop_requested.is_set():
                self._ask_to_stop()
                if not announced:
                    print(STOPPING, file=sys.stderr, flush=True)
                announced = True
            try:
                message = self.messages.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(message, WorkerStopped):
                working -= 1
            yield message

    def stop(self) -> None:
        """End all workers at once, and wait for them; processes are killed in the midst of training."""
        self.programs.clear()
        for executor in self.executors:
            for process in _processes(executor):
                process.kill()  # as `kill_workers` does from Python 3.14 on
            executor.shutdown(wait=True, cancel_futures=True)
        self.threads.shutdown()

    def _serve(self, executor: Executor, devices: Devices, settings: Mapping[str, Any]) -> None:
        """Hand programs to one worker until none is left, and report on it."""
        try:
            while groups := self._next_program():
                for group in groups:
                    results = executor.submit(_train_with, settings, group, self.options, devices).result()
                    self.messages.put(GroupDone(group, results))
            self.messages.put(WorkerStopped(on_request=False))
        except Stopped:
            self.messages.put(WorkerStopped(on_request=True))
        except BrokenProcessPool:
            asked = signals.stop_requested.is_set()  # a process that is just starting does not handle a request yet
            self.messages.put(WorkerStopped(on_request=True) if asked else WorkerFailed(RunError(WORKER_ENDED)))
        except BaseException as error:
            self.messages.put(WorkerFailed(error))

    def _next_program(self) -> Sequence[CellGroup]:
        try:
            return self.programs.popleft()
        except IndexError:  # another worker took the last one
            return ()

    def _ask_to_stop(self) -> None:
        for process in (process for executor in self.executors for process in _processes(executor)):
            process.terminate()


def run_groups(
    programs: Sequence[Sequence[CellGroup]],
    options: ExecutionOptions,
    deliver: Callable[[list[CellResult]], None],
) -> None:
    """Train groups of cells.

    Args:
        programs: the groups of every program, in the order in which workers take them. A worker process trains all
            groups of a program; threads share them.
        options: options of the training of groups.
        deliver: function called in the calling thread with the results of every group; the checkpoints of the
            group are deleted next.

    Raises:
        RunError: if worker processes cannot be started, or one is ended from outside.
        Stopped: on request, after every worker has stopped.
    """
    units = programs if workers_are_processes() else [[group] for groups in programs for group in groups]
    workers = WorkerPool(min(options.workers, len(units)), options)
    for groups in units:
        workers.submit(groups)
    stopped = False
    try:
        for message in workers.results():
            match message:
                case GroupDone(group, results):
                    deliver(results)
                    if distributed.is_primary():
                        _delete_checkpoints(group, options.checkpoint_folder)
                case WorkerStopped(on_request):
                    stopped |= on_request
                case WorkerFailed(error):
                    raise error
    except BaseException:
        signals.stop_requested.set()  # a thread cannot be ended, but stops after its chunk
        raise
    finally:
        workers.stop()
    if stopped:
        raise Stopped


def workers_are_processes() -> bool:
    """Return whether workers are processes: on a CPU, unless there are several devices."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1


def default_workers(devices_per_agent: int = 1) -> int:
    """Return the usual number of workers: one per CPU core that this process may use, or per set of devices."""
    return cgroup.cores() if workers_are_processes() else jax.device_count() // devices_per_agent


def complete_options(options: ExecutionOptions, out: Path) -> ExecutionOptions:
    """Return options with the number of workers and with the checkpoint folder of a run directory."""
    workers = options.workers or default_workers(options.devices_per_agent)
    return options._replace(workers=workers, checkpoint_folder=out / "checkpoints" / "groups")


def _devices_of_agents(options: ExecutionOptions) -> list[Devices]:
    """Return the devices of every worker thread, also those of other hosts; one empty tuple for processes."""
    if workers_are_processes():
        return [()]
    devices, size = jax.devices(), options.devices_per_agent
    return [tuple(devices[start : start + size]) for start in range(0, len(devices), size)]


def _train_with(
    settings: Mapping[str, Any], group: CellGroup, options: ExecutionOptions, devices: Devices
) -> list[CellResult]:
    """Train a group under the settings of jax and XLA of the parent process, as `unusual_settings` returned them."""
    with jax_settings.ambient_for_workers(settings):
        return _train(group, options, devices)


def _train(group: CellGroup, options: ExecutionOptions, devices: Devices) -> list[CellResult]:
    """Train a group when no other process does: a worker whose parent was killed may still be training it.

    Raises:
        RunError: if another process goes on training it.
    """
    folder = options.checkpoint_folder
    if folder is None:
        return train(group, checkify=options.checkify, devices=devices)
    folder.mkdir(parents=True, exist_ok=True)
    if not distributed.is_primary():
        return train(group, folder, options.save_every, options.checkify, devices)
    lock = folder / f"{group.id}.lock"
    try:
        with file_lock(lock, ORPHANED):
            return train(group, folder, options.save_every, options.checkify, devices)
    except LockHeld:
        raise RunError(
            f"{lock}: another process trains the same cells and does not end. End it, and run the same command again."
        ) from None


def _delete_checkpoints(group: CellGroup, folder: Path | None) -> None:
    """Delete the checkpoints of a group that is finished."""
    if folder is not None:
        shutil.rmtree(folder / group.id, ignore_errors=True)
        (folder / f"{group.id}.lock").unlink(missing_ok=True)


def _thread_executor() -> Executor:
    """Return a thread of this process, so that signals find the main thread idle."""
    return ThreadPoolExecutor(1)


def _process_executor(core: int) -> Executor:
    """Return a process, spawned: a fork would lose the threads of JAX.

    Raises:
        RunError: if there are no semaphores, which the process needs to communicate.
    """
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(1, mp_context=context, initializer=_init_worker, initargs=(core, os.getpid()))
    except (OSError, ImportError) as error:  # ImportError where Python was built without semaphores
        raise RunError(explain_no_semaphores(error)) from None


def _processes(executor: Executor) -> list[multiprocessing.Process]:
    """Return the processes of an executor; none for a thread."""
    return list((getattr(executor, "_processes", None) or {}).values())


def _init_worker(core: int, parent: int) -> None:
    """Pin this process to one core and one thread, and leave it to its parent when to stop. Runs before jax starts."""
    sys.stdout, sys.stderr = TolerantStream(sys.stdout), TolerantStream(sys.stderr)  # training outlives a terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signals.stop_requested.set())
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    flags = jax_settings.spell_out(os.environ.get("XLA_FLAGS", ""))
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # where a container forbids it, the system chooses a core
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def _exit_with_parent(parent: int) -> None:
    """End this process when its parent is gone, also where the parent ended before this process started."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
