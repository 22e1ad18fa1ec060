"""Agents: networks, one rollout, two learner arms that differ only in their loss, evaluation and search.

    learner, rollout, hyperparameters   the training loop that both arms share
    ppo, cloning, teachers              the losses of the two arms, advantages, and the teachers of the second
    networks                            a policy and a value from an encoder, a memory and two heads
    encoders                            the networks of `--network`: a new one is a class and a line of `ENCODERS`
    memories                            the memories of `--memory`
    evaluate, likelihood, search, recording   uses and measurements of trained agents
    sharding                            several devices for one agent

May import `rewards` and `envs`.
"""

if __name__ == "agents":  # in a checkout
    from incentivize.checkout import alias

    alias("agents")
