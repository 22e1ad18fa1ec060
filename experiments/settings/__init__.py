"""Settings of a run: schema, loading, presets.

May import errors.
"""

from incentivize.experiments.settings.schema import Settings, Training

__all__ = ["Settings", "Training"]
