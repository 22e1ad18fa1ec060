"""Comparisons with other projects' environments; not part of the package, and with an environment of their own."""
