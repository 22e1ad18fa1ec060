"""`incentivize list`."""

from rich.console import Console

from incentivize.experiments.cli.choices import TOPICS, check_known
from incentivize.experiments.cli.commands import List
from incentivize.experiments.cli.result import Answer


def act(command: List, console: Console) -> Answer:
    """Lists what there is."""
    check_known("TOPIC", command.topic)
    from incentivize.experiments.cli.listing import listing

    found = {topic: listing(topic) for topic in TOPICS if command.topic in ("all", topic)}
    if not command.json:
        _show(found, console)
    return Answer(found if command.topic == "all" else found[command.topic])


def _show(found: dict[str, list[dict[str, object]]], console: Console) -> None:
    from incentivize.experiments.presentation.html import number, rich_table

    for topic, rows in found.items():
        long = {"is", "knobs"} if topic == "families" else set()
        shown = [{key: number(value) for key, value in row.items() if key not in long} for row in rows]
        console.print(rich_table(topic, shown))
        for row in rows if long else ():
            console.print(f"{row['name']}: {row['is']} Knobs: {row['knobs']}.", highlight=False)
