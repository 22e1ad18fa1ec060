"""Values and tables as people read them, in the terminal and in reports."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from incentivize.experiments.errors import escape_control_characters


def mean_or_dash(values: Collection[float]) -> str:
    """Write the mean of values to two places; a dash where there are none."""
    return f"{sum(values) / len(values):.2f}" if values else "-"


def format_value(value: Any) -> str:
    """Write a value for a person: thousands set apart, three decimals or two digits, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {format_value(entry)}" for key, entry in value.items())
    if isinstance(value, float):
        if 0 < abs(value) < 0.01:
            return f"{value:.2g}"
        return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def rich_table(title: str, lines: Sequence[dict[str, str]]) -> RichTable:
    """Make a table for the terminal, in which numbers are never broken and nothing is left out.

    Args:
        title: the table's title.
        lines: the table's lines, all with the same keys, which are the headings.
    """
    table = RichTable(title=_text(title, "bold"), title_justify="left")
    for key, value in lines[0].items():
        first = key == next(iter(lines[0]))
        numeric = re.fullmatch(r"[-+]?[\d,.]+%?|-", value) is not None
        whole = numeric or first
        table.add_column(
            _text(key), justify="right" if numeric else "left", no_wrap=whole, overflow="ellipsis" if whole else "fold"
        )
    for line in lines:
        table.add_row(*map(_text, line.values()))
    return table


def _text(value: str, style: str = "") -> Text:
    """Make a title or a cell that looks the same on every console: brackets are no markup."""
    return Text(escape_control_characters(value), style)
