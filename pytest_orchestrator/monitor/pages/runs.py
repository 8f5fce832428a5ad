"""List of all runs."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct, structs

from pytest_orchestrator.monitor.address import Address, page_number
from pytest_orchestrator.monitor.pages.part import part
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_list import PENDING, RunListCache, RunRow
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.verdicts import is_good

_ROWS: Final = 100
_MOST_RECIPES: Final = 1
_SORTS: Final[dict[str, Callable[[RunRow], Any]]] = {
    "verdict": lambda row: row.verdict,
    "run": lambda row: row.id,
    "recipes": lambda row: [one.path for one in row.recipes],
    "dut": lambda row: row.dut,
    "people": lambda row: row.people,
    "started": lambda row: row.started,
    "seconds": lambda row: -1.0 if row.seconds is None else row.seconds,
    "rate": lambda row: -1.0 if row.rate is None else row.rate,
}


class ListAddress(Struct, frozen=True):
    """Address of the list of runs.

    Attributes:
        q: Search text.
        state: Verdict of the listed runs; empty for all.
        sort: Column of the order, after a minus for descending; empty for the newest first.
        page: Number of the page, from 1.
    """

    q: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1

    path = "/"

    def but(self, **changes: Any) -> str:
        """Return the URL of this page with changes; a change of a filter leads to the first page.

        Args:
            changes: New values of fields, by name.
        """
        fields = structs.asdict(self) | {"page": 1} | changes
        given = {name: value for name, value in fields.items() if value not in ("", 1)}
        return f"/?{urlencode(given)}" if given else "/"

    @property
    def hidden(self) -> dict[str, str]:
        """The fields that the search form sends on besides its own."""
        kept = {"state": self.state, "sort": self.sort}
        return {name: value for name, value in kept.items() if value}


def page(run_list: RunListCache, query: Mapping[str, str]) -> str:
    """Return the page with the list of runs as HTML.

    Args:
        run_list: The rows of the runs.
        query: The query of the URL.
    """
    texts = {name: query[name][:200] for name in ("q", "state", "sort") if name in query}
    one = ListAddress(**texts, page=page_number(query))
    rows = every = run_list.rows(wait=True)
    version = str(run_list.version)
    words = one.q.lower().split()
    if words:
        rows = [row for row in rows if all(word in row.text for word in words)]
    counts = dict(Counter(row.verdict for row in rows))
    if one.state:
        rows = [row for row in rows if row.verdict == one.state]
    by = _SORTS.get(one.sort.removeprefix("-"))
    if by is not None:
        rows = sorted(rows, key=by, reverse=one.sort.startswith("-"))
    newest = every[0].verdict if every else "waiting"
    ended = sum(number for word, number in counts.items() if word not in ("running", PENDING))
    return render(
        "runs.html",
        page={
            "title": f"{sign(newest)} {len(every):,} run{'s' * (len(every) != 1)}: {run_list.base}",
            "look": look(newest),
            "version": version,
            "events": "/events",
        },
        part=part(rows, one.page, _ROWS),
        counts=counts,
        address=one,
        base=str(run_list.base),
        total=len(every),
        passed=sum(number for word, number in counts.items() if is_good(word)),
        ended=ended,
        pending=sum(row.verdict == PENDING for row in every),
        most_recipes=_MOST_RECIPES,
        recipe_url=recipe_url,
    )


def recipe_url(run: str, path: str) -> str:
    """Return the URL of the history of a recipe on the page of a run."""
    return f"{Address(run, recipe=path).url}#history"
