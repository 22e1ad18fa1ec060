"""Stable-Baselines3 on a pool of mazes, by nothing but their Gymnasium id: does it find its way in mazes it never met?

    pip install '.[sb3]'
    python examples/sb3.py --pool 4
    python examples/sb3.py --pool 1024

prints how often the trained agent succeeds on tasks of its pool, and on tasks held out, which no pool has.
"""

import argparse
from typing import Any

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

ID = "incentivize:incentivize/Mazes-v0"
SIZE = {"rows": 4, "columns": 4}  # small, so that a minute is enough


def success(model: PPO, episodes: int = 200, **kwargs: Any) -> float:
    """Return the share of episodes, from fixed seeds, in which the policy succeeds with sampled actions.

    Args:
        model: the trained agent.
        episodes: the number of episodes.
        kwargs: arguments of the environment, which choose the tasks.
    """
    env = gymnasium.make(ID, **SIZE, **kwargs)
    wins = 0
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        ended, info = False, {}
        while not ended:
            action, _ = model.predict(observation)
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        wins += bool(info["succeeded"])
    env.close()
    return wins / episodes


def main(pool: int, steps: int, seed: int = 0) -> tuple[float, float]:
    """Train on a pool; return the success on its tasks, and on tasks held out."""
    env = make_vec_env(ID, n_envs=8, seed=seed, env_kwargs={**SIZE, "split": "training", "pool_size": pool})
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", n_steps=64, batch_size=64, learning_rate=1e-3)
    model.learn(steps)
    seen, unseen = success(model, split="training", pool_size=pool), success(model, split="heldout")
    print(f"pool {pool:,}, {steps:,} steps: success {seen:.2f} on its tasks, {unseen:.2f} on tasks held out")
    return seen, unseen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=64, help="training tasks")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps")
    main(**vars(parser.parse_args()))
