"""The runner: which cells are missing, in which order they are trained, and what is written down of them."""

from collections.abc import Callable, Sequence
from typing import Any

from incentivize.experiments.cells import Cell, describe_variant
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution import teacher_level
from incentivize.experiments.execution.auditing import audit_pools
from incentivize.experiments.execution.planning import plan_groups
from incentivize.experiments.execution.progress import Progress, paces_of
from incentivize.experiments.execution.publisher import ResultsPublisher
from incentivize.experiments.execution.workers import ExecutionOptions, run_groups
from incentivize.experiments.runtime import distributed
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellResult, CellStore, StoredCell
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.training.build import family_from_settings
from incentivize.experiments.training.evaluation import EvaluationConfig, scripted_success

FinishedCells = tuple[dict[str, StoredCell], dict[str, StoredCell]]
"""Cells that are finished, by id: in this run, and in others, from where they were taken over."""


def run_missing_cells(
    cells: Sequence[Cell],
    settings: Settings,
    store: RunDirectory,
    archive: CellStore,
    progress: Progress,
    work: ExecutionOptions,
    finds: FinishedCells,
    on_update: Callable[[], None] = lambda: None,
) -> ResultsPublisher:
    """Run every cell that has not been found, and writes down what came of all; `heard` is called after each time."""
    own, elsewhere = finds
    if _measured_otherwise(own, store, archive):
        store.reset_baselines(archive.made_with.get("ambient") or {})
    for family in settings.families:
        _audited(family, cells, settings, store)
        _scripted(family, settings, store)
        if family not in store.meta().get("teacher", {}):
            store.update_meta(teacher={family: teacher_level.teacher_entry(family, settings)})
    book = ResultsPublisher(cells, store, archive)
    for found in (*own.values(), *elsewhere.values()):
        book.add(found)
    known = own | elsewhere
    waiting = [cell for key, cell in {cell.id: cell for cell in cells}.items() if key not in known]
    paces = paces_of(archive) if waiting else ()
    progress.begin(waiting, len(own), len(elsewhere), paces, work.workers)

    def deliver(batch: list[CellResult]) -> None:
        for trained in batch:
            if trained.cell.id in known:
                continue  # it came along with others of its group
            found = known[trained.cell.id] = archive.save(trained)
            book.add(found)
            if trained.failure:
                progress.failed(trained.cell, trained.failure)
            else:
                progress.finished(trained.cell, book.final_success(trained.cell), trained.seconds)
        book.publish(with_task_counts=False)
        on_update()

    try:
        train_missing(cells, set(known), work, deliver)
    finally:
        book.publish(with_task_counts=True)
    return book


def train_missing(cells: Sequence[Cell], known: set[str], work: ExecutionOptions, deliver: Any) -> None:
    """Train the groups in which a cell is not known yet, whole: the others in them cost nothing."""
    programs = plan_groups(cells)
    missing = [any(cell.id not in known for cell in group.cells) for groups in programs for group in groups]
    wanted = iter(distributed.broadcast_from_primary(missing))
    programs = [[group for group in groups if next(wanted)] for groups in programs]
    if programs := [groups for groups in programs if groups]:
        run_groups(programs, work, deliver)


def find_finished_cells(cells: Sequence[Cell], archive: CellStore) -> FinishedCells:
    """Find what has been run, and takes over what others have.

    Raises:
        SettingsError: where the run is not whole and was begun with other code.
    """
    wanted = {cell.id: cell for cell in cells}
    own = {key: found for key, cell in wanted.items() if (found := archive.load(cell)) is not None}
    missing = [cell for key, cell in wanted.items() if key not in own]
    other = [found for found in own.values() if found.code_version != archive.code_version(found.cell)]
    if missing and other and {found.code_version.checkify for found in other} != {archive.checkify}:
        how = "without" if archive.checkify else "with"
        raise InputError(
            f"--out {archive.run}: was begun {how} --debug, by other programs; want that, or another --out"
        )
    versions = [(found.code_version, archive.code_version(found.cell)) for found in other]
    if missing and other and all(there.digest == here.digest for there, here in versions):
        there, here = versions[0]
        raise InputError(
            f"--out {archive.run}: was begun where jax or XLA was told {there.ambient or 'nothing'}, and here it is told "
            f"{here.ambient or 'nothing'}: numbers would differ; want what it was begun with, or another --out"
        )
    if missing and other:
        commit = other[0].about["made_with"].get("commit") or "unknown"
        raise InputError(
            f"--out {archive.run}: was begun with other code of this program (commit {commit}), by which "
            f"{len(other)} of its {len(own)} finished training runs mean something else; want that code, or another "
            "--out beside it, where those that still mean the same are taken over"
        )
    return own, {cell.id: found for cell in missing if (found := archive.import_from_siblings(cell)) is not None}


def _measured_otherwise(own: dict[str, StoredCell], store: RunDirectory, archive: CellStore) -> bool:
    """Return whether the entries beside the cells were measured under other settings than the cells are made under."""
    there, here = (about.get("ambient") or {} for about in (store.meta(), archive.made_with))
    return there != here and all(found.code_version == archive.code_version(found.cell) for found in own.values())


def _audited(name: str, cells: Sequence[Cell], settings: Settings, store: RunDirectory) -> None:
    """Note down what an audit of a family's pools finds.

    Raises:
        RunError: where training would meet held-out tasks.
    """
    if "pools" in store.meta().get("audit", {}).get(name, {}):
        return
    store.update_meta(audit={name: audit_pools(name, cells, settings.eval_tasks)})


def _scripted(name: str, settings: Settings, store: RunDirectory) -> None:
    """Note down rows of the scripted policies."""
    if name in store.meta().get("scripted", {}):
        return
    # Levels that every score rests on: cheap to estimate well.
    sizes = EvaluationConfig(settings.eval_tasks, 16 * settings.eval_instances, settings.specialists)
    rows = []
    for which, successes in scripted_success(family_from_settings(settings, name), sizes):
        learner = "scripted" if which else "uniform"
        row = {"cell": f"{learner}-{which}-{name}", "study": settings.study, "family": name, "learner": learner}
        row["variant"] = describe_variant(settings.knobs.get(name, {}), settings.life)
        row |= {"role": learner, "env_steps": 0, "simulations": 0, "evaluated_on": "unseen", "n_tasks": sizes.tasks}
        success = float(successes.mean() / sizes.instances)
        row |= {"success": success, "success_greedy": None, "n_episodes": sizes.tasks * sizes.instances}
        rows.append(row)
    store.update_meta(scripted={name: rows})
