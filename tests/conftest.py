"""How long an example of a law may take: as long as it takes on a machine with much to do."""

from hypothesis import HealthCheck, settings

# How long an example takes says what else the machine does; what has to be fast has a test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
