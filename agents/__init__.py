"""Agents: networks, one rollout, two learner arms that differ only in their loss, evaluation and search."""

if __name__ == "agents":  # in a checkout
    from incentivize.checkout import alias

    alias("agents")
