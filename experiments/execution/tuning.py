"""Tuning: random search over training settings, on validation tasks, with as many trials for either arm.

Trial 0 is the setting as shipped, the others are drawn; trial i has the same draw in both arms, of which the taught one
uses what does something for it. A trial's score is its success (actions drawn) on validation tasks at the last budget,
averaged over seeds. Held-out tasks are not evaluated at all.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from rich.console import Console

from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import headline_teacher
from incentivize.experiments.errors import InputError, RunError, is_out_of_resources
from incentivize.experiments.execution.memory_estimate import check_memory
from incentivize.experiments.execution.planning import plan_groups
from incentivize.experiments.execution.scheduler import find_finished_cells, train_missing
from incentivize.experiments.execution.workers import ExecutionOptions, default_workers
from incentivize.experiments.presentation.tables import rich_table
from incentivize.experiments.runtime import ambient, signals
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.runtime.streams import tolerate_broken_streams
from incentivize.experiments.settings.schema import Settings, doubling_budgets
from incentivize.experiments.settings.training import TAUGHT_OVERRIDES, Training
from incentivize.experiments.storage.cell_store import CellResult, CellStore, StoredCell
from incentivize.experiments.storage.io import MAX_ROWS_BYTES, read_bounded, write_atomic
from incentivize.experiments.storage.ownership import open_run_directory, set_status
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.start_files import check_start_files

PRESET: dict[str, Any] = {"study": "tune", "seeds": 2, "eval_tasks": 256, "eval_instances": 4, "evaluations": 3}

SEED = 20_250_101  # of all draws
RANGES = {"learning_rate": (3e-4, 1e-2), "entropy_coef": (1e-3, 0.2), "entropy_coef_final": (0.03, 1.0)}  # log-uniform
"""`entropy_coef_final` is drawn as a share of `entropy_coef`, and reached when the setting as shipped says, or else at the end."""
CHOICES = {"gamma": (0.8, 0.9, 0.95, 0.99, 1.0), "lam": (0.8, 0.9, 0.95, 1.0), "minibatches": (4, 8, 16)}
TUNED = ("learning_rate", "entropy_coef", "entropy_coef_final", "entropy_steps", "gamma", "lam", "minibatches")

Trial = tuple[str, int]  # arm and number


def draw(training: Training, trial: Trial) -> dict[str, Any]:
    """What a trial sets, by key; it does not depend on how many trials there are."""
    arm, number = trial
    rng = np.random.default_rng((SEED, number))
    drawn = {key: float(np.exp(rng.uniform(*np.log(ends)))) for key, ends in RANGES.items()}
    for key, options in CHOICES.items():
        fit = [option for option in options if key != "minibatches" or training.num_envs % option == 0]
        drawn[key] = rng.choice(fit or [training.minibatches]).item()
    drawn["entropy_coef_final"] *= drawn["entropy_coef"]
    values = {key: float(f"{value:.4g}") if key in RANGES else value for key, value in drawn.items()}
    values["entropy_steps"] = training.entropy_steps or training.budget
    if number == 0:
        values = training.for_learner("ppo" if arm == "incentivized" else "cloning").model_dump(exclude_none=True)
    return {key: values[key] for key in (TUNED if arm == "incentivized" else TAUGHT_OVERRIDES) if key in values}


def cells(settings: Settings, trials: Sequence[Trial]) -> dict[Trial, list[Cell]]:
    """One training run per trial and seed."""
    (family,) = settings.families
    shipped, (size,) = settings.training[family], settings.pools
    plain = shipped.for_learner("ppo")  # what a trial does not set
    points = doubling_budgets(shipped.budget, settings.evaluations, shipped.steps_per_update)
    taught: dict[str, Any] = {"learner": "cloning", "teacher": headline_teacher(family)}
    return {
        (arm, number): [
            Cell(
                study=settings.study,
                role=f"{arm} trial {number}",
                family=family,
                knobs=tuple(sorted(settings.knobs.get(family, {}).items())),
                training=plain.model_copy(update=draw(shipped, (arm, number))),
                pool_size=None if size == "new" else size,
                pool_seed=settings.pool_seed + seed,
                seed=seed,
                evaluation_points=tuple((point, "total") for point in points),
                life=settings.life,
                eval_tasks=settings.eval_tasks,
                eval_instances=settings.eval_instances,
                eval_specialists=0,  # and no held-out task is looked at
                **(taught if arm == "taught" else {}),
            )
            for seed in range(settings.seeds)
        ]
        for arm, number in trials
    }


class TrialLog:
    """`trials.jsonl`: one line per finished trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> dict[Trial, dict[str, Any]]:
        """Finished trials.

        Raises:
            SettingsError: where the file is damaged.
        """
        try:
            lines = read_bounded(self.path, MAX_ROWS_BYTES).decode().splitlines() if self.path.exists() else []
            rows = {(row["arm"], row["trial"]): row for row in map(json.loads, lines)}
            if not all({"settings", "validation", "score"} <= set(row) for row in rows.values()):
                raise ValueError("a line is no trial")
            return rows
        except (OSError, ValueError, TypeError, KeyError) as error:
            if is_out_of_resources(error):
                raise
            raise InputError(f"{self.path}: cannot be read as trials ({type(error).__name__}: {error})") from None

    def append(self, trial: Trial, settings: dict[str, Any], **found: Any) -> None:
        """Add a finished trial; the file is replaced whole, so that a stop cuts off no line."""
        row = {"arm": trial[0], "trial": trial[1], "settings": settings} | found
        write_atomic(self.path, "".join(json.dumps(entry) + "\n" for entry in [*self.rows().values(), row]))


