"""`python -m incentivize` is the command `incentivize`."""

from incentivize.experiments.cli.main import entry

if __name__ == "__main__":  # not in worker processes, which import the main module again
    entry()
