"""Benchmarks of `incentivize bench`.

May import presentation, training, cells, settings, runtime, agents and envs; never studies or execution.
"""