def _measured(runs: Sequence[StoredCell]) -> dict[str, Any]:
    """What is written down of a trial: success on validation tasks by budget and seed, no score where one was given up.

    Args:
        runs: its cells, finished, by seed.
    """
    seeds, seconds = [run.cell.seed for run in runs], round(sum(run.about["seconds"] for run in runs), 2)
    given_up = [run.about["failure"] for run in runs if run.about["failure"]]
    if given_up:
        return {"seeds": seeds, "validation": {}, "score": None, "seconds": seconds, "reason": given_up[0]}
    by_budget: dict[int, list[float]] = {}
    for run in runs:
        counts = run.counts[run.counts["evaluated_on"] == "validation"]
        for point, _ in run.cell.evaluation_points:
            now = counts[counts["env_steps"] == point]
            by_budget.setdefault(point, []).append(float(now["successes"].sum() / now["episodes"].sum()))
    score = float(np.mean(by_budget[max(by_budget)]))
    return {"seeds": seeds, "validation": by_budget, "score": score, "seconds": seconds}


def _search(
    grid: dict[Trial, list[Cell]],
    shipped: Training,
    trials: TrialLog,
    archive: CellStore,
    known: dict[str, StoredCell],
    work: ExecutionOptions,
    console: Console,
) -> None:
    """Train what is not known. A trial of which a run is given up has no score; it does not end the search."""
    cells = [cell for mine in grid.values() for cell in mine]

    def settle() -> None:
        done = trials.rows()
        for trial in (trial for trial, mine in grid.items() if trial not in done):
            if all(cell.id in known for cell in grid[trial]):
                measured = _measured([known[cell.id] for cell in grid[trial]])
                trials.append(trial, draw(shipped, trial), **measured)
                score = "diverged" if measured["score"] is None else f"validation {measured['score']:.3f}"
                line = f"[{len(trials.rows().keys() & grid.keys())}/{len(grid)}] {' trial '.join(map(str, trial))}: "
                console.print(line + score, highlight=False, markup=False, soft_wrap=True)

    def deliver(batch: list[CellResult]) -> None:
        for trained in batch:
            if trained.cell.id not in known:  # it may have come along with others of its group
                known[trained.cell.id] = archive.save(trained)
        settle()

    settle()
    done = {cell.id for trial in trials.rows() for cell in grid.get(trial, ())}
    train_missing(cells, done | set(known), work, deliver)


