"""The teacher of a study is measured on what its agents play."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.evaluate import evaluate
from incentivize.envs.families.errands import Errands
from incentivize.envs.tasks import make_pool
from incentivize.experiments.execution import baselines
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage.schema import EVALUATED_BLOCKS
from incentivize.experiments.studies import task_count
from incentivize.experiments.training.evaluation import evaluation_key

TASKS, INSTANCES = 8, 4


@dataclass(frozen=True)
class Stubborn(Errands):
    """An expert that walks east when it has to be fair, whatever it was shown."""

    def expert(self, state, kind="informed"):
        return super().expert(state) if kind == "informed" else jax.nn.one_hot(1, 4)


def test_the_fair_expert_is_measured_apart_from_who_knows_the_task():
    family = Stubborn(attributes=2, values=4)
    assert baselines.expert_success(family, "informed", TASKS, INSTANCES) == 1
    fair = baselines.expert_success(family, "fair", TASKS, INSTANCES)
    assert 0 < fair < 0.6

    def policy(state, elapsed, memory, key):
        return jnp.log(family.expert(state, "fair")), memory

    pools = (make_pool(1), make_pool(TASKS, split="validation"), *(make_pool(TASKS, split="heldout") for _ in range(2)))

    @jax.jit
    def play(pools, key):
        slots = jnp.arange(TASKS, dtype=jnp.uint32)
        tasks = jax.vmap(lambda pool: jax.vmap(partial(family.tasks.member, pool))(slots))(pools)
        return evaluate(family, policy, (), tasks.reshape(-1, tasks.shape[-1]), key, INSTANCES).successes

    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *pools)
    agents = np.asarray(play(stacked, evaluation_key())).reshape(len(EVALUATED_BLOCKS), TASKS)
    assert fair == int(agents[EVALUATED_BLOCKS.index("unseen")].sum()) / (TASKS * INSTANCES)  # the very instances


def test_what_the_teacher_knows_is_what_the_headline_s_does(monkeypatch):
    asked = []
    monkeypatch.setattr(baselines, "expert_success", lambda family, kind, *sizes: asked.append((kind, sizes)) or 0.5)
    base = {"study": "task-count"} | task_count.PRESETS["quick"] | {"families": ("errands", "codebooks")}
    settings = resolve(base, presets.training_defaults("quick"))
    found = [baselines.teacher_entry(family, settings) for family in settings.families]
    assert [entry["kind"] for entry in found] == ["informed", "fair"]
    assert [kind for kind, _ in asked] == ["informed", "fair"]
    assert found[1] == {"kind": "fair", "success": 0.5, "n_tasks": 128, "n_episodes": 512}
