"""Families: one file each, and nothing else but what several of them share (`grid`).

Imports the contract above it (`family`, `tasks`, `render`), never wrappers, never what plays.
"""
