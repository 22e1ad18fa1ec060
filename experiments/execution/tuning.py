"""Tuning: random search over training settings on validation tasks, with the same number of trials for both arms.

Trial 0 has the settings as shipped, the others are drawn. Trial i has the same draw in both arms; the taught arm uses
the settings that have an effect on it. A trial's score is its success (sampled actions) on validation tasks at the last
budget, averaged over seeds. Held-out tasks are not evaluated.
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
from incentivize.experiments.execution.completeness import import_missing_cells, load_own_cells
from incentivize.experiments.execution.execution_options import DEFAULT_OPTIONS, ExecutionOptions
from incentivize.experiments.execution.memory_estimate import check_memory
from incentivize.experiments.execution.planning import Plan, plan_groups
from incentivize.experiments.execution.scheduler import train_missing_cells
from incentivize.experiments.execution.workers import complete_options
from incentivize.experiments.presentation.tables import rich_table
from incentivize.experiments.runtime import jax_settings, signals
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.runtime.standard_streams import tolerate_broken_streams
from incentivize.experiments.settings.schema import Settings, doubling_budgets
from incentivize.experiments.settings.training import TAUGHT_OVERRIDES, Training
from incentivize.experiments.storage.cell_store import CellResult, CellStore, StoredCell
from incentivize.experiments.storage.io import MAX_ROWS_BYTES, read_bounded, write_atomic
from incentivize.experiments.storage.ownership import open_run_directory, set_status
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.start_from import check_start_files

PRESET: dict[str, Any] = {"study": "tune", "seeds": 2, "eval_tasks": 256, "eval_instances": 4, "evaluations": 3}

SEED = 20_250_101  # of all drawn settings
RANGES = {"learning_rate": (3e-4, 1e-2), "entropy_coef": (1e-3, 0.2), "entropy_coef_final": (0.03, 1.0)}  # log-uniform
"""Ranges of settings that are drawn log-uniformly.

`entropy_coef_final` is drawn as a share of `entropy_coef`. It is reached at the shipped `entropy_steps`, or else at the
end of training.
"""
CHOICES = {"gamma": (0.8, 0.9, 0.95, 0.99, 1.0), "lam": (0.8, 0.9, 0.95, 1.0), "minibatches": (4, 8, 16)}
TUNED = ("learning_rate", "entropy_coef", "entropy_coef_final", "entropy_steps", "gamma", "lam", "minibatches")

Trial = tuple[str, int]  # arm and number


def draw(training: Training, trial: Trial) -> dict[str, Any]:
    """Draw the settings of a trial, by key. They do not depend on the number of trials."""
    arm, number = trial
    rng = np.random.default_rng((SEED, number))
    drawn = {key: float(np.exp(rng.uniform(*np.log(ends)))) for key, ends in RANGES.items()}
    for key, options in CHOICES.items():
        allowed = [option for option in options if key != "minibatches" or training.num_envs % option == 0]
        drawn[key] = rng.choice(allowed or [training.minibatches]).item()
    drawn["entropy_coef_final"] *= drawn["entropy_coef"]
    values = {key: float(f"{value:.4g}") if key in RANGES else value for key, value in drawn.items()}
    values["entropy_steps"] = training.entropy_steps or training.budget
    if number == 0:
        values = training.for_learner("ppo" if arm == "incentivized" else "cloning").model_dump(exclude_none=True)
    return {key: values[key] for key in (TUNED if arm == "incentivized" else TAUGHT_OVERRIDES) if key in values}


def cells(settings: Settings, trials: Sequence[Trial]) -> dict[Trial, list[Cell]]:
    """Return the cells of every trial, one per seed."""
    (family,) = settings.families
    shipped, (size,) = settings.training[family], settings.pools
    base = shipped.for_learner("ppo")  # the settings that no trial changes
    points = doubling_budgets(shipped.budget, settings.evaluations, shipped.steps_per_update)
    taught: dict[str, Any] = {"learner": "cloning", "teacher": headline_teacher(family)}
    return {
        (arm, number): [
            Cell(
                study=settings.study,
                role=f"{arm} trial {number}",
                family=family,
                knobs=tuple(sorted(settings.knobs.get(family, {}).items())),
                training=base.model_copy(update=draw(shipped, (arm, number))),
                pool_size=size,
                pool_seed=settings.pool_seed + seed,
                seed=seed,
                evaluation_points=tuple((point, "total") for point in points),
                life=settings.life,
                eval_tasks=settings.eval_tasks,
                eval_instances=settings.eval_instances,
                eval_specialists=0,  # so that no held-out task is evaluated
                **(taught if arm == "taught" else {}),
            )
            for seed in range(settings.seeds)
        ]
        for arm, number in trials
    }


class TrialLog:
    """Finished trials of a search: `trials.jsonl`, one line per trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> dict[Trial, dict[str, Any]]:
        """Return all finished trials.

        Raises:
            InputError: if the file is damaged; the message names the line.
        """
        try:
            lines = read_bounded(self.path, MAX_ROWS_BYTES).decode().splitlines() if self.path.exists() else []
        except (OSError, ValueError) as error:
            if is_out_of_resources(error):
                raise
            problem = f"{self.path}: cannot be read as trials ({type(error).__name__}: {error})"
            raise InputError(f"{problem}. Restore the file, or use another --out.") from None
        rows = {}
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if missing := {"settings", "validation", "score"}.difference(row):
                    raise ValueError(f"without {', '.join(sorted(missing))}")
                rows[row["arm"], row["trial"]] = row
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                problem = f"{self.path}: line {number} is not a trial ({type(error).__name__}: {error})"
                raise InputError(f"{problem}. Delete the line, or use another --out.") from None
        return rows

    def append(self, trial: Trial, settings: dict[str, Any], **results: Any) -> None:
        """Add a finished trial. The file is replaced whole, so that an interruption leaves no partial line."""
        row = {"arm": trial[0], "trial": trial[1], "settings": settings} | results
        write_atomic(self.path, "".join(json.dumps(entry) + "\n" for entry in [*self.rows().values(), row]))


