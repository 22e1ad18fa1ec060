"""Playing and watching: a person at a task, agents side by side, replays, the terminal.

May import studies, presentation, training, storage, cells, settings, runtime, errors, agents, envs; never execution or
reporting.
"""
