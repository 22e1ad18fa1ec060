"""Families, one file each, and the code that several of them share (`grid`, `fixed_length`).

A new family is one file here and one line in `FAMILIES` (`envs/__init__.py`).

They import the contract of a family (`envs.family`, `tasks`, `render`, `arguments`), never wrappers or environments.
"""
