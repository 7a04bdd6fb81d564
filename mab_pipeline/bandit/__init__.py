"""The numeric core: from counts to posteriors, shares, hundredths and buckets.

Pure functions of arrays on numpy and scipy. No Dagster, database, file, setting or clock.
"""

from mab_pipeline.bandit.adaptive import batchwise_difference, inverse_probability_rates
from mab_pipeline.bandit.agreement import binomial_tail
from mab_pipeline.bandit.buckets import assign_buckets
from mab_pipeline.bandit.day_effects import day_effects, information_kept, overdispersion
from mab_pipeline.bandit.decision import to_hundredths
from mab_pipeline.bandit.exact import expected_loss, probability_best
from mab_pipeline.bandit.exploration import explore
from mab_pipeline.bandit.multinomial import multinomial_shares
from mab_pipeline.bandit.posterior import credible_interval, posterior
from mab_pipeline.bandit.prior import own_rate_prior
from mab_pipeline.bandit.ratios import lift_interval, probability_beats, value_remaining
from mab_pipeline.bandit.sample_ratio import sample_ratio_p_value
from mab_pipeline.bandit.stratified import stratified_score
from mab_pipeline.bandit.thompson import experiment_seed, thompson_shares

__all__ = [
    "assign_buckets",
    "batchwise_difference",
    "binomial_tail",
    "credible_interval",
    "day_effects",
    "expected_loss",
    "experiment_seed",
    "explore",
    "information_kept",
    "inverse_probability_rates",
    "lift_interval",
    "multinomial_shares",
    "overdispersion",
    "own_rate_prior",
    "posterior",
    "probability_beats",
    "probability_best",
    "sample_ratio_p_value",
    "stratified_score",
    "thompson_shares",
    "to_hundredths",
    "value_remaining",
]
