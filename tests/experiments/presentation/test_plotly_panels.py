"""Figures for a page, against what was drawn."""

import json

import numpy as np
from matplotlib.figure import Figure

from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.presentation.charts import BLUE, GREY, draw_curve, label_pool_axis
from incentivize.experiments.presentation.plotly_panels import plotly_panels

POOLS = (1, 64, None)


def drawn():
    figure = Figure()
    axis, gone = figure.subplots(1, 2)
    gone.set_visible(False)
    points = [(1, {0: 0.1, 1: 0.2, 2: 0.3}), (64, {0: 0.4, 1: 0.5, 2: 0.6}), (None, {0: 0.8, 1: 0.9, 2: 1.0})]
    draw_curve(axis, points, "an arm", BLUE, [], family="f", series="s", line="--", pools=POOLS)
    axis.scatter([1, 64], [0.2, 0.5], color=BLUE)
    axis.errorbar([64], [0.3], yerr=[[0.1], [0.2]], color=GREY, label="another")
    axis.axhline(0.25, color="black", linestyle=":", label="a level")
    axis.plot([1, 64], [np.nan, 0.7], color=GREY)
    label_pool_axis(axis, POOLS)
    axis.set_title("$1.1 \\times 10^{12}$ tasks")
    return figure


def test_everything_that_was_drawn_is_there_and_belongs_to_its_arm():
    (panel,) = plotly_panels(drawn())
    assert panel["title"] == "1.1 \u00d7 10\u00b9\u00b2 tasks"
    of = {arm: [trace for trace in panel["data"] if trace["arm"] == arm] for arm in ("an arm", "another", "a level")}
    assert sum(map(len, of.values())) == len(panel["data"])
    line, band, *seeds, dots = (
        next(trace for trace in of["an arm"] if trace["mode"] == "lines+markers"),
        next(trace for trace in of["an arm"] if "fill" in trace),
        *(trace for trace in of["an arm"] if trace["mode"] == "markers"),
    )
    assert line["x"] == [1, 64, 512]
    np.testing.assert_allclose(line["y"], [0.2, 0.5, 0.9])
    assert line["line"]["dash"] == "dash"
    ends = [t_interval([0.1, 0.2, 0.3]).low, t_interval([0.8, 0.9, 1.0]).high]
    np.testing.assert_allclose([min(band["y"]), max(band["y"])], ends)
    assert [(one["seed"], one["x"], one["y"]) for one in seeds] == [
        ("seed 0", [1, 64, 512], [0.1, 0.4, 0.8]),
        ("seed 1", [1, 64, 512], [0.2, 0.5, 0.9]),
        ("seed 2", [1, 64, 512], [0.3, 0.6, 1.0]),
    ]
    assert (dots["x"], dots["y"], "seed" in dots) == ([1, 64], [0.2, 0.5], False)
    bars = [trace for trace in of["another"] if trace["x"] == [64, 64]]
    np.testing.assert_allclose(bars[0]["y"], [0.2, 0.5])
    (level,) = of["a level"]
    assert level["y"] == [0.25, 0.25]
    assert level["x"][0] < 1 < 512 < level["x"][1]
    told = [["an arm", BLUE, "dash"], ["another", GREY, "solid"], ["a level", "#000000", "dot"]]
    assert [[arm, colour.upper(), dash] for arm, colour, dash in panel["arms"]] == told


def test_axes_are_those_of_the_figure_and_all_is_json():
    (panel,) = plotly_panels(drawn())
    axis = panel["layout"]["xaxis"]
    assert axis["type"] == "log"
    assert axis["tickvals"] == [1, 64, 512]
    assert axis["ticktext"] == ["1", "64", "every<br>episode<br>new"]
    assert axis["range"][0] < 0 < np.log10(512) < axis["range"][1]
    assert panel["layout"]["yaxis"]["type"] == "linear"
    assert [None, 0.7] in [trace["y"] for trace in panel["data"]]
    json.dumps(panel, allow_nan=False)


def test_one_seed_has_no_dots_beside_its_curve_nor_have_units_that_are_no_seeds():
    figure = Figure()
    axis = figure.subplots()
    draw_curve(axis, [(1, {0: 0.1}), (4, {0: 0.2})], "one seed", BLUE, [], family="f", series="s")
    draw_curve(axis, [(1, {0: 0.1, 1: 0.3})], "tasks", GREY, [], family="f", series="t", draw_seeds=False)
    (panel,) = plotly_panels(figure)
    assert [trace["arm"] for trace in panel["data"]] == ["one seed", "tasks"]


def test_a_seed_that_is_missing_at_a_place_leaves_the_others():
    figure, rows = Figure(), []
    draw_curve(figure.subplots(), [(1, {0: 0.1, 2: 0.3}), (4, {2: 0.5})], "arm", BLUE, rows, family="f", series="s")
    found = [(trace["seed"], trace["x"], trace["y"]) for trace in plotly_panels(figure)[0]["data"] if "seed" in trace]
    assert found == [("seed 0", [1], [0.1]), ("seed 2", [1, 4], [0.3, 0.5])]
    assert [(row["x"], row["mean"], row["n"]) for row in rows] == [(1, 0.2, 2), (4, 0.5, 1)]
