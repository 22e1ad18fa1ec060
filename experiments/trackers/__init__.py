"""Trackers: what shows a run elsewhere, such as TensorBoard or W&B.

May import storage and errors.
"""
