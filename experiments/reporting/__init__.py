"""Reports of run directories: report.html, heat map, scoreboard, context of claims.

May import viewing, studies, presentation, training, analysis, storage, cells, settings, errors, envs; never execution.
"""
