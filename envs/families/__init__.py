"""Families, one file each, and the code that several of them share (`grid`, `fixed_length`).

They import the contract (`family`, `tasks`, `render`), never wrappers or environments.
"""
