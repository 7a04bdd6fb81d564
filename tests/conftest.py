"""What every test stands on: Hypothesis never judges a machine by its speed."""

from hypothesis import HealthCheck, settings

# A deadline or a health check on time fails on a busy machine and says nothing about the code.
settings.register_profile(
    "mab",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mab")
