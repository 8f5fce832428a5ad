"""Page with the list of runs."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct, structs

from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunListCache
from pytest_orchestrator.reports.text import look

_ROWS: Final = 100


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
    number = query.get("page", "1")
    one = ListAddress(
        **{name: query[name][:200] for name in ("q", "state", "sort") if name in query},
        page=int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 1,
    )
    rows = every = run_list.rows()
    words = one.q.lower().split()
    if words:
        rows = [row for row in rows if all(word in row["text"] for word in words)]
    counts = dict(Counter(str(row["verdict"]) for row in rows))
    if one.state:
        rows = [row for row in rows if row["verdict"] == one.state]
    column = one.sort.removeprefix("-")
    if column in ("verdict", "recipes", "dut", "started", "seconds", "rate"):
        is_number = column in ("seconds", "rate")
        nothing: Any = -1.0 if is_number else ""
        rows = sorted(
            rows,
            key=lambda row: nothing if row.get(column) is None else row[column],
            reverse=one.sort.startswith("-"),
        )
    shown: Part[dict[str, Any]] = part(rows, one.page, _ROWS)
    newest = every[0] if every else None
    return render(
        "runs.html",
        page={
            "title": f"{len(every)} run{'s' * (len(every) != 1)}: {run_list.base}",
            "look": look(newest["verdict"]) if newest else "waiting",
            "version": _digest(every),
            "events": "/events",
        },
        part=shown,
        counts=counts,
        address=one,
        base=str(run_list.base),
        total=len(every),
        all_runs=run_list.total,
    )


def version(run_list: RunListCache) -> str:
    """Return the version of the list of runs."""
    return _digest(run_list.rows())


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
