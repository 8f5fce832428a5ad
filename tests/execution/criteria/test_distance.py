"""Text of a figure beyond its limit, and of the distance from the limit."""

import pytest

from pytest_orchestrator.execution.schema_errors import beyond_limit


@pytest.mark.parametrize(
    ("value", "limit", "unit", "texts"),
    [
        (4.0193, 3, "s", ("4.02 s", "limit 3 s (1.02 s above, 34 %)")),
        (3.0004, 3.0, "s", ("3.0004 s", "limit 3 s (0.0004 s above, 0.01 %)")),
        (3.0000004, 3, "s", ("3.0000004 s", "limit 3 s (0.0000004 s above, less than 0.01 %)")),
        (12, 1_000, "bytes", ("12 bytes", "limit 1,000 bytes (988 bytes below, 99 %)")),
        (2, 1, "bytes", ("2 bytes", "limit 1 byte (1 byte above, 100 %)")),
        (2, 0, "", ("2", "limit 0 (2 above)")),
        (-4.5, -4, "V", ("-4.50 V", "limit -4 V (0.50 V below, 12 %)")),
        (1234567.5, 0.25, "", ("1,234,567.50", "limit 0.25 (1,234,567.25 above, 493,826,900 %)")),
    ],
)
def test_a_figure_beyond_its_limit_is_shown_with_the_distance(
    value: float, limit: float, unit: str, texts: tuple[str, str]
) -> None:
    assert beyond_limit(value, limit, unit) == texts
