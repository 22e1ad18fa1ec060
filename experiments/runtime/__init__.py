"""The process: signals, several processes, streams, limits of a container, settings of jax, provenance.

May import errors and `envs.ambient`.
"""
