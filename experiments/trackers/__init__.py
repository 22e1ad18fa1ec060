"""Trackers: adapters to other displays, such as TensorBoard or W&B.

A new tracker is one file here and one line in `TRACKERS` (`registry`).

May import storage, runtime, errors and `envs.registry`.
"""
