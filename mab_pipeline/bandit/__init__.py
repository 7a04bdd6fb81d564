"""The numeric core: from counts to posteriors, shares, hundredths and buckets.

Pure functions of arrays on numpy and scipy. No Dagster, database, file, setting or clock.
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
