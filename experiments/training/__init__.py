"""Training: from a cell to a trained agent. Its modules decide results, with exceptions in `storage.code_version`.

May import storage, cells, settings, runtime, errors, agents, rewards, envs; never analysis or anything above.
"""
