"""Agents: networks, one rollout, two learner arms that differ only in their loss, evaluation and search.

    learner, rollout, hyperparameters   the training loop that both arms share
    ppo, cloning, teachers              the losses of the two arms, advantages, and the teachers of the second
    networks                            a policy and a value from an encoder, a memory and two heads
    encoders                            what `--network` names: a new network is a class and a line of `ENCODERS` there
    memories                            what `--memory` names
    evaluate, likelihood, search, recording   what trained agents are asked
    sharding                            several devices for one agent

May import `rewards` and `envs`.
"""

if __name__ == "agents":  # in a checkout
    from incentivize.checkout import alias

    alias("agents")
