"""How good the teacher is: success of a family's own expert, beside which claims about teaching are judged."""

from functools import lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.evaluate import evaluate
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.family import Family
from incentivize.envs.tasks import make_pool
from incentivize.experiments.design.grid import headline_teacher
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.schema import EVALUATED_BLOCKS
from incentivize.experiments.training.build import family_from_settings
from incentivize.experiments.training.evaluation import evaluation_key


@lru_cache
def expert_success(family: Family, kind: Literal["informed", "fair"], tasks: int, instances: int) -> float:
    """Success of a family's expert on held-out tasks, acting as drawn from its best actions.

    It plays the instances that agents play in the block "unseen", for as many steps as the family's horizon has.

    Args:
        family: the dynamics.
        kind: what the expert knows.
        tasks: how many held-out tasks, the first ones.
        instances: starting states of each.
    """

    @jax.jit
    def score(key: jax.Array) -> jax.Array:
        def policy(state: Any, elapsed: jax.Array, memory: Any, key: jax.Array) -> tuple[jax.Array, Any]:
            return jnp.log(family.expert(state, kind)), memory

        pool = make_pool(tasks, split="heldout")
        digits = jax.vmap(lambda slot: family.tasks.member(pool, slot))(jnp.arange(tasks, dtype=jnp.uint32))
        first = tasks * EVALUATED_BLOCKS.index("unseen")
        return evaluate(family, policy, (), digits, key, instances, first=first).successes

    return float(np.array(score(evaluation_key())).sum() / (tasks * instances))


def teacher_entry(name: str, settings: Settings) -> dict[str, Any]:
    """The entry of `meta.json` for the teacher of a family's taught generalists, the strongest fair one.

    Returns:
        kind: what it knows, "fair" where the rule is hidden, else "informed"; success, n_tasks, n_episodes.
    """
    kind = TEACHERS[headline_teacher(name)].kind
    tasks, instances = settings.eval_tasks, settings.eval_instances
    success = expert_success(family_from_settings(settings, name), kind, tasks, instances)
    return {"kind": kind, "success": success, "n_tasks": tasks, "n_episodes": tasks * instances}
