"""Running a study: plan, validation, baselines, workers, Slurm, tuning.

May import reporting and everything below it; nothing but the command line imports it.
"""
