"""The running process: signals, distributed training, streams, limits of containers, ambient settings, provenance.

May import errors and `envs.jax_settings`.
"""
