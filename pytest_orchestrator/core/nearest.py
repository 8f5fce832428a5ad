"""The hint that names what somebody probably meant."""

from collections.abc import Iterable
from itertools import islice

_MOST = 5000


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Name the known name that is nearest to an unknown one.

    Args:
        name: What was written.
        names: What would have been known; the first 5,000 are looked at.
        cutoff: How alike they must be, from 0 to 1.

    Returns:
        Text such as `` (did you mean 'module'?)``, or nothing where no name is near.
    """
    from difflib import get_close_matches

    shown = filter(str.isprintable, islice(names, _MOST))
    near = get_close_matches(name[:200], shown, n=1, cutoff=cutoff)
    return f" (did you mean '{near[0]}'?)" if near else ""
