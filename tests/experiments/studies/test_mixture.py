"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize import envs
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import mixture
from incentivize.experiments.training.build import build_setup
from tests.helpers.counts import counted

FAMILIES = ("errands", "codebooks", "puzzles")


def settings_of(*layers, families=FAMILIES):
    base = {"study": "mixture"} | mixture.PRESETS["quick"] | {"families": families}
    return resolve(base, presets.training_defaults("quick"), *layers)


SETTINGS = settings_of()


def table_of(alone=0.8, mixed=0.8, wide=0.8, noise=0.01, leave_out=None):
    """A run in which every part ends with the given score, and has half of it before."""
    rng, rows = np.random.default_rng(0), []
    level = {"alone": alone, "mixture": mixed, "wide": wide, "taught": 0.9, "blind": 0.0}
    for cell in mixture.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        for point, _ in cell.evaluation_points:
            for family in cell.members:
                score = level[cell.role] * (1 if point == cell.evaluation_points[-1][0] else 0.5) + noise * rng.normal()
                row = {"cell": cell.id, "family": family, "role": cell.role, "seed": cell.seed, "env_steps": point}
                row |= {"success": 0.1 + 0.9 * score, "score": score}
                rows += [row | {"evaluated_on": split} for split in ("seen", "unseen")]
    return ResultsTable(rows, counted(), {"blind": dict.fromkeys(FAMILIES, 0.1)})


def verdicts(**own):
    return [claim.verdict for claim in mixture.verdicts(table_of(**own), SETTINGS)]


@pytest.mark.parametrize(
    ("levels", "kept", "capacity"),
    [
        ({"mixed": 0.75, "wide": 0.75}, "supported", "refuted"),
        ({"mixed": 0.4, "wide": 0.7}, "refuted", "supported"),
        ({"mixed": 0.63, "wide": 0.7, "noise": 0.05}, "inconclusive", "inconclusive"),
        ({"alone": 0.1, "mixed": 0.4, "wide": 0.7}, "inconclusive", "inconclusive"),  # there is nothing to keep
        ({"mixed": 0.75, "wide": 0.75, "leave_out": "mixture"}, "inconclusive", "inconclusive"),
        ({"mixed": 0.75, "wide": 0.75, "leave_out": "alone"}, "inconclusive", "inconclusive"),
    ],
)
def test_every_verdict(levels, kept, capacity):
    assert verdicts(**levels) == [kept] * len(FAMILIES) + [capacity]


def test_an_agent_of_all_has_as_many_steps_and_gradient_steps_in_each_family():
    cells = mixture.cells(SETTINGS)
    alone = {cell.family: cell for cell in cells if cell.role == "alone"}
    mixed = next(cell for cell in cells if cell.role == "mixture")
    wide = next(cell for cell in cells if cell.role == "wide")
    assert mixed.members == FAMILIES == tuple(alone)
    for cell in alone.values():
        assert [(len(FAMILIES) * point, kind) for point, kind in cell.evaluation_points] == list(
            mixed.evaluation_points
        )
        mine, theirs = (build_setup(one) for one in (cell, mixed))
        assert theirs.num_envs == len(FAMILIES) * mine.num_envs
        assert theirs.num_envs // theirs.minibatches == mine.num_envs // mine.minibatches
        assert mixed.training.entropy_steps == len(FAMILIES) * cell.training.entropy_steps
    assert wide.training.width == 2 * mixed.training.width
    assert wide.evaluation_points == mixed.evaluation_points


def test_a_mixture_keeps_every_family_s_knobs():
    settings = settings_of({"knobs": {"codebooks": {"variant": "try"}, "errands": {"values": 5}}})
    mixed = next(cell for cell in mixture.cells(settings) if cell.role == "mixture")
    assert dict(mixed.knobs) == {"codebooks.variant": "try", "errands.values": 5}
    errands, codebooks, puzzles = (member.family for member in build_setup(mixed).family.members)
    plain = [envs.make(family) for family in FAMILIES]
    assert errands != plain[0]
    assert codebooks != plain[1]
    assert puzzles == plain[2]


def test_the_teacher_is_fair_where_any_rule_is_hidden():
    taught = [
        cell.teacher
        for families in (FAMILIES, ("errands", "puzzles"))
        for cell in mixture.cells(settings_of(families=families))
        if cell.role == "taught"
    ]
    assert taught == ["fair-dagger", "dagger"]


def test_who_is_taught_first_has_the_same_teacher_in_any_order():
    for families in (("errands", "codebooks"), ("codebooks", "errands")):
        settings = settings_of({"taught_steps": 8192, "taught_minibatches": 4}, families=families)
        mixed = [cell for cell in mixture.cells(settings) if len(cell.members) > 1]
        assert {cell.teacher for cell in mixed} == {"fair-dagger"}
        assert {cell.training.taught_steps for cell in mixed if cell.learner == "ppo"} == {2 * 8192}
        assert {cell.training.minibatches for cell in mixed if cell.learner == "cloning"} == {8}


def test_one_family_or_different_training_is_refused():
    with pytest.raises(InputError, match=r"families = \['errands'\]: a mixture has at least two"):
        mixture.cells(settings_of(families=("errands",)))
    with pytest.raises(InputError, match=r"training.puzzles.gamma = 0.5: must be 0.95 as for errands"):
        mixture.cells(settings_of({"training": {"puzzles": {"gamma": 0.5}}}))
    with pytest.raises(InputError, match=r"parameters = 9000: .*Give a width"):
        mixture.cells(settings_of({"parameters": 9000}))
    with pytest.raises(InputError, match=r"pools = \[64\]: must be \[\"new\"\]"):
        mixture.cells(settings_of({"pools": (64,)}))
    with pytest.raises(InputError, match=r"start_from = 'a.msgpack': no parameters fit"):
        mixture.cells(settings_of({"start_from": "a.msgpack"}))


def test_the_figure_and_the_table_show_every_family_by_steps_in_it():
    table = table_of(mixed=0.6)
    figure, rows = mixture.figure(table, SETTINGS)
    assert len(figure.axes) == len(FAMILIES)
    assert {(row["family"], row["series"]) for row in rows} == {(f, role) for f in FAMILIES for role in mixture.ARMS}
    budget = SETTINGS.training["errands"].budget
    last = {row["series"]: row["x"] for row in rows if row["family"] == "puzzles" and row["x"] > budget / 2}
    assert len(set(last.values())) == 1
    (lines,) = mixture.tables(table, SETTINGS).values()
    assert [line["family"] for line in lines] == list(FAMILIES)
    assert float(lines[0]["mixture/alone"]) == pytest.approx(0.75, abs=0.02)
