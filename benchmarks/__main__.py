"""All measurements as Markdown: `python -m benchmarks`."""

import argparse
import warnings
from datetime import date
from importlib import metadata
from pathlib import Path

from benchmarks import ceilings, costs, peers
from incentivize.experiments.runtime.provenance import provenance

PROJECTS = ("jax", "jaxlib", "flax", "optax", "xminigrid", "gymnax", "navix", "jumanji", "craftax", "rejax")
TABLES = {
    "peers": peers.TABLES,
    "ceilings": {"What rollouts and updates reach of this machine's ceilings": ceilings.ceilings},
    "costs": costs.TABLES,
}


def _markdown(rows: list[dict[str, str]]) -> list[str]:
    """Format rows as the lines of a Markdown table."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[row.get(key, "") for key in columns] for row in rows]
    rule = ["---"] + ["---:"] * (len(columns) - 1)
    return ["| " + " | ".join(line) + " |" for line in (columns, rule, *lines)]


def main() -> None:
    """Measure the chosen parts, and print every table as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="the parts to measure")
    parser.add_argument("--repeats", type=int, default=7, help="how many times each is measured")
    parser.add_argument("--out", type=Path, help="a file to write the tables to, too")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # from other projects
    machine = provenance()
    machine["versions"] |= {name: metadata.version(name) for name in PROJECTS}
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in PROJECTS)
    where = f"{date.today()}, {machine['cores']} cores, {', '.join(machine['devices'])}, {versions}."
    lines = ["# Measurements", "", where]
    lines.append(f"Medians of {arguments.repeats} turns; ratios also have their lowest and highest value.")
    for part in arguments.only:
        for title, measure in TABLES[part].items():
            table = ["", f"**{title}**", "", *_markdown(measure(arguments.repeats))]
            print("\n".join(table), flush=True)
            lines += table
            if arguments.out:  # after every table, so that nothing is lost
                arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
