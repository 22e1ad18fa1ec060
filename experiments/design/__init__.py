"""Designs: the cells that grids of studies are made of.

May import cells, settings and envs.
"""
