"""Storage: run directories, finished cells, parameters, locks, atomic files.

May import cells, settings, runtime, errors; never training.
"""
