"""Benchmarks: what `incentivize bench` measures.

May import training, presentation, runtime; never studies or execution.
"""
