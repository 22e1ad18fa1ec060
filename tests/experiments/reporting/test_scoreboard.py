"""One row per claim of several runs, for a terminal, a page and a figure."""

import csv
import json
import re
from urllib.parse import unquote

import pytest
from rich.console import Console

from benchmarks import published
from incentivize.experiments.cli.main import main
from incentivize.experiments.reporting.scoreboard import (
    describe_steps,
    draw_scoreboard,
    group_claims,
    interactive_panels,
    scoreboard,
)
from tests.helpers.claims import CLAIMS, claim
from tests.helpers.damage import copy


def test_every_claim_has_its_row(tmp_path, capsys):
    scoreboard(CLAIMS, Console(width=80), tmp_path)
    said = capsys.readouterr().out
    assert "1 supported, 1 refuted, 1 inconclusive" in said
    assert (
        "supported     errands      +0.50 [+0.40, +0.60]    n = 5    3.0 M steps\n    skill appears (quick)\n" in said
    )
    assert "refuted       mazes        -4.50 [-9.00, -2.00]" in said
    assert re.search(r"inconclusive +errands +- +n = 0", said)
    page = (tmp_path / "scoreboard.html").read_text()
    (data,) = re.findall(r'class="panels">(.*?)</script>', page, re.DOTALL)
    page = re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)
    assert "&lt;b&gt;cells" in page
    assert "<b>" not in page
    assert page.count('class="refuted"') == 1
    assert page.count("above 0") == 1  # a rule is told once
    assert page.count('<a href="a%20run/report.html">') == 3
    assert [panel["title"] for panel in json.loads(data)] == ["errands", "mazes"]
    assert len(page) < 1e6
    with (tmp_path / "figures" / "scoreboard.csv").open() as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == ["supported", "refuted", "inconclusive"]
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".svg", ".csv"}


def test_families_of_which_the_same_is_said_are_side_by_side():
    said = [claim(), claim("slopes"), claim(family="mazes", effect=-4.5, low=-9.0, high=-2.0), claim("slopes", n=3)]
    assert [(row["study"], row["family"]) for row in group_claims(said)] == [
        ("task-count", "errands"), ("task-count", "mazes"), ("slopes", "errands"), ("slopes", "errands")
    ]  # fmt: skip
    errands, mazes = draw_scoreboard(group_claims(said)).axes
    assert [axis.get_title() for axis in (errands, mazes)] == ["errands", "mazes"]
    words = [label.get_text() for label in errands.get_yticklabels()]
    assert [text.split(":")[0] for text in words] == ["task-count", "slopes", "slopes"]  # a second run of the same, too
    assert words[2].endswith("n = 3")
    at = [sorted(line.get_ydata()[0] for line in axis.lines if line.get_marker() == "^" and len(line.get_xdata()))
          for axis in (errands, mazes)]  # fmt: skip
    assert at == [[0, 1, 2], [0]]
    assert [text.get_text() for text in mazes.texts] == ["-4.5"]


def test_the_page_points_at_the_tables_rows_and_says_what_they_are():
    near = claim("memory", family="mazes", effect=0.1, low=0.05, high=0.2)
    far = claim(family="mazes", effect=-4.5, verdict="refuted")
    claims = group_claims([claim(), claim("slopes", claim="<i>a claim"), far, near])
    errands, mazes = interactive_panels(draw_scoreboard(claims), claims)
    json.dumps([errands, mazes], allow_nan=False)
    named = [panel["layout"]["yaxis"]["ticktext"] for panel in (errands, mazes)]
    assert named == [["1", "2"], ["1", "3"]]  # of those that are of the family
    said = [
        (trace["x"], trace["y"], trace["text"]) for trace in errands["data"] if trace["arm"] and len(trace["x"]) == 1
    ]
    words = "supported: +0.50 [+0.40, +0.60], n = 5"
    assert said == [
        ([0.5], [0], [f"task-count: skill appears (quick)<br>{words}"]),
        ([0.5], [1], [f"slopes: &lt;i&gt;a claim (quick)<br>{words}"]),
    ]
    bars = [(trace["x"], trace["y"]) for trace in mazes["data"] if trace["arm"] and len(trace["x"]) == 2]
    assert bars == [([0.4, 0.6], [0, 0]), ([0.05, 0.2], [1, 1])]
    assert mazes["layout"]["yaxis"]["range"] == [1.5, -0.5]  # from the top


def test_nothing_is_written_where_nobody_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scoreboard(CLAIMS, Console(width=80), None)
    scoreboard([], Console(width=80), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reports_of_several_runs_end_with_it(tiny_run, tmp_path, capsys):
    second = copy(tiny_run, tmp_path / "second")
    assert main(["report", str(tiny_run), str(second), "--out", str(tmp_path / "out")]) == 0
    assert "scoreboard: 0 supported, 0 refuted, " in capsys.readouterr().out
    assert (tmp_path / "out" / "scoreboard.html").exists()
    page = (tmp_path / "out" / "scoreboard.html").read_text()
    linked = {unquote(link) for link in re.findall(r'<td><a href="([^"]*)"', page)}
    assert linked == {f"{run.name}/report.html" for run in (tiny_run, second)}
    assert all((tmp_path / "out" / link).exists() for link in linked)


@pytest.mark.parametrize(("steps", "words"), [(7_000, "7 k"), (3_000_000, "3.0 M"), (412_000_000, "412 M")])
def test_cost_in_few_signs(steps, words):
    assert describe_steps(steps) == words


def test_a_claim_that_does_not_stand_is_hollow_and_says_why(tmp_path, capsys):
    fallen = claim(withdrawn="who was beaten had learnt nothing")
    scoreboard([fallen, claim(family="mazes", verdict="void", withdrawn="")], Console(width=80), tmp_path)
    said = capsys.readouterr().out
    assert "0 supported, 0 refuted, 0 inconclusive, 1 void; 1 does not stand as judged" in said.replace(
        "\n", " "
    ).replace("  ", " ")
    assert "does not stand as judged: who was beaten had learnt nothing" in said
    errands, mazes = draw_scoreboard([fallen, claim(family="mazes", verdict="void")]).axes
    faces = [axis.lines[1].get_markerfacecolor() for axis in (errands, mazes)]
    assert faces == ["white", "#000000"]
    page = (tmp_path / "scoreboard.html").read_text()
    assert page.count("<strong>Does not stand as judged:</strong>") == 1
    assert page.count('class="void"') == 1


def test_the_published_scoreboard_says_which_claims_do_not_stand():
    found = published.claims()
    with (published.RESULTS / "scoreboard" / "scoreboard.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in found] == written
    fallen = [(row["study"], row["family"]) for row in found if row["withdrawn"]]
    assert sorted(set(fallen)) == [(study, family) for study in ("task-count", "weak-incentive")
                                   for family in ("codebooks", "errands", "mazes")]  # fmt: skip
    assert {row["verdict"] for row in found if row["withdrawn"]} == {"supported"}
