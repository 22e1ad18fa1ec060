"""Every study runs end to end at its preset "tiny", and the cells that studies share are trained once."""

import json
import re

import pytest

from incentivize.experiments import studies
from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution.validation import validate
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.training.build import family_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.mark.slow
@pytest.mark.parametrize("name", studies.names())
def test_every_study_runs_end_to_end(name, folder, capsys):
    assert main(["run", name, "--preset", "tiny", "--out", str(folder / name)]) == 0
    said, study = capsys.readouterr().out, studies.load(name)
    found = sum(map(int, re.findall(r"(\d+) reused from other runs", said)))
    settings = RunDirectory(folder / name).settings()
    ids = {cell.id for cell in study.cells(settings)}
    beside = {path.stem for path in folder.glob("*/cells/*.npz") if path.parent.parent.name != name}
    assert found == len(ids & beside)  # all that another study here has trained
    claims = json.loads((folder / name / "claims.json").read_text())
    assert {claim["study"] for claim in claims} == {name}
    assert all(claim["reason"] != "cells are missing" for claim in claims)
    assert (folder / name / "figures" / f"{name}.svg").exists()
    assert "<img" in (folder / name / "report.html").read_text()


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("name", studies.names())
def test_every_preset_of_every_study_is_sound(name, preset):
    study = studies.load(name)
    base = {"study": name, "preset": preset} | study.PRESETS[preset]
    settings = resolve(base, presets.training_defaults(preset))
    validate(settings)
    cells = study.cells(settings)
    assert len({(cell.id, cell.role) for cell in cells}) == len(cells)
    assert settings.seeds >= {"standard": 5, "large": 10}.get(preset, 1)


NONE = ("test-time", "memory")  # its search tells the rule; and so does what an attempt brings in a life


@pytest.mark.parametrize("name", [name for name in studies.names() if name != "threshold-prediction"])
def test_large_is_standard_with_more_of_all(name):
    standard, large = (
        resolve(
            {"study": name, "preset": preset} | studies.load(name).PRESETS[preset], presets.training_defaults(preset)
        )
        for preset in ("standard", "large")
    )
    for family in standard.families:
        assert large.training[family].budget == 8 * standard.training[family].budget
    assert len(standard.pools) == 1 or set(standard.pools) < set(large.pools)
    assert large.evaluations in (standard.evaluations, 11)
    with pytest.raises(KeyError):
        presets.training_defaults("standrad")


@pytest.mark.parametrize("control", ["shuffled", "disjoint", "leak"])
@pytest.mark.parametrize("name", [name for name in studies.names() if name not in NONE])
def test_any_study_can_be_run_where_there_is_nothing_to_find(name, control):
    study, family = studies.load(name), "codebooks" if control == "disjoint" else "errands"
    families = (family, "sequences" if control == "disjoint" else "mazes") if name == "mixture" else (family,)
    base = {"study": name, "preset": "tiny"} | study.PRESETS["tiny"] | {"families": families}
    settings = resolve(base, presets.training_defaults("tiny"), {"control": control})
    validate(settings)
    assert {cell.control for cell in study.cells(settings)} - {"blind", "shuffled", "disjoint"} <= {control}
    assert {cell.control for cell in study.cells(settings) if cell.role in ("generalist", "mixture")} <= {control}


def test_the_study_of_lives_can_be_run_where_rules_change():
    study = studies.load("memory")
    settings = resolve(
        {"study": "memory"} | study.PRESETS["tiny"], presets.training_defaults("tiny"), {"control": "changing"}
    )
    validate(settings)
    assert {getattr(family_of(cell).family, "changing", False) for cell in study.cells(settings)} == {True}


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"control": "shufled"}, "control = 'shufled': there is no such name. Did you mean 'shuffled'?"),
        ({"control": "disjoint"}, "control = 'disjoint': needs a family with a hidden rule; Mazes shows its rule"),
    ],
)
def test_a_control_that_is_none_is_refused(own, named):
    study = studies.load("task-count")
    base = {"study": "task-count", "preset": "tiny"} | study.PRESETS["tiny"]
    with pytest.raises(InputError, match=re.escape(named)):
        validate(resolve(base, presets.training_defaults("tiny"), own))


def test_with_a_leak_a_run_gives_no_verdict(tmp_path, capsys):
    assert main(["run", "task-count", "--preset", "tiny", "--control", "leak", "--out", str(tmp_path / "run")]) == 1
    told = r"training draws .*held-out tasks, \d+ of them evaluated\. .*no verdict is given"
    assert re.search(told, capsys.readouterr().err)
    assert not (tmp_path / "run" / "claims.json").exists()
