"""Commands: one file each, with a class of its options and the method `execute`.

May import everything below `cli`; slow modules are imported inside `execute`. A new command is one file and one line
here, or an entry point of another package in the group `incentivize.commands`.
"""

from typing import Any

from incentivize.envs.registry import Registry

COMMANDS: Registry[Any] = Registry(
    "commands",
    {
        "run": "incentivize.experiments.cli.commands.run:Run",
        "report": "incentivize.experiments.cli.commands.report:Report",
        "list": "incentivize.experiments.cli.commands.list:List",
        "bench": "incentivize.experiments.cli.commands.bench:Bench",
        "play": "incentivize.experiments.cli.commands.play:Play",
        "watch": "incentivize.experiments.cli.commands.watch:Watch",
        "tune": "incentivize.experiments.cli.commands.tune:Tune",
        "doctor": "incentivize.experiments.cli.commands.doctor:Doctor",
        "completion": "incentivize.experiments.cli.commands.completion:Completion",
    },
)
