"""The context of claims, against tables that are known."""

import numpy as np
import pytest

from incentivize.experiments.analysis.claims import Claim
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.reporting.claim_context import control_results, cost_by_arm, summarise_controls
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import task_count
from tests.helpers.counts import counted


def settings_of(**own):
    given = {"study": "task-count"} | task_count.PRESETS["quick"] | {"families": ("errands",)}
    return resolve(given | own, presets.training_defaults("quick"), {})


def claim(family="errands", evaluated_on="unseen"):
    return Claim(
        "task-count", "skill appears", "supported", 0.5, 0.4, 0.6, 3, "a rule", family, "because", evaluated_on
    )


def table(*arms):
    """Rows at two budgets: of a family, a control and a pool, what each seed has on unseen tasks at the last one."""
    rows = []
    for family, control, pool, values in arms:
        for seed, value in enumerate(values):
            row = {"cell": f"{family}-{control}-{pool}-{seed}", "family": family, "control": control, "seed": seed}
            row |= {"pool_size": pool, "simulations": 0, "role": "control"}
            for steps, found in ((1000, 0.9), (2000, value)):
                rows.append(row | {"env_steps": steps, "evaluated_on": "unseen", "success": found})
                rows.append(row | {"env_steps": steps, "evaluated_on": "specialty", "success": found / 2})
    return ResultsTable(rows, counted(), {})


SHUFFLED = [
    ("errands", "shuffled", pool, [top, top + 0.02]) for pool, top in ((4, 0.0), (1, 0.01), (64, 0.4), (None, 0.24))
]
BLIND = ("errands", "blind", None, [0.25])
OTHERS = [("errands", None, 4, [0.9]), ("mazes", "shuffled", 4, [0.9]), ("errands", "duplicated", 4, [0.9])]


def test_controls_of_a_family_are_those_of_its_kind_at_every_pool_and_the_last_budget():
    found = control_results(table(*SHUFFLED, BLIND, *OTHERS), settings_of(), claim())
    assert [(row["control"], row["pool"], row["n"]) for row in found] == [
        ("shuffled", 1, 2), ("shuffled", 4, 2), ("shuffled", 64, 2), ("shuffled", "new", 2), ("blind", "new", 1)
    ]  # fmt: skip
    np.testing.assert_allclose([row["success"] for row in found], [0.02, 0.01, 0.41, 0.25, 0.25])
    assert {(row["env_steps"], row["family"], row["evaluated_on"]) for row in found} == {(2000, "errands", "unseen")}
    assert summarise_controls(found) == (
        "shuffled: 0.02 at pool 1, 0.41 at pool 64 (the highest), 0.25 at new; n = 2. blind: 0.25 at new; n = 1"
    )


def test_controls_are_of_the_tasks_that_the_claim_is_about():
    (blind,) = control_results(table(BLIND), settings_of(), claim(evaluated_on="specialty"))[1:]
    assert (blind["evaluated_on"], blind["success"]) == ("specialty", 0.125)


def test_a_missing_control_is_said_to_be_missing():
    found = control_results(table(*OTHERS), settings_of(), claim())
    assert [(row["control"], row["n"], row["success"]) for row in found] == [("shuffled", 0, None), ("blind", 0, None)]
    assert summarise_controls(found) == "shuffled: missing. blind: missing"


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ({"families": ("codebooks",)}, ["disjoint", "blind"]),
        ({"families": ("codebooks",), "life": 4, "control_pools": ()}, ["changing", "blind"]),
        ({"control": "shuffled"}, ["blind"]),  # all of the run is in it
    ],
)
def test_which_control_goes_with_a_run(own, names):
    settings = settings_of(**own)
    found = control_results(table(*SHUFFLED), settings, claim(settings.families[0]))
    assert [row["control"] for row in found] == names


def test_a_claim_about_all_families_has_the_controls_of_each():
    settings = settings_of(families=("errands", "mazes"))
    found = control_results(table(BLIND, *OTHERS), settings, claim("all"))
    assert summarise_controls(found) == (
        "errands, shuffled: missing. errands, blind: 0.25 at new; n = 1. "
        "mazes, shuffled: 0.90 at pool 4; n = 1. mazes, blind: missing"
    )


def test_what_an_arm_consumed_is_the_mean_over_its_agents():
    settings = settings_of(seeds=2, control_seeds=1, pools=(1, "new"), control_pools=("new",), taught_pools=())
    cells = task_count.cells(settings)
    entry = dict.fromkeys(
        ("episodes", "distinct_tasks", "gradient_steps", "expert_labels", "supervision_bits", "tuning_trials"), 5
    )
    entry |= {"env_steps": 1_500_000, "acting_flops": 10**12, "learning_flops": 3 * 10**12, "seconds": 0.25}
    ledger = {cell.id: entry | {"episodes": 10 if cell.seed else 30} for cell in cells if cell.role != "control"}
    lines = {(line["family"], line["arm"]): line for line in cost_by_arm([*cells, *cells], ledger)}
    assert set(lines) == {("errands", role) for role in ("blind", "generalist", "specialist")}
    assert lines["errands", "generalist"] == {
        "family": "errands", "arm": "generalist", "agents": "4", "steps": "1.5 M", "episodes": "20", "tasks met": "5",
        "gradient steps": "5", "expert labels": "5", "bits": "5", "FLOPs": "4.0 T", "tuning trials": "5",
        "seconds": "0.25",
    }  # fmt: skip
    assert cost_by_arm(cells, {}) == []
    del ledger[cells[0].id]["seconds"]
    assert cells[0].role == "blind"
    assert cost_by_arm(cells, ledger)[0]["seconds"] == "-"  # of an agent it is not known
