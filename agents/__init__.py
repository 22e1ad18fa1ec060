"""Who learns: networks, one rollout, two learner arms that differ only in their loss, evaluation."""
