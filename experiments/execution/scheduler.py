"""The scheduler: trains the cells of a plan that are missing, and publishes every finished cell."""

from collections.abc import Callable, Collection, Sequence

from incentivize.experiments.execution.baselines import measure_baselines
from incentivize.experiments.execution.completeness import FinishedCells
from incentivize.experiments.execution.execution_options import ExecutionOptions
from incentivize.experiments.execution.planning import Plan
from incentivize.experiments.execution.progress import Progress, paces_of
from incentivize.experiments.execution.publisher import ResultsPublisher
from incentivize.experiments.execution.workers import run_groups
from incentivize.experiments.runtime import distributed
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellResult, CellStore
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.training.groups import CellGroup


def run_missing_cells(
    plan: Plan,
    settings: Settings,
    directory: RunDirectory,
    cell_store: CellStore,
    progress: Progress,
    options: ExecutionOptions,
    finished: FinishedCells,
    on_update: Callable[[], None] = lambda: None,
) -> ResultsPublisher:
    """Train every cell that is not finished, and publish all cells.

    Args:
        plan: cells and groups of the run.
        settings: settings of the run.
        directory: the run directory.
        cell_store: store of finished cells.
        progress: display of finished cells.
        options: options of the training of cells.
        finished: cells that need no training.
        on_update: function called after every publication of finished cells.

    Raises:
        RunError: if training would draw tasks from outside an agent's pool, or a worker fails.
        Stopped: on request.
    """
    measure_baselines(plan.cells, settings, directory, cell_store, finished.own_cells)
    publisher = ResultsPublisher(plan.cells, directory)
    cells_by_id = finished.by_id
    for stored in cells_by_id.values():
        publisher.add(stored)
    missing = [cell for key, cell in {cell.id: cell for cell in plan.cells}.items() if key not in cells_by_id]
    paces = paces_of(cell_store) if missing else ()
    progress.begin(missing, len(finished.own_cells), len(finished.imported), paces, options.workers)

    def deliver(results: list[CellResult]) -> None:
        for result in results:
            if result.cell.id in cells_by_id:
                continue  # it was finished before, and trained again with others of its group
            cells_by_id[result.cell.id] = cell_store.save(result)
            publisher.add(cells_by_id[result.cell.id])
            if result.failure:
                progress.failed(result.cell, result.failure)
            else:
                progress.finished(result.cell, publisher.final_success(result.cell), result.seconds)
        publisher.publish(with_task_counts=False)
        on_update()

    try:
        train_missing_cells(plan.groups, set(cells_by_id), options, deliver)
    finally:
        publisher.publish(with_task_counts=True)
    return publisher


def train_missing_cells(
    groups: Sequence[Sequence[CellGroup]],
    finished: Collection[str],
    options: ExecutionOptions,
    deliver: Callable[[list[CellResult]], None],
) -> None:
    """Train the groups that hold a missing cell. Collective: every process must call it.

    A group is trained whole: its finished cells cost nothing.

    Args:
        groups: the groups of every program.
        finished: ids of cells that need no training.
        options: options of the training of groups.
        deliver: function called with the results of every group.
    """
    missing = [any(cell.id not in finished for cell in group.cells) for alike in groups for group in alike]
    is_needed = iter(distributed.broadcast_from_primary(missing))
    needed = [[group for group in alike if next(is_needed)] for alike in groups]
    if programs := [alike for alike in needed if alike]:
        run_groups(programs, options, deliver)
