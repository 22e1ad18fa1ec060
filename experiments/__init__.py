"""What is asked: studies, their statistics, and everything between a command and a report."""

if __name__ == "experiments":  # in a checkout
    from incentivize.checkout import alias

    alias("experiments")
