"""Analysis: counts, rows, a table, estimates, claims and what guards them. No plots, no training.

    result_rows, results_table, ledger   rows of finished cells; the table that studies read; what a cell consumed
    estimates, comparisons               intervals; comparisons of arms
    claims, claim_guards                 the judgement of a claim by its rule; reasons to leave it open
    pool_curves, thresholds, threshold_forecast, scaling_laws   curves over pool sizes and budgets
    task_distance                        distances of held-out tasks to the nearest training task

May import cells, settings, the schema of rows (`storage.schema`) and envs.
"""
