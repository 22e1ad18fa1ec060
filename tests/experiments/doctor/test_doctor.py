"""The doctor: every check where all is well and where it is not, and the command with a jax that crashes or hangs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from incentivize import envs, experiments, rewards
from incentivize.agents.encoders import ENCODERS
from incentivize.experiments import studies
from incentivize.experiments.cli.main import main
from incentivize.experiments.doctor import Finding, devices, machine, packages, plugins, run_checks
from incentivize.experiments.doctor.isolated import IsolatedRun, run_isolated
from incentivize.experiments.runtime.cgroup import CgroupLimits
from incentivize.experiments.trackers.registry import TRACKERS
from tests.helpers.paths import ROOT

GIB = 2**30
RUNS = IsolatedRun(
    0, json.dumps({"backend": "cpu", "devices": ["cpu:cpu"], "value": 512.0, "seconds": 2.0, "version": "1"})
)
INSTALLED = {"jax": "0.10.2", "flax": "0.12.8", "submitit": "1.5"}


def test_python_has_to_fit():
    assert packages.check_python("3.11.7", ">=3.11").state == "ok"
    old = packages.check_python("3.10.1", ">=3.11")
    assert old.state == "wrong"
    assert "3.10.1 is outside >=3.11" in old.says


def test_packages_that_are_missing_or_do_not_fit_are_named_with_what_mends_them():
    fits = ["jax>=0.10,<0.13", "flax>=0.12", 'torch; extra == "never"', 'winonly; sys_platform == "win32"']
    assert packages.check_packages(fits, INSTALLED.get) == Finding(
        "packages", "ok", "all 2 required packages, in versions that fit"
    )
    found = packages.check_packages(["jax>=0.11", "optax>=0.2.8", "flax"], INSTALLED.get)
    assert found.state == "wrong"
    assert "jax 0.10.2 is outside >=0.11; optax is missing" in found.says
    assert "Run pip install 'jax>=0.11' 'optax>=0.2.8'." in found.says


def test_extras_are_looked_for_as_far_as_the_extras_of_what_they_need():
    requires = {"jax": ["numpy", 'plugin>=2; extra == "cuda13"']}
    cuda = ['jax[cuda13]>=0.10; extra == "cuda"']
    found = packages.check_extra("cuda", cuda, INSTALLED.get, requires.__getitem__)
    assert (found.state, found.says) == (
        "ok",
        "is not installed (plugin). To use it, run pip install 'incentivize[cuda]'.",
    )
    with_plugin = INSTALLED | {"plugin": "2.1"}
    assert packages.check_extra("cuda", cuda, with_plugin.get, requires.__getitem__).says == "is installed"
    assert packages.check_extra("slurm", ["submitit>=1.5"], INSTALLED.get, requires.__getitem__).says == "is installed"


def test_the_package_s_own_files_have_to_be_there(tmp_path):
    folder = Path(experiments.__path__[0]) / "presentation" / "templates"
    assert sorted(path.name for path in folder.iterdir()) == sorted(packages.TEMPLATES)
    assert packages.check_templates(folder).state == "ok"
    found = packages.check_templates(tmp_path)
    assert found.state == "wrong"
    assert "report.html" in found.says


def test_gymnasium_has_to_know_every_family():
    assert packages.check_gymnasium_ids(["Mazes"], ["incentivize/Mazes-v0"]).state == "ok"
    found = packages.check_gymnasium_ids(["Mazes"], [])
    assert found.state == "wrong"
    assert "incentivize/Mazes-v0" in found.says


@pytest.mark.parametrize(
    ("ran", "state", "says"),
    [
        (RUNS, "ok", "compiles and runs on cpu:cpu"),
        (IsolatedRun(0, RUNS.out.replace(": 2.0", ": 50.0")), "warning", "slow"),
        (IsolatedRun(0, RUNS.out.replace("512.0", "511.0")), "wrong", "computes 511.0 instead of 512.0"),
        (IsolatedRun(0, "no answer"), "wrong", "does not run"),
        (IsolatedRun(None, "120 s"), "wrong", "no answer within 120 s"),
        (IsolatedRun(-11, "", ""), "wrong", "killed by SIGSEGV: no message"),
        (
            IsolatedRun(1, "", "Traceback\nImportError: libfoo is missing\n----\nhints"),
            "wrong",
            "ImportError: libfoo is missing",
        ),
        (
            IsolatedRun(-6, "", "F1128 12:00:00.1 7 parse.cc:234] Unknown flag: --a\n@ stack"),
            "wrong",
            "SIGABRT: Unknown flag: --a",
        ),
    ],
)
def test_jax_has_to_compute_rightly_and_in_time(ran, state, says):
    found = devices.check_jax(ran)
    assert found.state == state
    assert says in found.says


@pytest.mark.parametrize(
    ("files", "libtpu", "backend", "asked", "state", "says"),
    [
        ([], False, "cpu", "", "ok", "runs use the CPU"),
        (["/dev/nvidia0"], False, "gpu", "", "ok", "gpu"),
        (["/dev/nvidia0"], False, "cpu", "", "warning", "pip install 'incentivize[cuda]'"),
        (
            ["/dev/nvidia0"],
            False,
            "cpu",
            "cpu",
            "warning",
            "JAX_PLATFORMS = 'cpu': a GPU is present (/dev/nvidia0), but",
        ),
        (["/dev/accel0"], False, "cpu", "", "warning", "pip install 'incentivize[tpu]'"),
        ([], True, None, "", "warning", "libtpu is installed"),
    ],
)
def test_an_accelerator_that_is_there_should_be_used(files, libtpu, backend, asked, state, says):
    found = devices.check_accelerator(files, libtpu, backend, asked)
    assert found.state == state
    assert says in found.says


def test_variables_that_change_jax_are_named():
    assert devices.check_environment_variables({"JAX_ENABLE_X64": "0", "XLA_FLAGS": "--fine"}, []).state == "ok"
    for name in devices.NOTABLE:
        found = devices.check_environment_variables({name: "True"}, [])
        assert found.state == "warning"
        assert name in found.says
    found = devices.check_environment_variables({"JAX_PLATFORMS": "cdua"}, ["JAX_PLATFORMS"])
    assert (found.state, found.says) == (
        "wrong",
        "JAX_PLATFORMS = 'cdua': jax runs only without it. Unset it.",
    )


@pytest.mark.parametrize(
    ("variables", "state", "says"),
    [
        ({"JAX_ENABLE_X64": "1"}, "warning", "JAX_ENABLE_X64 = '1': `incentivize` and Gymnasium"),
        ({"JAX_DEFAULT_PRNG_IMPL": "rbg"}, "warning", "override it"),
        ({"JAX_THREEFRY_PARTITIONABLE": "0"}, "warning", "override it"),
        ({"JAX_NUMPY_RANK_PROMOTION": "raise"}, "warning", "override it"),
        ({"JAX_NUMPY_DTYPE_PROMOTION": "strict"}, "warning", "override it"),
        ({"JAX_TRANSFER_GUARD": "disallow"}, "warning", "override it"),
        ({"FLAX_FIX_RNG_SEPARATOR": "true"}, "warning", "override it"),
        ({"JAX_DISABLE_JIT": "1"}, "warning", "`run`, `tune` and `bench` refuse"),
        ({"JAX_TRANSFER_GUARD": "log", "JAX_THREEFRY_PARTITIONABLE": "1"}, "ok", "no variable interferes"),
        ({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, "wrong", "`incentivize` refuses"),
        (
            {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"},
            "ok",
            "deterministic_ops=true are not reused without it",
        ),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, "ok", "interferes with jax (XLA_FLAGS)"),
    ],
)
def test_what_is_said_of_a_variable_is_what_becomes_of_it(variables, state, says):
    found = devices.check_environment_variables(variables, [])
    assert found.state == state
    assert says in found.says


def test_the_variable_to_blame_is_the_one_without_which_jax_runs():
    variables = {"HOME": "/", "JAX_PLATFORMS": "cdua", "XLA_FLAGS": "--nope"}
    assert devices.offending_variables(variables, lambda one: "XLA_FLAGS" not in one) == ["XLA_FLAGS"]
    assert devices.offending_variables(variables, lambda one: set(one) == {"HOME"}) == ["JAX_PLATFORMS", "XLA_FLAGS"]
    assert devices.offending_variables(variables, lambda _: False) == []
    assert devices.offending_variables({"HOME": "/"}, lambda _: True) == []


def test_room_memory_and_cores():
    assert [machine.check_disk(Path("/"), free).state for free in (2**20, GIB // 2, 2 * GIB)] == [
        "wrong",
        "warning",
        "ok",
    ]
    assert [machine.check_memory(free).state for free in (2**20, GIB, 8 * GIB)] == ["wrong", "warning", "ok"]
    assert machine.check_memory(8 * GIB, GIB).state == "warning"
    assert "cgroup" in machine.check_memory(8 * GIB, GIB).says
    assert machine.check_memory(8 * GIB, 9 * GIB).says == "8.0 GiB free"
    assert machine.check_cores(2, 64, None).says.startswith("this process may use 2 of 64")
    assert machine.check_cores(2, 64, 2.0).state == "ok"
    assert "use --workers 1" in machine.check_cores(4, 64, 1.5).says


def test_limits_of_a_cgroup_are_those_that_runs_reckon_with(monkeypatch):
    monkeypatch.setattr(run_checks.cgroup, "limits", lambda: CgroupLimits(2 * GIB, GIB // 4, 0.5))
    found = {one.check: one for one in run_checks.CHECKS["machine"]()}
    assert found["memory"].state == "wrong"
    assert found["memory"].says.startswith("0.2 GiB free in this cgroup")
    assert "its cgroup allows 0.5 at a time" in found["cores"].says


def test_semaphores_need_shared_memory():
    assert machine.check_semaphores(lambda: None).state == "ok"

    def lacking():
        raise OSError(28, "No space left on device")

    found = machine.check_semaphores(lacking)
    assert (found.check, found.state) == ("shared memory", "wrong")
    assert "/dev/shm" in found.says


def test_compiled_programs_need_a_folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "program").write_bytes(bytes(3 * 2**20))
    assert machine.check_compilation_cache(str(tmp_path / "there")).says.startswith("3 MiB")
    assert "will be kept" in machine.check_compilation_cache(str(tmp_path / "new" / "er")).says
    assert machine.check_compilation_cache("gs://bucket/x").state == "ok"
    assert machine.check_compilation_cache("~/programs").says.startswith("JAX_COMPILATION_CACHE_DIR = ~/programs: ")
    for wrong in (tmp_path / "there" / "program", tmp_path / "there" / "program" / "below"):  # a file, and below one
        found = machine.check_compilation_cache(str(wrong))
        assert found.state == "warning"
        assert "cannot be kept" in found.says


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A distribution with a plug-in that can be loaded, one that cannot, and one of a name that is taken."""
    about = tmp_path / "other-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[incentivize.families]\ngood = other_good:Family\nerrands = other_good:Family\n"
        "[incentivize.rewards]\nbad = other_bad:reward\n"
    )
    (tmp_path / "other_good.py").write_text("class Family: ...\n")
    (tmp_path / "other_bad.py").write_text("raise SystemExit('not today')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_plug_ins_are_loaded_apart_and_named_with_what_is_wrong(distribution):
    found = {one.check: one for one in run_checks.CHECKS["plug-ins"]()}
    good, bad, taken = (found[f"plug-in {name}"] for name in ("good", "bad", "errands"))
    assert (good.state, bad.state, taken.state) == ("ok", "wrong", "wrong")
    assert "incentivize.rewards of other 1.0: other_bad:reward cannot be loaded (SystemExit: not today)" in bad.says
    assert "incentivize.families of other 1.0: left out, because incentivize has that name" in taken.says
    assert "other_good" not in sys.modules


def test_a_name_that_is_taken_is_a_sentence(distribution):
    code = (
        "import sys; from incentivize.experiments.cli.main import entry; "
        "sys.argv = ['incentivize', 'completion', 'fish']; entry()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": f"{distribution}{os.pathsep}{ROOT}"},
    )
    left_out = "'errands' of families, from the package other: the name is taken. Rename it."
    assert run.stderr == f"warning: {left_out}\n"


