"""Training: from a cell to a trained agent. What stands here decides what a cell computes (`storage.code_version`).

May import storage, runtime, cells, settings, agents, rewards, envs; never analysis or anything above.
"""
