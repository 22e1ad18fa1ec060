"""The site builds without a warning, and no link leads nowhere: in the files, as on GitHub, and in the site."""

import pkgutil
import re
import subprocess
import sys
import tomllib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from packaging.requirements import Requirement

from tests.helpers.paths import ROOT

OURS = [ROOT, *(folder for folder in ROOT.iterdir() if folder.name in ("docs", "benchmarks", "examples"))]
FILES = sorted(ROOT.glob("*.md")) + sorted(file for folder in OURS[1:] for file in folder.rglob("*.md"))
MARKDOWN = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)  # slugs as GitHub makes them

BUILD = "import gc, sys; gc.disable(); from sphinx.cmd.build import main; sys.exit(main())"  # an eighth less to compute


class Page(HTMLParser):
    """What a file refers to, as (kind of element, address), and the places in it that can be referred to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.references: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.text = file.read_text(encoding="utf-8")
        self.feed(MARKDOWN.render(self.text) if file.suffix == ".md" else self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if "id" in told:
            self.ids.add(told["id"] or "")
        address = told.get("href", told.get("src"))
        if address is not None and tag in ("a", "img", "link", "script", "source", "iframe"):
            self.references.append((tag, address))


page = cache(Page)


def dead(file: Path, root: Path) -> list[str]:
    """The references of a file that lead nowhere, or out of the folder `root`."""
    found = []
    for kind, address in page(file).references:
        url = urlsplit(address)
        if url.scheme or url.netloc:  # others' pages are not looked up, and nothing is loaded from them
            fine = kind == "a" and url.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", url.netloc)
        else:
            target = (file.parent / unquote(url.path)).resolve() if url.path else file
            fine = target.exists() and target.is_relative_to(root)
            if fine and url.fragment:
                fine = target.suffix in (".md", ".html") and unquote(url.fragment) in page(target).ids
        if not fine:
            found.append(f"{file.relative_to(root)}: {address}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_a_file_refers_to_is_there(file):
    assert not dead(file, ROOT)
    for kind, address in page(file).references:
        assert kind != "img" or address.endswith(".svg") or (file.parent / address).stat().st_size > 10_000


def test_the_site_is_built_without_a_warning_and_is_whole(tmp_path):
    """Once for all: it takes a while."""
    site = tmp_path / "site"
    options = ["-W", "--keep-going", "--quiet", "-c", "docs", "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-c", BUILD, *options, ".", str(site)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    pages = sorted(site.rglob("*.html"))
    assert {str(file.relative_to(ROOT).with_suffix(".html")) for file in FILES} <= {
        str(file.relative_to(site)) for file in pages
    }
    assert not [line for file in pages for line in dead(file, site)]
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\W*(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet

    for package in ("envs", "rewards", "agents"):
        reference = page(site / "docs" / "api" / f"{package}.html").ids
        for module in pkgutil.iter_modules([str(ROOT / package)], f"incentivize.{package}."):
            assert f"module-{module.name}" in reference, f"docs/api/{package}.md leaves out {module.name}"
    shown = page(site / "docs" / "api" / "envs.html").text
    assert "the description of the task, and all else that belongs to no single entity" in shown  # a field's comment
    assert "Alias for field" not in shown


def test_the_badges_say_what_is_so():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    said = dict(re.findall(r"!\[(.*?)\]\((docs/badges/\w+\.svg)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    so = {
        "Python 3.11 to 3.13": project["requires-python"] == ">=3.11" and "PYTHON_newest := 3.13" in made,
        "jax 0.10.2 to 0.12": "jax>=0.10.2,<0.13" in project["dependencies"],
        "Gymnasium 1.2.2 and newer": "gymnasium>=1.2.2,<2" in project["dependencies"],
        "License Apache-2.0": project["license"] == "Apache-2.0",
    }
    assert so == dict.fromkeys(said, True)
    for text, file in said.items():
        name, _, value = text.lower().partition(" ")
        drawn = (ROOT / file).read_text(encoding="utf-8").lower()
        assert f">{name}<" in drawn
        assert f">{value}<" in drawn


def test_every_dependency_has_its_line():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(one).name for one in project["dependencies"]]
    lines = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][1:] == wanted