def _results(cells: Sequence[StoredCell]) -> dict[str, Any]:
    """Return the results of a trial: success on validation tasks by budget and seed, and the score.

    A trial with a cell that was given up has no score.

    Args:
        cells: all cells of the trial, finished, one per seed.
    """
    seeds, seconds = [stored.cell.seed for stored in cells], round(sum(stored.about["seconds"] for stored in cells), 2)
    given_up = [stored.about["failure"] for stored in cells if stored.about["failure"]]
    if given_up:
        return {"seeds": seeds, "validation": {}, "score": None, "seconds": seconds, "reason": given_up[0]}
    by_budget: dict[int, list[float]] = {}
    for stored in cells:
        counts = stored.counts[stored.counts["evaluated_on"] == "validation"]
        for point, _ in stored.cell.evaluation_points:
            at_point = counts[counts["env_steps"] == point]
            by_budget.setdefault(point, []).append(float(at_point["successes"].sum() / at_point["episodes"].sum()))
    score = float(np.mean(by_budget[max(by_budget)]))
    return {"seeds": seeds, "validation": by_budget, "score": score, "seconds": seconds}


def _search(
    grid: dict[Trial, list[Cell]],
    plan: Plan,
    shipped: Training,
    log: TrialLog,
    cell_store: CellStore,
    finished: dict[str, StoredCell],
    options: ExecutionOptions,
    console: Console,
) -> None:
    """Train the missing cells of all trials, and log every trial whose cells are finished.

    A trial with a cell that was given up has no score; it does not end the search.

    Args:
        grid: cells by trial.
        plan: cells and groups of all trials.
        shipped: training settings as shipped.
        log: log of finished trials.
        cell_store: store of finished cells.
        finished: finished cells by id; new ones are added.
        options: options of the training of cells.
        console: console that gets a line per trial.
    """

    def log_finished_trials() -> None:
        logged = log.rows()
        for trial, cells in grid.items():
            if trial in logged or not all(cell.id in finished for cell in cells):
                continue
            results = _results([finished[cell.id] for cell in cells])
            log.append(trial, draw(shipped, trial), **results)
            score = "given up" if results["score"] is None else f"validation {results['score']:.3f}"
            line = f"[{len(log.rows().keys() & grid.keys())}/{len(grid)}] {_name(trial)}: {score}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    def deliver(results: list[CellResult]) -> None:
        for result in results:
            if result.cell.id not in finished:  # it may have been trained again with others of its group
                finished[result.cell.id] = cell_store.save(result)
        log_finished_trials()

    log_finished_trials()
    in_logged_trials = {cell.id for trial in log.rows() for cell in grid.get(trial, ())}
    train_missing_cells(plan.groups, in_logged_trials | set(finished), options, deliver)


