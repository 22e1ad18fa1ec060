"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import pool_names
from incentivize.experiments.studies import memory
from tests.helpers.counts import counted


def settings_of(**own):
    base = {"study": "memory", "preset": "quick"} | memory.PRESETS["quick"]
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()


def table_of(gains, noise=0.003, leave_out=None, first=0.3):
    """A run in which success rises evenly within a life: by (role, split, pool), and by nothing where none is given.

    Those without memory begin at .2, the others at `first`.
    """
    rng, rows = np.random.default_rng(0), []
    for cell in memory.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        for split in ("seen", "unseen"):
            gain = gains.get((cell.role, split, cell.pool_size), 0.0) + noise * rng.normal()
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "evaluated_on": split}
            row |= {"env_steps": cell.evaluation_points[-1][0], "pool_size": cell.pool_size}
            level = first if cell.role == "generalist" else 0.2
            rows.append(row | {"success_by_attempt": (level + gain * np.linspace(0, 1, SETTINGS.life)).tolist()})
    return ResultsTable(rows, counted(), {})


FINDS = {("generalist", "unseen", None): 0.3, ("generalist", "seen", None): 0.3, ("generalist", "seen", 16): 0.3}
BY_HEART = {("generalist", "seen", 16): 0.3}
ALWAYS = FINDS | {("generalist", "unseen", 1): 0.3}
ANYHOW = FINDS | {("forgetful", "unseen", None): 0.3}
BY_LUCK = FINDS | {("forgetful", "unseen", None): 0.08}  # a little of it without memory
OPEN = FINDS | {("generalist", "unseen", None): 0.08}


def test_arms_differ_in_their_memory_and_in_nothing_else():
    cells = memory.cells(SETTINGS)
    assert len({cell.id for cell in cells}) == len(cells) == 2 * 3 * 4
    kept = {(cell.role, cell.training.memory) for cell in cells}
    assert kept == {("generalist", "gru"), ("forgetful", "none")}
    alike = {
        (cell.seed, cell.pool_size, cell.evaluation_points, cell.training.model_copy(update={"memory": ""}))
        for cell in cells
    }
    assert len(alike) * 2 == len(cells)
    assert {(cell.life, dict(cell.knobs)["variant"]) for cell in cells} == {(8, "try")}


@pytest.mark.parametrize(
    ("gains", "own", "expected"),
    [
        (FINDS, {}, ["supported", "supported"]),
        (BY_HEART, {}, ["refuted", "refuted"]),  # better on seen tasks only
        (ALWAYS, {}, ["supported", "refuted"]),
        (ANYHOW, {}, ["refuted", "refuted"]),  # without memory as well: then it is not memory
        (BY_LUCK, {}, ["supported", "supported"]),
        (BY_LUCK, {"noise": 0.1}, ["inconclusive", "inconclusive"]),
        (BY_HEART, {"first": 0.15}, ["inconclusive", "inconclusive"]),  # it has not learnt to play
        (OPEN, {"noise": 0.02}, ["inconclusive", "inconclusive"]),
        ({}, {}, ["inconclusive", "inconclusive"]),  # nobody has learnt to use it
        (FINDS, {"leave_out": "generalist"}, ["inconclusive", "inconclusive"]),
        (FINDS, {"leave_out": "forgetful"}, ["inconclusive", "inconclusive"]),
    ],
)
def test_every_verdict(gains, own, expected):
    assert [claim.verdict for claim in memory.verdicts(table_of(gains, **own), SETTINGS)] == expected


def test_what_is_missing_is_called_missing():
    for claims in (
        memory.verdicts(table_of(FINDS, leave_out="forgetful"), SETTINGS),
        memory.verdicts(table_of({}).where(seed=9), SETTINGS),
    ):
        assert {claim.reason for claim in claims} == {"cells are missing"}


def test_the_figure_and_the_table_show_what_was_found():
    figure, rows = memory.figure(table_of(FINDS, noise=0.0), SETTINGS)
    assert len(figure.axes) == 2
    series = {row["series"]: row["mean"] for row in rows}  # the last of each: the last attempt, or the largest pool
    assert series["generalist, new, by attempt"] == pytest.approx(0.6)
    assert series["forgetful, new, by attempt"] == pytest.approx(0.2)
    assert series["generalist, unseen, gain"] == pytest.approx(0.3)
    assert [row["x"] for row in rows if row["series"] == "generalist, seen, gain"] == pool_names(SETTINGS.pools)
    (lines,) = memory.tables(table_of(FINDS, noise=0.0), SETTINGS).values()
    assert [line["with memory, unseen"] for line in lines] == ["0.30 to 0.30"] * 3 + ["0.30 to 0.60"]
    assert lines[1]["with memory, seen"] == "0.30 to 0.60"


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"families": ("errands",), "knobs": {}}, "its rule is shown"),
        ({"life": 1}, "life = 1: must be at least 2"),
        ({"memory": "none"}, "memory = 'none': codebooks must have a memory"),
    ],
)
def test_what_has_nothing_to_be_remembered_is_refused(own, named):
    with pytest.raises(InputError, match=named):
        memory.cells(settings_of(**own))


def test_who_remembers_and_concludes_everything_has_what_the_documents_say():
    """The ideal player of docs/results: uniform among the answers that are still possible."""
    knobs, rng = memory.KNOBS["codebooks"], np.random.default_rng(0)

    def attempt(code, possible):
        def right(cue):
            answer = rng.choice(possible[cue])
            hit = code[cue] == answer
            possible[cue] = [answer] if hit else [other for other in possible[cue] if other != answer]
            return hit

        cues = rng.choice(knobs["cues"], knobs["exam"], replace=False)
        for cue in np.repeat(cues, knobs["study"]):
            right(cue)
        return all(right(cue) for cue in cues)

    def life():
        code, possible = rng.integers(4, size=knobs["cues"]), [[0, 1, 2, 3]] * knobs["cues"]
        return [attempt(code, possible) for _ in range(8)]

    rates = np.mean([life() for _ in range(2000)], axis=0)
    assert rates[0] == pytest.approx(0.25, abs=0.03)
    assert rates[-1] == pytest.approx(0.86, abs=0.03)
