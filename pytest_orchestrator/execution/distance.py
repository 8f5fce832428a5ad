"""How far a figure is beyond its limit, in words."""


def measured(value: float, limit: float, unit: str, *, digits: int = 2) -> tuple[str, str]:
    """Tell a figure that is beyond a limit, and how far.

    Args:
        value: The figure.
        limit: What it should not be above, or not below.
        unit: What both are in; may be empty.
        digits: How many decimals are shown, unless the distance needs more.

    Returns:
        The figure, such as ``4.02 s``; the rest of the sentence, such as
        ``limit 3 s (over by 1.02 s, 34 %)``.
    """
    distance = abs(value - limit)
    while digits < 9 and distance and not float(f"{distance:.{digits}f}"):
        digits += 1
    if isinstance(value, int) and isinstance(limit, int):
        digits = 0
    unit = f" {unit}" if unit else ""
    side = "over" if value > limit else "under"
    share = f", {_percent(100 * distance / abs(limit))}" if limit else ""
    rest = f"limit {limit:,.15g}{unit} ({side} by {distance:,.{digits}f}{unit}{share})"
    return f"{value:,.{digits}f}{unit}", rest


def _percent(share: float) -> str:
    if share >= 1:
        return f"{share:,.0f} %"
    return f"{share:.2f} %" if share >= 0.01 else "less than 0.01 %"
