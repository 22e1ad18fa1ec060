"""What a process is told from outside decides over no number: it is set aside, refused, or part of a cell's version."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import flax
import jax
import pytest

from incentivize.envs import jax_settings as settings
from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import STOPPED_STATUS as STOPPED
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime import jax_settings, provenance
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage.code_version import CodeVersion, code_version
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import task_count

RELAXED = "--xla_cpu_enable_fast_math=true"
GATE = {
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
}


@pytest.fixture
def cell():
    base = {"study": "task-count", "preset": "quick", "families": ("errands",)} | task_count.PRESETS["quick"]
    return task_count.cells(resolve(base, presets.training_defaults("quick")))[0]


@pytest.fixture
def plain(monkeypatch):
    """An environment that says nothing; settings of jax and Flax are afterwards as they were."""
    for name in ("XLA_FLAGS", *jax_settings.ARITHMETIC, *map(str.upper, (*settings.NUMBERS, *jax_settings.FLAX))):
        monkeypatch.delenv(name, raising=False)
    before = jax.config.values
    yield monkeypatch
    for name in (*settings.NUMBERS, *settings.GUARDS):
        jax.config.update(name, before[name])
    for name, value in jax_settings.FLAX.items():
        flax.config.update(name, value)


@pytest.mark.parametrize(
    ("text", "unusual", "relaxing"),
    [
        ("", {}, 0),
        ("--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false", {}, 0),
        ("--xla_dump_to=/tmp/x --xla_dump_hlo_as_text --xla_gpu_executable_terminate_timeout_seconds=9", {}, 0),
        ("--xla_cpu_enable_fast_math=false --xla_allow_excess_precision=1", {}, 0),
        ("--xla_allow_excess_precision=false", {"xla_allow_excess_precision": "false"}, 0),
        ("--xla_backend_optimization_level=0", {"xla_backend_optimization_level": "0"}, 0),
        ("--xla_gpu_deterministic_ops=true", {"xla_gpu_deterministic_ops": "true"}, 0),
        (RELAXED, {"xla_cpu_enable_fast_math": "true"}, 1),
        ("  --xla_cpu_enable_fast_math", {"xla_cpu_enable_fast_math": "true"}, 1),
        ("--xla_cpu_fast_math_honor_nans=false", {"xla_cpu_fast_math_honor_nans": "false"}, 1),
        ("--xla_gpu_enable_fast_min_max=1", {"xla_gpu_enable_fast_min_max": "1"}, 1),
        (f"{RELAXED} --xla_cpu_enable_fast_math=0", {}, 0),  # the last one counts
    ],
)
def test_flags_of_xla_are_judged(text, unusual, relaxing, tmp_path):
    file = tmp_path / "flags"
    file.write_text(text.replace(" ", "\n"))
    for variables in ({"XLA_FLAGS": text}, {"XLA_FLAGS": str(file)}, {"LIBTPU_INIT_ARGS": text}):
        assert jax_settings.unusual_flags(variables) == unusual
        assert len(jax_settings.relaxing_flags(variables)) == relaxing


def test_flags_of_a_file_stay_flags_where_more_are_added(tmp_path):
    (tmp_path / "flags").write_text("--xla_a=1\n--xla_b\n")
    assert jax_settings.spell_out(str(tmp_path / "flags")) == "--xla_a=1 --xla_b"
    assert jax_settings.spell_out("--xla_a  --xla_b") == "--xla_a  --xla_b"
    assert jax_settings.spell_out("") == ""
    assert jax_settings.spell_out("/no/such/file") == "/no/such/file"


@pytest.mark.parametrize("arguments", [["run", "task-count"], ["tune", "errands"], ["bench", "envs"]])
@pytest.mark.parametrize(("name", "value"), [("XLA_FLAGS", RELAXED), ("JAX_DISABLE_JIT", "1")])
def test_what_would_give_other_numbers_or_none_is_refused_before_anything_is_done(
    arguments, name, value, plain, tmp_path, capsys
):
    plain.setenv(name, value)
    plain.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{name} = '{value}': ")
    assert said.endswith("\n")
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_at_entry_variables_are_set_aside_in_one_line(plain, capsys):
    before = jax.config.values
    told = GATE | {"JAX_NUMPY_RANK_PROMOTION": "raise", "FLAX_FIX_RNG_SEPARATOR": "1", "JAX_ENABLE_X64": "maybe"}
    for name, value in told.items():
        plain.setenv(name, value)
    for name, value in {"jax_enable_x64": True, "jax_default_prng_impl": "rbg"}.items():
        jax.config.update(name, value)
    flax.config.update("flax_fix_rng_separator", True)
    jax_settings.set_up_process(compiles=True)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert all(f"{name} = {value!r}" in said for name, value in told.items())
    assert not told.keys() & os.environ.keys()
    assert jax.config.values == before
    assert not flax.config.flax_fix_rng_separator
    jax_settings.set_up_process(compiles=True)
    assert capsys.readouterr().err == ""


def test_a_version_says_what_changes_numbers_and_nothing_else(plain, cell):
    usual = code_version(cell)
    assert re.fullmatch("[0-9a-f]{16}", str(usual))
    plain.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    jax.config.update("jax_numpy_rank_promotion", "warn")
    assert code_version(cell) == usual
    plain.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
    jax.config.update("jax_threefry_partitionable", False)
    flax.config.update("flax_fix_rng_separator", True)
    plain.setenv("NVIDIA_TF32_OVERRIDE", "1")
    told = "--xla_gpu_deterministic_ops=true NVIDIA_TF32_OVERRIDE=1 flax_fix_rng_separator=True"
    told += " jax_threefry_partitionable=False"
    assert str(code_version(cell)) == f"{usual} {told}"
    assert str(code_version(cell, checkify=True)) == f"{usual} {told} checked"
    assert CodeVersion.parse(f"{usual} {told} checked") == (str(usual), told, True)
    assert provenance.provenance()["ambient"] == jax_settings.unusual_settings()
    assert len(jax_settings.unusual_settings()) == 4


@pytest.mark.parametrize("name", [name for name in settings.NUMBERS if name in settings._states()])
def test_every_setting_that_changes_numbers_is_told(name):
    other = {None: "float32", "warn": "allow", "threefry2x32": "rbg", "UNKNOWN": "O1", "O2": "O1"}
    value = settings.NUMBERS[name]
    value = not value if isinstance(value, bool) else other[value] if value in other else value + 1
    with settings.with_settings({name: value}):
        assert jax_settings.unusual_settings().keys() - {
            f"--{flag}" for flag in jax_settings.unusual_flags(os.environ)
        } == {name}


def test_a_worker_computes_as_it_is_told(plain):
    told = {"jax_enable_x64": True, "jax_default_prng_impl": "rbg"}
    with jax_settings.ambient_for_workers(told):
        assert jax_settings.unusual_settings() == dict(sorted(told.items()))
    with (
        pytest.raises(InputError, match="NVIDIA_TF32_OVERRIDE = 1: set in this process but not in its workers"),
        jax_settings.ambient_for_workers({"NVIDIA_TF32_OVERRIDE": "1"}),
    ):
        pass


def test_python_functions_refuse_to_begin_without_jit():
    with (
        jax.disable_jit(),
        pytest.raises(InputError, match=r"jax_disable_jit = True: runs need compiled programs\. Unset"),
    ):
        jax_settings.check_compiled()


def git(folder: Path, *asked: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=a@b", *asked]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean).stdout.strip()


@pytest.mark.parametrize("about", ['[project]\nname = "theirs"\n', "not toml", None])
def test_the_commit_of_another_repository_is_not_noted_down(about, tmp_path, monkeypatch):
    inside = tmp_path / ".venv" / "site-packages" / "experiments" / "runtime" / "provenance.py"
    beside = tmp_path / "experiments" / "runtime" / "provenance.py"
    for path in (inside, beside):
        path.parent.mkdir(parents=True)
        path.touch()
    if about is not None:
        (tmp_path / "pyproject.toml").write_text(about)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "theirs")
    for path in (inside, beside):
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "__file__", str(path))
            assert provenance._commit() is None
    own = provenance._commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert provenance._commit() == own
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "incentivize"\n')
    monkeypatch.setattr(provenance, "__file__", str(beside))
    assert provenance._commit() == git(tmp_path, "rev-parse", "HEAD")


SMALL = "--pools new --control-pools new --taught-pools new --seeds 1 --specialists 1 --evaluations 1 --budget 16384"


def started(config, out, **variables):
    """The smallest run, in a folder of its own and a process of its own, which saves as often as it can."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "from incentivize.experiments.cli.main import entry; entry()", "run", "task-count"]
    command += ["--config", str(config), "--out", str(out), "--save-every", "0", "--alone", *SMALL.split()]
    with (out.parent / "log").open("a") as log:
        return subprocess.Popen(command, env=os.environ | variables, stderr=log, stdout=log)


def rows(out):
    return (out / "results.jsonl").read_bytes(), RunDirectory(out).meta()["ambient"]


@pytest.mark.slow
def test_variables_of_jax_change_no_row_also_where_a_run_is_gone_on_with(tiny_config, tmp_path):
    plain = tmp_path / "plain" / "run"
    assert started(tiny_config, plain).wait() == 0
    for name, value in GATE.items():
        out = tmp_path / name / "run"
        assert started(tiny_config, out, **{name: value}).wait() == 0
        assert rows(out) == rows(plain), name
        assert f"{name} = '{value}'" in (out.parent / "log").read_text()
    out = tmp_path / "stopped" / "run"
    run = started(tiny_config, out)
    while run.poll() is None and not list(out.glob("checkpoints/groups/*/*/sealed.json")):
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait() == STOPPED
    assert started(tiny_config, out, **GATE).wait() == 0
    assert "resumes from step" in (out.parent / "log").read_text()
    assert rows(out) == rows(plain)
