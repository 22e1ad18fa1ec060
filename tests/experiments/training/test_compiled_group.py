"""Options of the compiler for programs that run seldom."""

import pytest

from incentivize.experiments.training.compiled_group import LEVEL, _options_of_seldom_programs


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("", {LEVEL: 2}), ("--xla_dump_to=/nowhere", {LEVEL: 2}), (f"--{LEVEL}=0", None), (f"--{LEVEL}=3", None)],
)
def test_a_level_that_somebody_asks_for_stays(flags, expected, monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: "cpu")
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert _options_of_seldom_programs() == expected


def test_only_programs_of_a_cpu_are_optimised_less(monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    monkeypatch.setenv("XLA_FLAGS", "")
    assert _options_of_seldom_programs() is None
