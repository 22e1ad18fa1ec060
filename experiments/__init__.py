"""Experiments: the studies, the code that runs them and reports on them, and the command `incentivize`.

The rooms, from the top down. Imports run down alone:

    cli           the command: parsing, dispatch, exit status; one command is one file in `cli/commands`
    execution     runs a study: plan, validation, baselines, workers, Slurm, tuning
    reporting     report.html, heat map, scoreboard, context of claims
    viewing       play, watch, replays, the terminal
    doctor        checks of the installation
    bench         benchmarks
    study_api     the one door for studies of other packages
    studies       one file per study: question, grid, figure, verdict rules
    design        the cells that grids are made of
    presentation  charts, tables, HTML and its templates
    trackers      TensorBoard, Weights & Biases
    training      from a cell to a trained agent
    analysis      counts, rows, estimates, claims and their guards
    storage       run directories, finished cells, parameters, locks
    cells         Cell: the training of one agent
    settings      schema, loading, presets
    runtime       the process: signals, streams, several processes, settings of jax
    errors        every exception that a command turns into an exit status

Storage never imports training, and studies never import reporting. `make lint` checks the rules in `pyproject.toml`.
"""

if __name__ == "experiments":  # in a checkout
    from incentivize.checkout import alias

    alias("experiments")