def test_a_plug_in_that_kills_its_process_is_reported(distribution):
    (distribution / "other_bad.py").write_text("import os\nos.abort()\n")
    (found,) = run_checks.CHECKS["plug-ins"]()
    assert found.state == "wrong"
    assert {"good", "errands", "bad"} <= set(found.says.removeprefix("loading ").partition(":")[0].split(", "))
    assert "SIGABRT" in found.says


def test_no_plug_ins_are_no_fault():
    (found,) = packages.check_plugins([])
    assert found.state == "ok"
    registries = (envs.FAMILIES, rewards.REWARDS, ENCODERS, studies.STUDIES, TRACKERS)
    assert set(plugins.GROUPS) == {f"incentivize.{registry.kind}" for registry in registries}


def test_code_apart_that_hangs_is_ended():
    assert run_isolated("import time; time.sleep(60)", timeout=0.5).explain() == "no answer within 0.5 s"


def _broken(monkeypatch, tmp_path, code):
    """In place of jax, a module with this code."""
    (tmp_path / "jax.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.abort()", "killed by SIGABRT"),
        ("raise ImportError('no jaxlib')", "ImportError: no jaxlib"),
    ],
)
def test_the_command_survives_a_broken_jax(code, says, monkeypatch, tmp_path, capsys):
    _broken(monkeypatch, tmp_path, code)
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {one["check"]: one for one in document["checks"]}
    assert document["wrong"] == 1
    assert found["jax"]["state"] == "wrong"
    assert says in found["jax"]["says"]
    assert found["gymnasium"]["state"] == "ok"  # the others are looked at all the same


def test_the_command_says_a_line_for_each_check(monkeypatch, capsys):
    monkeypatch.setattr(run_checks, "run_isolated", lambda *_: RUNS)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(line.startswith(("ok      ", "warning ")) for line in lines[:-1])
    assert f"knows {len(envs.names())} families" in "\n".join(lines)


def test_a_check_that_fails_is_wrong_itself_and_ends_nothing(monkeypatch, capsys):
    def fail():
        raise RuntimeError("no /proc here")
        yield

    monkeypatch.setattr(run_checks, "CHECKS", {"cores": fail, "templates": run_checks.CHECKS["templates"]})
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "wrong   cores: the check itself failed (RuntimeError: no /proc here)" in said
    assert "ok      templates" in said
    assert "1 wrong, 0 warnings, 1 ok" in said


def test_without_an_installed_distribution_the_command_says_so(monkeypatch):
    monkeypatch.setattr(run_checks, "NAME", "no-such-distribution")
    (found,) = run_checks.CHECKS["packages"]()
    assert found.state == "wrong"
    assert "pip install ." in found.says


def test_the_probe_itself_runs_here():
    assert devices.check_jax(run_isolated(devices.PROBE)).state in ("ok", "warning")
