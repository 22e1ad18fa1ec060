"""Every study runs end to end at its preset "tiny", and the cells that studies share are trained once."""

import json
import re

import pytest

from experiments import presets, studies
from experiments.checks import check
from experiments.cli import main
from experiments.settings import resolve
from experiments.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.mark.slow
@pytest.mark.parametrize("name", studies.names())
def test_every_study_runs_end_to_end(name, folder, capsys):
    assert main(["run", name, "--preset", "tiny", "--out", str(folder / name)]) == 0
    said, study = capsys.readouterr().out, studies.load(name)
    found = sum(map(int, re.findall(r"(\d+) found in other runs", said)))
    settings = Store(folder / name).settings()
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
    settings = resolve(base, presets.training(preset))
    check(settings)
    cells = study.cells(settings)
    assert len({(cell.id, cell.role) for cell in cells}) == len(cells)
    assert preset != "standard" or settings.seeds >= 5
