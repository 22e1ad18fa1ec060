"""Presentation: charts, Plotly panels, tables, HTML and its templates.

Settings of matplotlib are made here alone; studies and reporting use its classes, too. May import analysis, settings
and errors; never studies, storage or training.
"""
