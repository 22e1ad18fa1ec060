"""Programs that measure or draw what the documentation shows; not part of the package."""
