"""`incentivize watch`: who plays, what, and what is shown of it."""

import json
import re
from shutil import copytree

import jax
import pytest
from flax.serialization import msgpack_restore, to_bytes
from PIL import Image

from incentivize.experiments.cli.main import main
from incentivize.experiments.reporting.report import replay_families
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import cells_of_run
from incentivize.experiments.viewing.replays import choose_players, play_scenes, to_json

NAMES = ("generalist, 4 training tasks", "generalist, every episode a new task", "specialist of this task", "expert")


@pytest.fixture(scope="module")
def kept(tiny_run):
    directory = RunDirectory(tiny_run)
    return list(play_scenes(directory, cells_of_run(directory, directory.settings()), "errands", 9))


def test_all_players_begin_alike_at_tasks_that_have_specialists(kept):
    assert [scene.task for scene in kept] == [0, 1]  # as many as have a specialist
    for scene in kept:
        assert tuple(one.player for one in scene.replays) == NAMES
        first = {tuple(map(tuple, one.pictures[0].characters)) for one in scene.replays}
        assert len(first) == 1
        assert all(one.captions[0] == "10 steps to go" for one in scene.replays)
        assert scene.replays[-1].succeeded
        assert scene.replays[-1].captions[-1].endswith("- won")
    assert kept[0].description != kept[1].description


def test_a_pool_of_one_and_controls_are_left_out(tiny_run):
    directory = RunDirectory(tiny_run)
    cells = cells_of_run(directory, directory.settings())
    assert tuple(player.name for player in choose_players(cells, "errands")) == NAMES
    shown = [cell for player in choose_players(cells, "errands") for cell in player.cells]
    assert {cell.control for cell in shown} == {None}
    alone = [cell for cell in cells if cell.role != "generalist" or cell.pool_size == 1]
    assert choose_players(alone, "errands")[0].name == "generalist, 1 training task"
    assert choose_players([cell for cell in cells if cell.role == "blind"], "errands") == []


def test_agents_act_by_their_own_parameters(kept, tiny_run, tmp_path):
    """With others of the first agent, that one plays otherwise, and nobody else."""
    directory = RunDirectory(tiny_run)
    cells = cells_of_run(directory, directory.settings())
    other = RunDirectory(copytree(tiny_run, tmp_path / "run"))
    path = other.path / "checkpoints" / f"{choose_players(cells, 'errands')[0].cells[0].id}.msgpack"
    path.write_bytes(to_bytes(jax.tree.map(lambda leaf: -50 * leaf, msgpack_restore(path.read_bytes()))))
    pairs = list(zip(kept, play_scenes(other, cells, "errands", 9), strict=True))
    assert all(alike(before, after) for before, after in pairs)
    assert any(before.replays[0].captions != after.replays[0].captions for before, after in pairs)


def alike(before, after):
    return [one.captions for one in before.replays[1:]] == [one.captions for one in after.replays[1:]]


def test_a_page_holds_what_was_seen(kept):
    for scene in kept:
        for one, there in zip(scene.replays, json.loads(json.dumps(to_json(scene)))["replays"], strict=True):
            assert [moment["caption"] for moment in there["moments"]] == list(one.captions)
            for picture, moment in zip(one.pictures, there["moments"], strict=True):
                assert there["texts"][moment["text"]] == ["".join(line) for line in picture.characters]
                colours = there["colours"][moment["colours"]]
                assert [len(line) for line in colours] == [picture.characters.shape[1]] * len(picture.characters)
                assert all(0 <= ord(code) - 48 < len(there["palette"]) for line in colours for code in line)


def test_it_is_shown_in_text_as_gif_and_as_a_page(tiny_run, tmp_path, capsys):
    gif, html = tmp_path / "a.gif", tmp_path / "a.html"
    assert main(["watch", str(tiny_run), "--tasks", "1", "--gif", str(gif), "--page", str(html)]) == 0
    shown = capsys.readouterr().out
    assert "errands, held-out task 0: " in shown
    assert all(name in shown for name in NAMES)
    assert "\x1b" not in shown
    with Image.open(gif) as image:
        assert image.n_frames >= 2
    page = html.read_text()
    (data,) = re.findall(r'<script type="application/json" class="scenes">(.*?)</script>', page, re.DOTALL)
    assert [one["player"] for one in json.loads(data)[0]["replays"]] == list(NAMES)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--family", "errnds"], "errands"),
        (["--tasks", "0"], "--tasks = 0: must be at least 1"),
        (["--gif", "a.png"], "--gif = a.png: must end in .gif"),
        (["--page", "a.txt"], "--page = a.txt: must end in .html"),
    ],
)
def test_bad_input_is_named(arguments, said, tiny_run, capsys):
    assert main(["watch", str(tiny_run), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_there_has_to_be_a_run(tmp_path, capsys):
    assert main(["watch", str(tmp_path / "none")]) == 2
    assert "there is no such run directory" in capsys.readouterr().err


def test_a_report_says_why_it_has_no_replays(tiny_run, tmp_path):
    run = copytree(tiny_run, tmp_path / "run")
    cells = cells_of_run(RunDirectory(run), RunDirectory(run).settings())
    path = run / "checkpoints" / f"{choose_players(cells, 'errands')[0].cells[0].id}.msgpack"
    for damaged, why in ((b"junk", "cannot be read as parameters"), (None, "there is no such file")):
        path.write_bytes(damaged) if damaged else path.unlink()
        assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 0
        page = (tmp_path / "out" / "report.html").read_text()
        (told,) = re.findall(r"<h2>Replays</h2>\s*<p>(.*?)</p>", page, re.DOTALL)
        assert told.startswith(f"errands has no replays: checkpoints/{path.name}: {why}")
        assert 'class="scenes"' not in page
    blind = [cell for cell in cells if cell.role == "blind"]
    found, (told,) = replay_families(RunDirectory(run), RunDirectory(run).settings(), blind)
    assert found == []
    assert told == "errands has no replays: outside controls, no generalist plays this family alone"
