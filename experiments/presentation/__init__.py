"""Presentation: charts, Plotly panels, tables, HTML and its templates; the only door to matplotlib and Plotly.

May import analysis and settings; never studies, storage or training.
"""