def _table(rows: dict[Trial, dict[str, Any]], family: str, grid: dict[Trial, Any], console: Console) -> dict[str, Any]:
    """Print the best setting of each arm, beside the one as shipped; returns the trials by arm."""
    lines, pasted, found = [], [f"[training.{family}]"], {}
    for arm in dict.fromkeys(arm for arm, _ in grid):
        mine = [rows[trial] for trial in grid if trial[0] == arm]
        best = max(mine, key=lambda row: -1.0 if row["score"] is None else row["score"])  # of equals the first
        if best["score"] is None:
            raise RunError(f"{family}: every {arm} trial diverged; {best['reason']}")
        found[arm] = {"trials": len(mine), "best": best, "as_shipped": mine[0]}
        last = list(best["validation"].values())[-1]
        shipped = "diverged" if mine[0]["score"] is None else f"{mine[0]['score']:.3f}"
        line = {"arm": arm, "trials": str(len(mine)), "best": str(best["trial"]), "validation": f"{best['score']:.3f}"}
        lines.append(line | {"over seeds": f"{min(last):.3f}-{max(last):.3f}", "as shipped": shipped})
        prefix = "taught_" if arm == "taught" else ""
        values = tomli_w.dumps({prefix + key: value for key, value in best["settings"].items()})
        pasted += [f"# {arm}, trial {best['trial']}", values.rstrip()]
    console.print(rich_table(f"{family}: success on validation tasks at the last budget", lines))
    console.print("\n".join(pasted), highlight=False, markup=False, soft_wrap=True)
    console.print("The best of many trials scored by luck too: expect a little less on tasks not used here.")
    return found


def tune(
    settings: Settings, trials: int, arms: Sequence[str], out: Path, console: Console, workers: int | None = None
) -> dict[str, Any]:
    """Run what is missing of so many trials for each arm, and prints the best settings.

    Returns:
        For programs: `family`, `out`, and by arm the number of trials, the best one and the one as shipped.

    Raises:
        SettingsError: where settings or directory will not do.
        RunError: where a run cannot go on.
    """
    ambient.check_compiled()
    settings = pin_start_from(settings)
    (family,) = settings.families
    shipped = settings.training[family]
    grid = cells(settings, [(arm, number) for arm in arms for number in range(trials)])
    many = workers or default_workers()
    every = [cell for mine in grid.values() for cell in mine]
    check_memory(plan_groups(every), many)
    with tolerate_broken_streams(), signals.stop_on_signal(), open_run_directory(out, settings) as store:
        archive, found = CellStore(out, out.absolute().parent, provenance()), TrialLog(out / "trials.jsonl")
        rows = found.rows()
        for trial in grid.keys() & rows.keys():
            if rows[trial]["settings"] != draw(shipped, trial):
                raise InputError(f"--out {out}: {' trial '.join(map(str, trial))} was made with another search space")
        if "versions" not in store.meta():
            store.update_meta(**archive.made_with)
        steps = grid[arms[0], 0][0].evaluation_points[-1][0]
        cost = f"{trials} trials x {settings.seeds} seeds x {steps:,} steps for {' and '.join(arms)}"
        total = len(grid) * settings.seeds * steps / 1e6
        done = len(grid.keys() & rows.keys())
        line = f"{cost}: {total:,.1f} million environment steps ({done} of {len(grid)} trials found done)"
        console.print(line, highlight=False, soft_wrap=True)
        own, elsewhere = find_finished_cells(every, archive)
        check_start_files(cell for cell in every if cell.id not in own | elsewhere)
        set_status(store, "running")
        work = ExecutionOptions(many, out / "checkpoints" / "groups")
        _search(grid, shipped, found, archive, own | elsewhere, work, console)
        shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
        arms_found = _table(found.rows(), family, grid, console)
    return {"family": family, "out": str(out), "arms": arms_found}
