"""Configurations and run directories as nobody meant them: refused or mended with a reason, never a traceback.

The suite tries some; `pytest -m slow tests/end_to_end/test_fuzz.py` tries 10,000 configurations and 1,000 directories.
"""

import random
from collections import Counter
from contextlib import contextmanager
from datetime import date

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incentivize import envs
from incentivize.experiments.cli import main
from incentivize.experiments.cli.commands.run import Run, SettingsFlags
from incentivize.experiments.settings.loading import dump, load
from incentivize.experiments.settings.schema import FLAG_KEYS, Settings
from incentivize.experiments.settings.training import TRAINING_KEYS
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import STUDIES
from tests.helpers.damage import copy, damage
from tests.helpers.drawing import leave_out_pictures

KEYS = ("study", "preset", "knobs", "training", *FLAG_KEYS, *TRAINING_KEYS)
WORDS = (*envs.names(), "new", "mlp", "gru", "relational", "taught", "incentivized", "sparse", "sparse+hunger", "quick")
numbers = st.integers(-3, 70) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**31, 10**12, 10**15, 512, 128])
floats = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
words = st.sampled_from(WORDS) | st.text(max_size=8)
plain = numbers | floats | words | st.booleans() | st.just(date(2026, 11, 26))
values = plain | st.lists(numbers | words, max_size=5) | st.dictionaries(words, plain, max_size=3)
keys = st.sampled_from(KEYS) | st.sampled_from(KEYS).map(lambda key: key[:-1]) | words
tables = st.fixed_dictionaries(
    {},
    optional={
        "training": st.dictionaries(st.sampled_from(envs.names()) | words, st.dictionaries(keys, plain, max_size=3)),
        "knobs": st.dictionaries(st.sampled_from(envs.names()) | words, st.dictionaries(words, plain, max_size=3)),
        "families": st.lists(st.sampled_from(envs.names()), max_size=3, unique=True),
    },
)
few = st.dictionaries(st.sampled_from(FLAG_KEYS + TRAINING_KEYS), numbers | floats | words, min_size=1, max_size=2)
configurations = st.one_of(
    few, st.builds(lambda own, more: more | own, tables, st.dictionaries(keys, values, max_size=4))
)


class Begun(KeyboardInterrupt):
    """All checks were passed."""


@pytest.fixture
def begun(monkeypatch):
    """The settings of runs that would have begun."""
    found: list[Settings] = []

    @contextmanager
    def owned(out, settings):
        found.append(settings)
        raise Begun
        yield

    monkeypatch.setattr("incentivize.experiments.execution.study_run.open_run_directory", owned)
    return found


def attempt(text, folder, capsys, begun):
    """Runs a study with a configuration, up to where it would begin; returns the exit status."""
    path = folder / "config.toml"
    path.write_bytes(text)
    study = random.Random(text).choice(list(STUDIES))
    command = Run(study=study, settings=SettingsFlags(), config=path, out=folder / "run", workers=1)
    status = main.dispatch(command)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not (folder / "run").exists()
    if status == main.STOPPED:
        assert load(dump(begun[-1]), path) == begun[-1]
    else:
        assert status == main.BAD_INPUT, (text, said)
        assert said.strip()
    return status


def fuzz(examples, folder, capsys, begun):
    counts = Counter()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(configurations, st.none() | st.integers(0, 2**32))
    def run(configuration, seed):
        text = tomli_w.dumps(configuration).encode()
        if seed is not None and text:  # not even a TOML file
            rng = random.Random(seed)
            text = bytearray(text)
            for _ in range(rng.randint(0, 2)):
                text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
            text = bytes(text)
        counts[attempt(text, folder, capsys, begun)] += 1

    run()
    return counts


def test_no_configuration_makes_a_traceback(tmp_path, capsys, begun):
    counts = fuzz(150, tmp_path, capsys, begun)
    assert counts[main.BAD_INPUT] > 30
    assert counts[main.STOPPED] > 5  # every version of hypothesis draws others: by 6.150 just 10 of them begin


@pytest.mark.slow
def test_ten_thousand_configurations(tmp_path, capsys, begun):
    counts = fuzz(10_000, tmp_path, capsys, begun)
    with capsys.disabled():
        print(f"\n{sum(counts.values())} configurations: {dict(counts)}")
    assert sum(counts.values()) >= 10_000


def damaged_runs(seeds, tiny_run, tiny_config, folder, capsys, monkeypatch):
    """Damages so many copies of a run and goes on with them; returns how often what came of it."""
    counts = Counter()
    sound = RunDirectory(tiny_run)
    wanted = sound.rows(), sound.tasks(10**6), sound.meta()["blind"], sound.meta()["ledger"]
    leave_out_pictures(monkeypatch)
    for seed in seeds:
        rng = random.Random(seed)
        run = copy(tiny_run, folder / "run")
        if rng.random() < 0.5:  # as if it had been killed, or stopped
            state = rng.choice(["running", "stopped", "failed"])
            (run / "status.json").write_text((run / "status.json").read_text().replace("done", state))
        done = damage(run, rng, most=3)
        told = main.main(["report", str(run), "--out", str(folder / "report")])
        first = capsys.readouterr().err
        status = main.main(["run", "task-count", "--config", str(tiny_config), "--out", str(run), "--alone"])
        said = capsys.readouterr().err
        assert "Traceback" not in first + said, done
        assert told in (0, 2), (seed, done, first)
        assert told == 0 or str(run) in first, (seed, done, first)
        assert status in (0, 1, 2), (seed, done, said)
        assert status != 1 or "Is a directory" in said, (seed, done, said)  # nothing else ends a run that was damaged
        assert status == 0 or str(run) in said, (seed, done, said)
        if status == 0:
            directory = RunDirectory(run)
            directory.check_digests()
            found = directory.rows(), directory.tasks(10**6), directory.meta()["blind"], directory.meta()["ledger"]
            assert found[0] == wanted[0], (seed, done)
            assert (found[1] == wanted[1]).all(), (seed, done)
            assert found[2:] == wanted[2:], (seed, done)
        counts["as it was" if status == 0 and not said else ("mended", "failed", "refused")[status]] += 1
    return counts


def test_a_damaged_run_is_mended_or_refused(trained, tiny_run, tiny_config, tmp_path, capsys, monkeypatch):
    counts = damaged_runs([*range(30), 525], tiny_run, tiny_config, tmp_path, capsys, monkeypatch)
    assert counts["mended"] > 10
    assert counts["refused"]


@pytest.mark.slow
def test_a_thousand_damaged_runs(trained, tiny_run, tiny_config, tmp_path, capsys, monkeypatch):
    counts = damaged_runs(range(1000), tiny_run, tiny_config, tmp_path, capsys, monkeypatch)
    with capsys.disabled():
        print(f"\n{sum(counts.values())} damaged runs: {dict(counts)}")
    assert sum(counts.values()) == 1000
