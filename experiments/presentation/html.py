"""Pages from templates, which escape every string."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from incentivize.experiments.presentation.tables import format_value


def render_page(template: str, **values: Any) -> str:
    """A page from a template, with what it is to show; what a path has that is no text is spelt out in it."""
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = format_value
    environment.filters["address"] = lambda name: quote(os.fsencode(name))  # of any file, also of one that is no text
    return environment.get_template(template).render(**values).encode(errors="backslashreplace").decode()
