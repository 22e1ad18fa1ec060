"""Made-up evaluation counts, as a run has them."""

import numpy as np

from incentivize.experiments.storage.schema import count_fields


def counted(*rows, family="errands"):
    """An array of `count_fields`: (cell, env_steps, split, ordinal, successes, episodes), the rest 0 or alike."""
    counts = np.zeros(len(rows), count_fields(life=1))
    for place, (cell, steps, split, ordinal, won, episodes) in enumerate(rows):
        counts[place]["cell"], counts[place]["env_steps"], counts[place]["evaluated_on"] = cell, steps, split
        counts[place]["family"] = family
        counts[place]["ordinal"], counts[place]["episodes"] = ordinal, episodes
        for name in ("successes", "successes_greedy", "successes_best"):
            counts[place][name] = won
        counts[place]["by_attempt"] = won
    return counts
