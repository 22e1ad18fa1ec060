"""A family, a reward, a network and a study of one's own for `incentivize`."""
