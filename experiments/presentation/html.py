"""Pages from templates, which escape every string."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from incentivize.experiments.presentation.tables import format_value


def render_page(template: str, **values: Any) -> str:
    """Render a page; characters that UTF-8 does not have, such as those of a path that is no text, become escapes.

    Args:
        template: the template's file name in `templates`.
        values: what the template shows, by the template's names.
    """
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = format_value
    environment.filters["address"] = lambda name: quote(os.fsencode(name))  # of any file, also of one that is no text
    return environment.get_template(template).render(**values).encode(errors="backslashreplace").decode()
