"""Settings of a run: schema, loading, presets.

May import errors.
"""

from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import Training

__all__ = ["Settings", "Training"]
