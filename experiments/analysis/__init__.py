"""Analysis: counts, rows, a table, estimates, claims and what guards them. No plots, no training.

May import cells, settings, and the schema of rows (`storage.schema`).
"""
