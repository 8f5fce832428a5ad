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
    side = "over" if value > limit else "under"
    share = f", {_percent(100 * distance / abs(limit))}" if limit else ""
    beyond = _in(unit, f"{distance:,.{digits}f}")
    rest = f"limit {_in(unit, f'{limit:,.15g}')} ({side} by {beyond}{share})"
    return _in(unit, f"{value:,.{digits}f}"), rest


def _in(unit: str, figure: str) -> str:
    if figure == "1" and len(unit) > 1:
        unit = unit.removesuffix("s")
    return f"{figure} {unit}" if unit else figure


def _percent(share: float) -> str:
    if share >= 1:
        return f"{share:,.0f} %"
    return f"{share:.2f} %" if share >= 0.01 else "less than 0.01 %"