def _print_best(
    rows: dict[Trial, dict[str, Any]], family: str, grid: dict[Trial, list[Cell]], console: Console
) -> dict[str, Any]:
    """Print the best settings of each arm, in a table with those as shipped and as TOML to paste.

    Returns:
        By arm: `trials`, the number of trials; `best` and `as_shipped`, one row each.

    Raises:
        RunError: if every trial of an arm was given up.
    """
    lines, toml, summary = [], [f"[training.{family}]"], {}
    for arm in dict.fromkeys(arm for arm, _ in grid):
        trials = [rows[trial] for trial in grid if trial[0] == arm]
        best = max(trials, key=lambda row: -1.0 if row["score"] is None else row["score"])  # the first of equal ones
        if best["score"] is None:
            advice = "Narrow the search or lower the learning rate."
            raise RunError(f"{family}: every {arm} trial was given up ({best['reason']}). {advice}")
        summary[arm] = {"trials": len(trials), "best": best, "as_shipped": trials[0]}
        by_seed = list(best["validation"].values())[-1]
        shipped = "given up" if trials[0]["score"] is None else f"{trials[0]['score']:.3f}"
        line = {"arm": arm, "trials": str(len(trials)), "best": str(best["trial"])}
        line |= {"validation": f"{best['score']:.3f}", "over seeds": f"{min(by_seed):.3f}-{max(by_seed):.3f}"}
        lines.append(line | {"as shipped": shipped})
        prefix = "taught_" if arm == "taught" else ""
        values = tomli_w.dumps({prefix + key: value for key, value in best["settings"].items()})
        toml += [f"# {arm}, trial {best['trial']}", values.rstrip()]
    console.print(rich_table(f"{family}: success on validation tasks at the last budget", lines))
    console.print("\n".join(toml), highlight=False, markup=False, soft_wrap=True)
    console.print("The best of many trials is chosen partly by luck: expect a little less on tasks not used here.")
    return summary


def _name(trial: Trial) -> str:
    """Name a trial, such as "taught trial 3"."""
    return " trial ".join(map(str, trial))


def tune(
    settings: Settings,
    trials: int,
    arms: Sequence[str],
    out: Path,
    console: Console,
    options: ExecutionOptions = DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """Run the missing trials of each arm, and print the best settings.

    Args:
        settings: settings of the search; they have passed `validation.validate`.
        trials: number of trials per arm.
        arms: "incentivized", "taught" or both.
        out: the run directory.
        console: console that gets progress and tables.
        options: options of the training of cells; the checkpoint folder is set here.

    Returns:
        The document of `--json`: `family`, `out`, and by arm the number of trials, the best one and the one as shipped.

    Raises:
        InputError: if settings or directory do not fit.
        RunError: if a run cannot go on, or every trial of an arm was given up.
        Stopped: on request.
    """
    jax_settings.check_compiled()
    settings = pin_start_from(settings)
    options = complete_options(options, out)
    (family,) = settings.families
    shipped = settings.training[family]
    grid = cells(settings, [(arm, number) for arm in arms for number in range(trials)])
    all_cells = [cell for trial_cells in grid.values() for cell in trial_cells]
    plan = Plan(all_cells, plan_groups(all_cells))
    check_memory(plan.groups, options.workers)
    with tolerate_broken_streams(), signals.stop_on_signal(), open_run_directory(out, settings) as directory:
        cell_store = CellStore(out, out.absolute().parent if options.reuse else None, provenance(), options.checkify)
        log = TrialLog(out / "trials.jsonl")
        logged = log.rows()
        for trial in grid.keys() & logged.keys():
            if logged[trial]["settings"] != draw(shipped, trial):
                raise InputError(
                    f"--out = {out}: {_name(trial)} was made with another search space. Use another --out."
                )
        if "versions" not in directory.meta():
            directory.update_meta(**cell_store.made_with)
        steps = plan.cells[0].evaluation_points[-1][0]
        size = f"{trials} trials x {settings.seeds} seeds x {steps:,} steps for {' and '.join(arms)}"
        total = len(grid) * settings.seeds * steps / 1e6
        done = f"{len(grid.keys() & logged.keys())} of {len(grid)} trials finished before"
        console.print(f"{size}: {total:,.1f} million environment steps ({done})", highlight=False, soft_wrap=True)
        finished = import_missing_cells(load_own_cells(plan.cells, cell_store), plan.cells, cell_store).by_id
        check_start_files(cell for cell in plan.cells if cell.id not in finished)
        set_status(directory, "running")
        _search(grid, plan, shipped, log, cell_store, finished, options, console)
        shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
        summary = _print_best(log.rows(), family, grid, console)
    return {"family": family, "out": str(out), "arms": summary}
