"""How many random examples a test looks at: in proportion to what the active profile asks for."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings


def examples(count: float, **options: Any) -> settings:
    """``count`` examples where the active profile asks for 100; ``options`` as hypothesis' settings."""
    return settings(max_examples=max(1, round(settings().max_examples * count / 100)), **options)


def database_examples(count: float, **options: Any) -> settings:
    """As ``examples``, for tests whose fixture empties its database for every example."""
    own = [*settings().suppress_health_check, HealthCheck.function_scoped_fixture]
    return examples(count, suppress_health_check=own, **options)
