"""Wrappers: families made from families, such as controls, lives, mixtures and held-out pairs.

Imports the contract above it (`family`, `tasks`), never a family.
"""
