"""Benchmarks of `incentivize bench`.

May import training, presentation, runtime; never studies or execution.
"""
