"""Figures have the same bytes whatever the environment, the folder or the home say of matplotlib."""

import os
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from incentivize.experiments.presentation.charts import escape_mathtext, new_figure, style
from incentivize.experiments.presentation.plotly_panels import plotly_panels
from incentivize.experiments.reporting.scoreboard import draw_scoreboard
from tests.helpers.claims import claim

CODE = """
import hashlib, os, pathlib, sys
from incentivize.experiments.presentation.charts import new_figure, legend, save, style
with style():
    figure, axes = new_figure(1, 1)
    axes[0, 0].plot([1, 20], [1, 2], label="x")
    axes[0, 0].set_title("title")
    legend(figure, axes)
    save(figure, [{"family": "x"}], pathlib.Path(sys.argv[1]), "f")
    print(*(hashlib.sha256(pathlib.Path(sys.argv[1], f"f.{kind}").read_bytes()).hexdigest() for kind in ("png", "svg")))
import matplotlib
print(os.getcwd(), os.environ.get("MPLBACKEND"), os.environ.get("MATPLOTLIBRC"))
"""
ODD = "text.usetex: True\nfont.size: 30\nsavefig.dpi: 30\nsavefig.bbox: tight\nlegend.fontsize: 30\nno key: 1\n"


def drawn(folder, **variables):
    """Digests of a figure that is drawn in a folder, with variables of its own."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB", "XDG_"))}
    command = [sys.executable, "-Werror", "-c", CODE, str(folder / "out")]
    shown = subprocess.run(command, env=own | variables, cwd=folder, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    digests, after = shown.stdout.splitlines()
    assert after == f"{folder} {variables.get('MPLBACKEND')} {variables.get('MATPLOTLIBRC')}"  # all as before
    return digests


@pytest.fixture(scope="module")
def as_shipped(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    ("said", "variables"),
    [
        ({}, {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
        ({"matplotlibrc": ODD.encode()}, {}),
        ({"matplotlibrc": b"\xff\xfe"}, {"MPLBACKEND": "nonsense"}),
        ({"other": b"\xff\xfe"}, {"MATPLOTLIBRC": "other"}),
        ({"home/matplotlib/matplotlibrc": ODD.encode()}, {"XDG_CONFIG_HOME": "home"}),
    ],
)
def test_a_figure_has_the_same_bytes_whatever_is_said_of_matplotlib(said, variables, tmp_path, as_shipped):
    for name, content in said.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert drawn(tmp_path, **variables) == as_shipped


def test_the_house_style_lasts_no_longer_than_a_figure():
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "text.usetex": True}):
        with style():
            assert (mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]) == (9.5, False)
        assert (mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]) == (30, True)
        figure = draw_scoreboard([claim()])
        assert not figure.axes[0].title.get_usetex()


def test_dollar_signs_in_names_are_dollar_signs():
    with style():
        figure, axes = new_figure(1, 1)
        axes[0, 0].set_title("$a$b: $1.1 \\times 10^{12}$ tasks")
        axes[0, 0].set_xlabel("cash$ & <b>")
        escape_mathtext(figure, ["$a", "$a$b", "cash$"])
        (panel,) = plotly_panels(figure)
    assert panel["title"] == "$a$b: 1.1 \u00d7 10\u00b9\u00b2 tasks"
    assert panel["layout"]["xaxis"]["title"] == "cash$ &amp; &lt;b&gt;"  # which Plotly reads as HTML
    board = draw_scoreboard([claim(family="$\\nothing$", setting="${$")])
    with style():
        board.draw_without_rendering()


def test_braces_outside_of_formulas_stay():
    figure = Figure()
    figure.subplots().set_title("f{a} costs 3$")
    assert plotly_panels(figure)[0]["title"] == "f{a} costs 3$"
