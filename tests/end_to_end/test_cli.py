"""The command: help, lists, and what it says to bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from incentivize.experiments.cli.main import main


def run_alone(*arguments):
    """The command in a process of its own."""
    code = "import sys; from incentivize.experiments.cli.main import entry; sys.argv[0] = 'incentivize'; entry()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_help_names_the_commands_and_does_not_import_jax():
    code = (
        "import sys\nfrom incentivize.experiments.cli.main import main\n"
        "names = ('run', 'report', 'list', 'bench', 'play', 'tune')\n"
        "for args in (['--help'], *([name, '--help'] for name in names)):\n"
        "    try: main(args)\n"
        "    except SystemExit as end: assert not end.code\n"
        "assert 'jax' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    for word in ("run", "report", "list", "bench", "play", "tune", "--expert", "--trials", "--preset", "--pools"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "task-cuont"], ["task-cuont", "Did you mean 'task-count'"]),
        (
            ["run", "task-count", "--family", "erands"],
            ["families = 'erands': there is no such family. Did you mean 'errands'?"],
        ),
        (
            ["run", "task-count", "--family", "maze", "--seeds", "0", "--gamma", "2"],
            ["Did you mean 'mazes'", "seeds = 0", "gamma = 2"],
        ),
        (["run", "task-count", "--save-every", "-1"], ["--save-every = -1.0: must be 0 or more seconds"]),
        (["run", "task-count", "--preset", "qick"], ["--preset = 'qick'", "quick"]),
        (["run", "task-count", "--lerning-rate", "1"], ["--lerning-rate", "--learning-rate"]),
        (["run", "task-count", "--learning-rate", "-1"], ["learning_rate = -1.0", "must be more than 0."]),
        (["run", "task-count", "--pools", "4", "3000000000000"], ["3000000000000 is not a pool size"]),
        (["run", "task-count", "--minibatches", "5"], ["minibatches = 5: must divide num_envs = 512"]),
        (["run", "task-count", "--network", "mpl"], ["network = 'mpl'", "Did you mean 'mlp'"]),
        (["run", "task-count", "--config", "none.toml"], ["none.toml: there is no such file"]),
        (["run", "task-count", "--specialists", "600", "--eval-tasks", "5"], ["eval_tasks = 5", "specialists = 600"]),
        (["run"], ["STUDY"]),
        (["report", "nowhere"], ["nowhere: there is no such run directory"]),
        (["report"], ["DIR... is missing"]),
        (["bench", "--family", "maze"], ["--family = 'maze'", "mazes"]),
        (["bench", "--repeats", "0"], ["--repeats = 0"]),
        (["tune", "maze"], ["FAMILY = 'maze'", "Did you mean 'mazes'"]),
        (["tune", "mazes", "--workers", "0"], ["--workers = 0"]),
        (["run", "task-count", "--devices-per-agent", "0"], ["--devices-per-agent = 0"]),
        (
            ["run", "task-count", "--devices-per-agent", "2"],
            ["--devices-per-agent = 2: must divide the number of devices"],
        ),
        (["fly"], ["fly"]),
    ],
)
def test_bad_input_is_refused_by_name_without_a_traceback(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    for text in named:
        assert text in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_a_pool_larger_than_the_family_is_refused(tiny_config, tmp_path, capsys):
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run"), "--pools", "49"]
    assert main(arguments) == 2
    assert "pools = 49: errands has only 48 training tasks" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_wrong_knobs_are_refused(tmp_path, capsys):
    config = tmp_path / "knobs.toml"
    config.write_text("[knobs.errands]\nobjects = 9\n[knobs.mazes]\nrosw = 3\n")
    assert main(["run", "task-count", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    text = capsys.readouterr().err
    assert "knobs.errands.objects = 9: expected 2 to 4" in text
    assert "knobs.mazes.rosw: mazes has no such knob" in text
    config.write_text('[knobs.errands]\nvalues = "8"\n[knobs.mazes]\nrows = true\n')
    assert main(["run", "task-count", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    text = capsys.readouterr().err
    assert "knobs.errands.values = '8': expected an integer" in text
    assert "knobs.mazes.rows = True: expected an integer" in text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seeds = true", "seeds = True: must be a whole number."),
        ('pools = [1, true, "4"]', "pools.1 = True"),
        ('families = "mazes"', "families = 'mazes': must be a list."),
        ("num_envs = 1000000000", "num_envs = 1000000000: must be at most 65536."),
        (
            "[knobs.errands]\nattributes = 100000000",
            "knobs.errands.attributes = 100000000: expected an integer from 2 to 64",
        ),
    ],
)
def test_values_of_another_kind_are_refused(text, named, tmp_path, capsys):
    (tmp_path / "odd.toml").write_text(text)
    assert main(["run", "task-count", "--config", str(tmp_path / "odd.toml"), "--out", str(tmp_path / "run")]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_for_another_study_is_refused(tmp_path, capsys):
    config = tmp_path / "other.toml"
    config.write_text('study = "nonsense"\n')
    assert main(["run", "task-count", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    assert "study = 'nonsense'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_reports_that_would_overwrite_each_other_are_refused(tmp_path, capsys):
    twins = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    for twin in twins:
        twin.mkdir(parents=True)
    assert main(["report", *map(str, twins), "--out", str(tmp_path / "out")]) == 2
    assert "would overwrite each other" in capsys.readouterr().err


def test_a_directory_that_is_no_run_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["run", "task-count", "--out", str(tmp_path)]) == 2
    assert "exists and is not a run directory" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refusal_is_quick_and_so_is_help():
    began = time.perf_counter()
    assert run_alone("--help").returncode == 0
    assert run_alone("run", "task-count", "--learning-rate", "-1").returncode == 2
    assert time.perf_counter() - began < 20  # a bound against hanging: speed is measured elsewhere


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys, tmp_path):

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("incentivize.experiments.execution.study_run.run_study", stop)
    assert main(["run", "task-count", "--out", str(tmp_path / "run")]) == 75
    assert "resumes where it stopped" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command_with_75(number):
    code = (
        "import os, signal, sys\nfrom incentivize.experiments.cli import main\n"
        "from incentivize.experiments.execution import study_run\n"
        f"def run(*_, **__):\n    try: os.kill(os.getpid(), {int(number)})\n"
        f"    finally: os.kill(os.getpid(), {int(number)})\n"  # an impatient second one
        "study_run.run_study = run\nsys.argv = ['incentivize', 'run', 'task-count']\nmain.entry()"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr.split(";")[0]) == (75, "stopped")


def test_a_failure_gives_its_reason_and_a_traceback_only_where_asked(monkeypatch, capsys, tmp_path):

    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr("incentivize.experiments.execution.study_run.run_study", fail)
    assert main(["run", "task-count", "--out", str(tmp_path / "run")]) == 1
    text = capsys.readouterr().err
    assert "failed: the disk is full" in text
    assert "Traceback" not in text
    assert main(["run", "task-count", "--out", str(tmp_path / "run"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_list_prints_tables_and_json(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for word in ("errands", "1,099,511,627,776", "sparse", "relational", "task-count", "dagger", "attributes=10"):
        assert word in text
    assert main(["list", "families", "--json"]) == 0
    families = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["tasks"] for row in families}.items() >= {
        "codebooks": 4**20,
        "errands": 16**10,
        "mazes": 2**36 * 49,
        "programs": 72**7,
        "puzzles": 719**5,
        "sequences": 5**25,
    }.items()
    assert {row["name"]: row["rule"] for row in families}["codebooks"] == "hidden"
    assert "goal_in_task=True" in families[2]["knobs"]


def test_bench_measures_and_says_how(capsys, monkeypatch):
    from incentivize.experiments.bench import suite

    monkeypatch.setattr(suite, "NUM_ENVS", 32)
    assert main(["bench", "envs", "--family", "errands", "--repeats", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["results"]
    assert row["slowest"] <= row["steps/s"] <= row["fastest"]
    assert "32 environments" in row["settings"]
    assert found["machine"]["versions"]["jax"]


@pytest.mark.slow
def test_specialists_in_one_program_equal_those_trained_alone(capsys, monkeypatch):
    from incentivize.experiments.bench import suite

    for name, value in {"SPECIALISTS": 4, "UPDATES": 1, "SPECIALIST_ENVS": 8}.items():
        monkeypatch.setattr(suite, name, value)
    monkeypatch.setattr(suite, "lanes_of", lambda *_: 3)  # does not divide them: 2 lanes do
    assert main(["bench", "specialists", "--family", "puzzles", "--repeats", "1", "--json", "--debug"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["difference"] < 1e-5
    assert row["apart"] == 0
    assert row["program/recompiled"] < row["program/loop"]
    assert "2 at a time" in row["settings"]
    assert "measured on one specialist" in row["settings"]


def test_benchmarks_are_read_in_80_columns(capsys, monkeypatch):
    from incentivize.experiments.bench import suite

    long = {"benchmark": "specialists", "family": "mazes", "specialists": 1000, "settings": "so"}
    long |= {f"program/{what} range": "0.476-0.594" for what in ("loop", "recompiled", "a", "b", "c")}
    short = {"benchmark": "envs", "family": "mazes", "steps/s": 2_900_000, "difference": 8.9e-8, "settings": "so"}
    rows = {"specialists": lambda *_: [long], "envs": lambda *_: [short]}
    monkeypatch.setattr(suite, "BENCHMARKS", rows)
    monkeypatch.setattr(suite, "ALL", tuple(rows))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["bench", "--family", "mazes"]) == 0
    text = capsys.readouterr().out
    assert "program/recompiled range │ 0.476-0.594 │" in text
    assert "2,900,000 │" in text
    assert "8.9e-08" in text
    assert "…" not in text


def test_compiled_programs_are_kept_unless_the_environment_says_otherwise(tmp_path):
    """In a process where jax has not been imported yet."""
    code = (
        "import os\nfrom incentivize.experiments.runtime.compilation_cache import enable_cache\n"
        "enable_cache()\nprint(os.environ[NAME])"
    )
    name = "JAX_COMPILATION_CACHE_DIR"
    plain = {key: value for key, value in os.environ.items() if key != name} | {"XDG_CACHE_HOME": str(tmp_path / "new")}
    for environment, expected in (
        (plain, tmp_path / "new" / "incentivize"),
        (plain | {name: str(tmp_path / "elsewhere")}, tmp_path / "elsewhere"),
    ):
        command = [sys.executable, "-c", code.replace("NAME", repr(name))]
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        assert said.strip() == str(expected)
