"""The gallery says what the families are now."""

import re

import pytest
from PIL import Image

from benchmarks.gallery import facts, knobs
from incentivize import envs
from tests.helpers.paths import DOCS


@pytest.mark.parametrize("name", envs.names())
def test_the_gallery_is_up_to_date(name):
    page = (DOCS / "families.md").read_text(encoding="utf-8")
    assert facts(name) in page, "make gallery"
    part = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
    assert re.search(r"Expert\*\*: [\d.]+ steps on average, \d+ at most", part)
    assert re.search(r"\n- \*\*Fair expert\*\*: success [01]\.\d{3}, knowing what the agent was shown", part)
    levels = [float(level) for level in re.findall(r"(?:uniform|scripted|trained) ([\d.]+)", part)]
    assert len(levels) == 3
    assert 1e-3 <= levels[0] <= 0.3
    assert re.search(r"Speed\*\*: [\d.]+ M steps/s", part)
    with Image.open(DOCS / "families" / f"{name}.gif") as picture:
        assert picture.n_frames >= 2


@pytest.mark.parametrize("name", envs.names())
def test_every_knob_is_explained(name):
    family = envs.make(name)
    told = [part for names, _ in knobs(family) for part in names.split(", ")]
    assert sorted(told) == sorted(vars(family))
    assert all(meaning for _, meaning in knobs(family))
