"""The page of dependencies, what each is for and what it costs: `make dependencies`.

It runs in an environment that has the package and nothing else.
"""

import argparse
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

MB = 1e6
TURNS = 5
LIMITS = {"size": 700.0, "import": 3.0}  # our aims: MB installed, and seconds
GIVEN = ("jax", "flax", "optax", "gymnasium", "chex")
ALL = ", ".join(
    f"incentivize.experiments.{name}" for name in ("execution.study_run", "reporting.report", "viewing.watch")
)

WHY = {  # the module imported, and what it is for
    "jax": ("jax", "arrays, derivatives and compilation: what everything here is written in"),
    "flax": ("flax.linen", "networks' layers and initialisers"),
    "optax": ("optax", "Adam, weight decay, clipping of gradients"),
    "chex": ("chex", "checks of shapes and traces in the contract of families, and in tests"),
    "mctx": ("mctx", "tree search, of the study `test-time`"),
    "gymnasium": ("gymnasium", "the door to other trainers: spaces, ids, vector environments"),
    "numpy": ("numpy", "all that is not traced: counts per task, statistics"),
    "scipy": ("scipy.stats", "Student's t, fits of laws and thresholds, quasi-random trials"),
    "matplotlib": ("matplotlib.figure", "figures for papers"),
    "plotly": ("plotly.offline", "curves in a report to zoom into; its JavaScript, no network"),
    "pillow": ("PIL.Image", "GIFs and pictures of episodes"),
    "orbax-checkpoint": ("orbax.checkpoint", "checkpoints, also of several processes"),
    "filelock": ("filelock", "one process at a time in a run directory"),
    "psutil": ("psutil", "memory that is free, processes that are gone"),
    "pydantic": ("pydantic", "settings: their types, bounds and defaults in one place"),
    "tyro": ("tyro", "the command line, made from the settings"),
    "rich": ("rich.console", "tables, progress and colours in a terminal"),
    "jinja2": ("jinja2", "the pages: reports, replays, scoreboard"),
    "shtab": ("shtab", "completion in a shell"),
    "packaging": ("packaging.requirements", "versions and requirements, of `incentivize doctor`"),
    "tomli-w": ("tomli_w", "writing the TOML that Python itself only reads"),
}


def seconds(statement: str) -> float:
    """Measure the seconds of a statement in a fresh interpreter, without its start: the median of TURNS."""

    def once(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    return statistics.median(once(statement) - once("pass") for _ in range(TURNS))


def size(name: str) -> float:
    """Sum up the megabytes of a distribution's own files."""
    files = metadata.distribution(name).files or []
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file()) / MB


def required(name: str) -> list[str]:
    """List the names of the distributions that a distribution requires on this machine, without extras."""
    parsed = map(Requirement, metadata.requires(name) or [])
    return [item.name for item in parsed if item.marker is None or item.marker.evaluate({"extra": ""})]


def everything(name: str) -> set[str]:
    """Collect the names of all distributions that a distribution brings with it, itself included."""
    names: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop().lower().replace("_", "-")
        if current not in names:
            names.add(current)
            waiting += required(current)
    return names


def table() -> list[str]:
    """Make the lines of the table."""
    lines = ["| package | what it is for | version | MB | import, s |", "|---|---|---|---:|---:|"]
    for name in required("incentivize"):
        module, why = WHY[name]
        duration = seconds(f"import {module}")
        lines.append(f"| {name} | {why} | {metadata.version(name)} | {size(name):,.0f} | {duration:.2f} |")
    return lines


def page() -> str:
    """Write the page as Markdown."""
    come = everything("incentivize")
    total, given = (sum(map(size, names)) for names in (come, set().union(*map(everything, GIVEN))))
    python = ".".join(map(str, sys.version_info[:3]))
    help_seconds = seconds("import incentivize.experiments.cli.main")
    largest = sorted(come, key=size, reverse=True)[:5]
    return "\n".join(
        [
            "# Dependencies",
            "",
            "Made by `make dependencies`. Tasks of well-kept libraries are left to them; this project's own code",
            "covers its own subject only.",
            "",
            f"{date.today()}, Python {python}, {len(come)} distributions in an environment of their own. MB are a",
            "distribution's own files, as installed, without what it requires in turn; seconds are those of a fresh",
            f"interpreter (median of {TURNS}), and hold what a package imports itself, so that they do not add up.",
            "",
            *table(),
            "",
            f"**All together: {total:,.0f} MB** (aim: below {LIMITS['size']:.0f}), the largest of which are "
            + ", ".join(f"{name} {size(name):,.0f}" for name in largest)
            + ".",
            f"`import {ALL}`, which is all that a study needs: **{seconds(f'import {ALL}'):.1f} s** (aim: below "
            f"{LIMITS['import']:.0f}). `incentivize --help` needs {help_seconds:.1f} s.",
            "",
            f"{', '.join(GIVEN)} alone, which the project was given to build on, come with {given:,.0f} MB.",
            "",
            "Extras bring more: `cuda`, `tpu` (jax for accelerators), `slurm` (submitit), `tensorboard`, `wandb`,",
            "`sb3` (Stable-Baselines3), `peers` (what benchmarks compare with), `docs` and `dev`.",
            "",
        ]
    )


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dependencies", description=__doc__)
    parser.add_argument("--out", type=Path, help="a file to write it to")
    out = parser.parse_args().out
    text = page()
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
