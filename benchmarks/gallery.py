"""The gallery of families, `docs/families.md`: `make gallery` measures every family and writes the page.

A test compares the page with those facts that need no measurement.
"""

import inspect
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize import envs
from incentivize.envs.family import Family
from incentivize.envs.render import Picture, write_gif
from incentivize.envs.tasks import make_pool
from incentivize.experiments.bench.random_rollouts import as_thunk, batched_env, rollout_program
from incentivize.experiments.bench.suite import seconds
from incentivize.experiments.cells import Cell
from incentivize.experiments.execution.baselines import expert_success
from incentivize.experiments.settings.presets import training_defaults
from incentivize.experiments.settings.training import Training
from incentivize.experiments.training.evaluation import EvaluationConfig, scripted_success
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.loop import train
from incentivize.experiments.viewing.play import expert_policy, make_env, play_episode

TASKS, INSTANCES = 256, 32  # held-out tasks that levels are measured on, and episodes each
WATCHED = 3  # the training task in the animation, and the seed of its instance
INTRODUCTION = """# The families

Each family generates more than 10^12 tasks. The pictures show what an agent sees; in the animations the expert plays.
Try a family with `incentivize play NAME`: the rules below are all that you need to know.

The success without the description is measured on {tasks} held-out tasks, {instances} instances each, with
policies that do not know the task. *Uniform* draws legal actions, *scripted* is the best hand-written policy, and
*trained* is an agent (PPO with the description masked, every episode a new task, one seed, the better of greedy and
drawn actions). The fair expert plays as many instances. Steps/s are measured with random actions in 1,024
environments, each on its own task, with automatic reset, on {machine}.

This page is made by `make gallery`.
"""


class Levels(NamedTuple):
    """Successes of policies that do not know the task.

    Attributes:
        uniform: success of uniformly drawn legal actions.
        scripted: success of the best scripted policy.
        trained: success of an agent trained without the description.
        steps: environment steps of that training.
    """

    uniform: float
    scripted: float
    trained: float
    steps: int


def section(family: Family, title: str) -> list[str]:
    """Return the lines of a section of a family's docstring, from behind its title to the next blank line."""
    text = inspect.getdoc(type(family)) or ""
    return text.partition(f"{title}:")[2].split("\n\n")[0].strip("\n").splitlines()


def knobs(family: Family) -> list[tuple[str, str]]:
    """Return the knobs of a family and their meaning, from its docstring."""
    meanings: list[tuple[str, str]] = []
    for line in section(family, "Knobs"):
        if line.startswith("        "):  # continues the line before
            meanings[-1] = (meanings[-1][0], f"{meanings[-1][1]} {line.strip()}")
        else:
            name, _, meaning = line.strip().partition(": ")
            meanings.append((name, meaning))
    return meanings


def facts(name: str) -> str:
    """Describe a family in Markdown, as far as that needs no measurement."""
    family: Any = envs.make(name)
    lines = [
        f"## {name}",
        "",
        f"![{name}](families/{name}.gif)",
        "",
        "```text",
        *family.rules.splitlines(),
        "```",
        "",
        f"- **Tasks**: {family.tasks.size:,}; {_instances(family)} each.",
        f"- **Rule**: {'visible' if family.reveals_rule else 'hidden, to be found out'}. **Horizon**: {family.horizon}"
        f" steps. **Actions**: {', '.join(family.action_names)}.",
    ]
    for knob, meaning in knobs(family):
        defaults = ", ".join(f"{part}={getattr(family, part)!r}" for part in knob.split(", "))
        lines.append(f"- `{defaults}`: {meaning}")
    lines.append("- **Out of distribution**: " + " ".join(map(str.strip, section(family, "Out of distribution"))))
    return "\n".join(lines)


def _instances(family: Family) -> str:
    return f"{'' if family.instances_are_exact else 'at least '}{family.instances:,} instances"


def levels(name: str) -> Levels:
    """Measure the successes of policies that do not know the task."""
    uniform, *scripted = (
        float(successes.mean() / INSTANCES)
        for _, successes in scripted_success(envs.make(name), EvaluationConfig(TASKS, INSTANCES, 1))
    )
    settings = Training.model_validate(training_defaults("quick").get(name, {}))
    steps = settings.budget // settings.steps_per_update * settings.steps_per_update
    cell = Cell(
        study="gallery",
        role="blind",
        family=name,
        control="blind",
        training=settings,
        evaluation_points=((steps, "total"),),
        eval_tasks=TASKS,
        eval_instances=INSTANCES,
        eval_specialists=1,
    )
    counts = train(CellGroup((cell,), lanes=1))[0].counts
    unseen = counts[counts["evaluated_on"] == "unseen"]
    trained = max(unseen[key].sum() / unseen["episodes"].sum() for key in ("successes", "successes_greedy"))
    return Levels(uniform, max(scripted, default=uniform), float(trained), steps)


def lengths(family: Family) -> tuple[float, int]:
    """Return the mean and the largest number of steps of the expert, over instances of held-out tasks."""

    @jax.jit
    def measure():
        tasks = jax.vmap(lambda slot: family.tasks.member(make_pool(4096, split="heldout"), slot))(
            jnp.arange(4096, dtype=jnp.uint32)
        )
        return jax.vmap(family.distance)(jax.vmap(family.init)(jax.random.split(jax.random.key(0), 4096), tasks))

    steps = np.array(measure())
    return float(steps.mean()), int(steps.max())


def fair(name: str) -> str:
    """Measure the success of the expert that knows only what the agent was shown, in Markdown."""
    success = expert_success(envs.make(name), "fair", TASKS, INSTANCES)
    return f"- **Fair expert**: success {success:.3f}, knowing what the agent was shown and no more."


def page(name: str, folder: Path) -> str:
    """Measure a family, write its animation into `folder`, and return its part of the gallery."""
    family = envs.make(name)
    frames: list[Picture] = []
    play_episode(make_env(name), expert_policy(family, pause=0), frames.append, task=WATCHED, seed=WATCHED)
    write_gif(folder / f"{name}.gif", frames)
    mean, most = lengths(family)
    blind = levels(name)
    program = rollout_program(batched_env(name))
    speed = program.steps / float(np.median(seconds(as_thunk(program), 5)))
    return "\n".join(
        [
            facts(name),
            f"- **Expert**: {mean:.1f} steps on average, {most} at most.",
            fair(name),
            f"- **Without the description**: uniform {blind.uniform:.3f}, scripted {blind.scripted:.3f}, trained "
            f"{blind.trained:.3f} after {blind.steps:,} steps.",
            f"- **Speed**: {speed / 1e6:.1f} M steps/s.",
            "",
        ]
    )


def main(docs: Path) -> None:
    """Write the gallery into a folder of documentation."""
    folder = docs / "families"
    folder.mkdir(parents=True, exist_ok=True)
    text = INTRODUCTION.format(tasks=TASKS, instances=INSTANCES, machine=f"{os.cpu_count()} cores, {jax.devices()[0]}")
    for name in envs.names():
        text += "\n" + page(name, folder)
        print(f"{name}: done", flush=True)
    (docs / "families.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).resolve().parent.parent / "docs")
