"""Running a study, from settings to a finished run directory.

    study_run                the run as a whole: checks, training, report
    planning, completeness   the cells of a study and their groups; which of them are finished
    validation, unused_settings, memory_estimate   refusals of settings before anything compiles
    scheduler, workers       training of the missing cells, side by side
    publisher, progress      rows of finished cells, written to the run directory; a bar or lines for people
    baselines, auditing      what is measured beside training; the check that held-out tasks stay out of it
    execution_options, slurm, tuning   options that change no result; jobs of a cluster; search over settings

May import reporting and everything below it; nothing but the command line imports it.
"""
