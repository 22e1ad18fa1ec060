"""Settings without effect are refused; the same settings where they have one are not."""

import pytest

from incentivize import envs
from incentivize.experiments import studies
from incentivize.experiments.cli.main import main
from incentivize.experiments.design.grid import has_hidden_rule
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution.unused_settings import check_unused_settings
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve


def check(study, **own):
    base = {"study": study, "preset": "quick"} | studies.load(study).PRESETS["quick"] | {"families": ("mazes",)}
    settings = resolve(base, presets.training_defaults("quick"), own)
    check_unused_settings(settings, studies.load(study).cells(settings))


@pytest.mark.parametrize(
    ("study", "idle", "more"),
    [
        ("test-time", {"noise": 0.1}, {"taught_steps": 10_000}),
        ("task-count", {"demonstrations": 9}, None),
        ("task-count", {"hunger": 0.1}, {"reward": "sparse+hunger"}),
        ("task-count", {"hunger": 0.1}, {"reward": "fading"}),
        ("task-count", {"shaping": 2.0}, {"reward": "sparse + shaped"}),
        ("task-count", {"taste": 0.1}, {"reward": "sparse+taste"}),
        ("task-count", {"taste_steps": 9}, {"reward": "sparse+taste"}),
        ("task-count", {"near": 3}, {"reward": "sparse+taste"}),
        ("taste-and-hunger", {"taste": 0.1}, {"tastes": (0.0, 0.1)}),
        ("taste-and-hunger", {"hunger": 0.1}, {"hungers": (0.0, 0.1)}),
        ("taste-and-hunger", {"reward": "fading"}, None),
        ("task-count", {"entropy_coef_final": 0.001}, {"entropy_steps": 9}),
        ("task-count", {"entropy_steps": 9}, {"entropy_coef_final": 0.001}),
        ("task-count", {"parameters": 9000, "width": 32}, {"parameters": 0}),
    ],
)
def test_what_would_do_nothing_is_refused(study, idle, more):
    key, value = list(idle.items())[-1]
    with pytest.raises(InputError, match=f"^{key} = {value!r}: has no effect in {study}, as [^\n]*\\.$"):
        check(study, **idle)
    if more:
        check(study, **(idle | more))


@pytest.mark.parametrize(
    "constant", [{"entropy_coef": 0.02}, {"entropy_steps": 0}, {"entropy_coef": 0.02, "entropy_steps": 0}]
)
def test_a_bonus_that_falls_as_shipped_may_be_made_constant(constant):
    base = {"study": "task-count"} | studies.load("task-count").PRESETS["quick"] | {"families": ("errands",)}
    settings = resolve(base, presets.training_defaults("quick"), constant)
    check_unused_settings(settings, studies.load("task-count").cells(settings))


@pytest.mark.parametrize("study", studies.names())
@pytest.mark.parametrize("preset", presets.PRESETS)
def test_what_is_shipped_is_never_refused(study, preset):
    for family in envs.names():
        if (study == "test-time" and has_hidden_rule(family)) or (study == "memory" and not has_hidden_rule(family)):
            continue
        several = ("codebooks", "errands") if study == "mixture" else (family,)
        base = {"study": study, "preset": preset} | studies.load(study).PRESETS[preset] | {"families": several}
        settings = resolve(base, presets.training_defaults(preset))
        check_unused_settings(settings, studies.load(study).cells(settings))
        check_unused_settings(settings, [])  # as it is for a resolved file with every value in it


def test_the_command_refuses_it_before_anything_is_made(tiny_config, tmp_path, capsys):
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run"), "--shaping", "2"]
    assert main(arguments) == 2
    assert 'shaping = 2.0: has no effect in task-count, as no agent uses the reward "shaped"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
