"""The numeric core: from counts to posteriors, shares, hundredths and buckets.

What belongs here: pure functions of arrays and plain values, built on numpy, scipy and the standard
library. What does not: Dagster, databases, files, settings, clocks and pandas; callers hand over
arrays and keep the names of experiments and variants to themselves.
"""

from mab_pipeline.bandit.agreement import binomial_tail
from mab_pipeline.bandit.buckets import assign_buckets
from mab_pipeline.bandit.decision import to_hundredths
from mab_pipeline.bandit.exact import expected_loss, probability_best
from mab_pipeline.bandit.posterior import credible_interval, posterior
from mab_pipeline.bandit.thompson import experiment_seed, thompson_shares

__all__ = [
    "assign_buckets",
    "binomial_tail",
    "credible_interval",
    "expected_loss",
    "experiment_seed",
    "posterior",
    "probability_best",
    "thompson_shares",
    "to_hundredths",
]
