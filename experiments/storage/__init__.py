"""Storage: run directories, finished cells, parameters, locks, atomic files.

    run_directory, ownership, lock   the files of a run; making a directory, and one writer at a time
    cell_store, code_version         finished cells, read and written; the version of the code that made them
    parameters, start_from           parameters of trained agents; agents that start from such a file
    schema, io                       columns of rows; atomic writes and reads of files that may be damaged

May import cells, settings, runtime and errors; of agents, rewards and envs only the type of parameters and the
registries; never training.
"""
