"""Regular expressions that a user wrote: `^` and `$` stand at lines."""

import re
import warnings


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern made ready.

    Raises:
        ValueError: It is none; says what is wrong, and where in it.
    """
    try:
        with warnings.catch_warnings():
            # What Python may read differently one day is no matter of who runs the recipe.
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f", at character {error.pos + 1}"
        raise ValueError(f"{error.msg}{where}") from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None
