"""Trainers that others wrote learn through the door. They come with `pip install '.[sb3]'`."""

import gymnasium
import pytest


def success(model, env, episodes=100):
    """How often the most probable actions succeed, over episodes from fixed seeds."""
    wins = 0
    for seed in range(episodes):
        observation, _ = env.reset(seed=10_000 + seed)
        ended = False
        while not ended:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        wins += info["succeeded"]
    return wins / episodes


@pytest.mark.slow
@pytest.mark.parametrize(("module", "trainer"), [("stable_baselines3", "PPO"), ("sb3_contrib", "MaskablePPO")])
def test_it_learns_one_small_maze_by_heart(module, trainer):
    trainers = pytest.importorskip(module, reason=f"{module} is not installed: pip install '.[sb3]'")
    env = gymnasium.make("incentivize:incentivize/Mazes-v0", rows=4, columns=4, pool_size=1)
    model = getattr(trainers, trainer)(
        "MlpPolicy", env, seed=0, device="cpu", n_steps=256, batch_size=64, learning_rate=1e-3
    )
    before = success(model, env)
    model.learn(4096)
    after = success(model, env)
    print(f"{trainer}: success {before:.2f} before, {after:.2f} after 4,096 steps")
    assert before <= 0.5
    assert after >= 0.9
