"""The command line: parsing, dispatch, exit status. One command is one file in `commands`.

May import everything below it. Whatever is slow to import is imported inside functions, so that help appears at once.
"""
