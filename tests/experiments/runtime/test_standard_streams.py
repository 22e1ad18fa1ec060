"""Standard streams of every kind: closed, of few letters, dumb, gone; and what is written to them is what it is."""

import errno
import io
import subprocess
import sys

import pytest
from rich.table import Table

from incentivize.envs.render import BOX
from incentivize.experiments.cli.console import console_for
from incentivize.experiments.cli.main import main
from incentivize.experiments.execution.progress import Progress
from incentivize.experiments.presentation.tables import rich_table
from incentivize.experiments.runtime.standard_streams import (
    TolerantStream,
    discard_output,
    is_terminal,
    supports_colour,
    supports_cursor,
    tolerate_broken_streams,
)
from incentivize.experiments.viewing import terminal
from tests.helpers.apart import CODE
from tests.helpers.claims import CLAIMS
from tests.helpers.terminal import PLAIN, in_a_terminal

CURSOR = (b"\x1b[A", b"\x1b[1A", b"\x1b[2K", b"\x1b[K", b"\x1b[J", b"\x1b[?25l")


class Tty(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


@pytest.fixture
def plain(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def test_a_terminal_has_a_cursor_and_colours_and_a_file_has_none(plain):
    assert (is_terminal(Tty()), supports_cursor(Tty()), supports_colour(Tty())) == (True, True, True)
    assert (is_terminal(io.StringIO()), supports_cursor(io.StringIO()), supports_colour(io.StringIO())) == (
        False,
        False,
        False,
    )
    closed = io.StringIO()
    closed.close()
    for nothing in (None, object(), closed):
        assert not is_terminal(nothing)


@pytest.mark.parametrize(
    ("variables", "cursor", "colour", "in_a_file"),
    [
        ({"FORCE_COLOR": "1"}, True, True, True),
        ({"FORCE_COLOR": "0"}, True, True, False),
        ({"FORCE_COLOR": ""}, True, True, False),
        ({"FORCE_COLOR": "3", "NO_COLOR": "1"}, True, False, False),
        ({"TERM": "dumb"}, False, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True, True),
        ({"TTY_COMPATIBLE": "1"}, True, True, False),
    ],
)
def test_variables_ask_for_colours_and_never_for_a_cursor(variables, cursor, colour, in_a_file, plain):
    for name, value in variables.items():
        plain.setenv(name, value)
    for stream, moving, coloured_ in ((Tty(), cursor, colour), (io.StringIO(), False, in_a_file)):
        plain.setattr(sys, "stdout", stream)
        console = console_for()
        assert (supports_cursor(stream), supports_colour(stream)) == (moving, coloured_)
        assert console.is_terminal is moving
        screen = terminal.Screen(console)
        assert (screen.terminal, screen.colour) == (moving, coloured_)
        with Progress(console) as progress:
            progress.say("a line")
            progress.say("[b]another[/x]")
        shown = stream.getvalue()
        assert "a line\n" in shown
        assert "[b]another[/x]\n" in shown
        assert moving or "\x1b" not in shown


@pytest.mark.parametrize("text", ["[a]", "[/b]", "[bold]x", ":smile:", "\\[a]", "[link=x]y[/link]", "[@click=a]b"])
def test_brackets_and_colons_are_text_in_lines_tables_and_titles(text, capsys):
    console = console_for()
    console.print(f"{text}/report.html", soft_wrap=True)
    console.print(text, style="bold", markup=True)
    table = Table(text, title=text)
    table.add_row(text)
    console.print(table)
    console.print(rich_table(text, [{text: text}]))
    assert capsys.readouterr().out.count(text) == 8


def test_signs_that_move_a_cursor_are_spelt_out_in_lines_and_tables(capsys):
    console = console_for()
    console.print("a\x1b[2Jb\udcff")
    console.print(rich_table("t", [{"k": "c\x1b[1A"}]))
    said = capsys.readouterr().out
    assert "a\\x1b[2Jb\\udcff" in said
    assert "c\\x1b[1A" in said
    assert "\x1b" not in said


def test_pictures_are_drawn_with_what_an_encoding_has():
    assert terminal.transliterate(BOX, "utf-8") == BOX
    for encoding in ("ascii", "latin-1", "cp1252"):
        assert terminal.transliterate(BOX, encoding) == " |-+||++-+-+++++"
        assert terminal.transliterate("\u2026", encoding).encode(encoding)
    assert terminal.transliterate("\u00fc\u2502", "latin-1") == "\u00fc|"
    assert terminal.transliterate("\u2502", "cp437") == "\u2502"


def test_a_stream_that_breaks_says_no_more_and_ends_nothing(monkeypatch):
    class Broken(io.StringIO):
        def write(self, text=""):
            raise OSError(errno.EIO, "Input/output error")

        flush = write

    for stream in (Broken(), None, io.TextIOWrapper(io.BytesIO(), "ascii")):
        monkeypatch.setattr(sys, "stdout", stream)
        with tolerate_broken_streams():
            assert isinstance(sys.stdout, TolerantStream)
            print("\u00fc", flush=True)
        assert sys.stdout is stream
    assert stream.buffer.getvalue() == b"\\xfc\n"
    with pytest.raises(ValueError, match="an error"), tolerate_broken_streams():
        raise ValueError("an error")
    discard_output(None)


def shell(script, **variables):
    command = f'"{sys.executable}" -c "{CODE}"'
    return subprocess.run(
        ["bash", "-c", script.replace("incentivize", command)], env=PLAIN | variables, capture_output=True, text=True
    )


def test_closed_streams_are_nowhere():
    assert shell("incentivize list studies <&- >&- 2>&-").returncode == 0
    refused = shell("incentivize list studeis >&-")
    assert (refused.returncode, refused.stderr) == (
        2,
        "TOPIC = 'studeis': there is no such name. Did you mean 'studies'?\n",
    )
    assert shell("incentivize list studeis 2>&-").returncode == 2
    full = shell("incentivize list studies > /dev/full")
    assert (full.returncode, full.stderr.count("\n")) == (1, 1)
    assert "the disk is full" in full.stderr


def test_files_of_ours_never_get_the_numbers_of_standard_streams():
    code = (
        "from incentivize.experiments.runtime.standard_streams import set_up_streams; set_up_streams(); "
        "import os, sys; "
        "open(1, 'w', closefd=False).write('lost'); print('lost'); file = os.open(os.devnull, os.O_RDONLY); "
        "sys.exit(file < 3 or sys.stdin.read() != '')"
    )
    script = f'"{sys.executable}" -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", script], env=PLAIN).returncode == 0


def test_a_terminal_of_few_letters_can_be_played_in():
    ascii_ = {"PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    played = shell("incentivize play errands --expert --seed 1 <&-", **ascii_)
    assert played.returncode == 0, played.stderr
    assert played.stdout.endswith("won after 1 step\n")
    assert "+---+---+" in played.stdout
    assert "\x1b[38;5;" in played.stdout  # as FORCE_COLOR asks
    assert not any(code.decode() in played.stdout for code in CURSOR)


def test_a_dumb_terminal_is_written_on_line_by_line():
    (shown,) = in_a_terminal([("list", "--help")], TERM="dumb").values()
    assert b"usage: incentivize list" in shown
    assert b"\x1b" not in shown


def test_paths_that_are_no_text_are_said_and_reported_on(tiny_run, tmp_path, capsys):
    from incentivize.experiments.reporting.scoreboard import scoreboard

    scoreboard([claim | {"run": "bad\udcff & co"} for claim in CLAIMS], console_for(), tmp_path / "bad\udcfe")
    page = (tmp_path / "bad\udcfe" / "scoreboard.html").read_text(encoding="utf-8")
    assert '<a href="bad%FF%20%26%20co/report.html">' in page
    assert "bad\\udcff" in (tmp_path / "bad\udcfe" / "figures" / "scoreboard.csv").read_text(encoding="utf-8")
    assert f"{tmp_path}/bad\\udcfe/scoreboard.html" in capsys.readouterr().out
    out = tmp_path / "[/b]\udcff"
    assert main(["report", str(tiny_run), "--out", str(out)]) == 0
    assert f"{tmp_path}/[/b]\\udcff/report.html and figures/" in capsys.readouterr().out
    assert (out / "report.html").read_bytes() == (tiny_run / "report.html").read_bytes()
