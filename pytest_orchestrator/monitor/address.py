"""Address of a page of a run: everything that the reader has chosen, as a URL."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from msgspec import Struct, structs

from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord

_SEPARATOR: Final = "::"
_SAFE: Final = "/:[]@"
"""Characters that stay as they are in a query, so that a node id can be read in the URL."""


class Address(Struct, frozen=True, omit_defaults=True):
    """Address of a page of a run.

    Attributes:
        run: Name of the folder of the run.
        tab: ``log`` for the page of a log; empty for the page of the run.
        recipe: Key of the chosen recipe; empty for all.
        step: Key of the chosen step, as `step_key` returns it; empty for none.
        state: State of the listed steps; empty for all.
        q: Search text.
        sort: Column of the order, after a minus for descending; empty for the order of the run.
        page: Number of the page of a long list, from 1.
        key: The chosen stream of a log; empty for none.
        at: Position in a log; empty for its end.
    """

    run: str
    tab: str = ""
    recipe: str = ""
    step: str = ""
    state: str = ""
    q: str = ""
    sort: str = ""
    page: int = 1
    key: str = ""
    at: str = ""

    def but(self, **changes: Any) -> str:
        """Return the URL of this page with changes; a change of a filter leads to the first page.

        Args:
            changes: New values of fields, by name.
        """
        if "page" in changes:
            if not self.tab:
                changes.setdefault("step", "")  # a step is open on the page that has its row
        elif changes.keys() & {"recipe", "state", "q", "sort", "tab"}:
            changes["page"] = 1
        return structs.replace(self, **changes).url

    def to(self, tab: str) -> str:
        """Return the URL of a view of the same recipe and step, without the filters of this one."""
        return Address(self.run, tab, self.recipe, self.step).url

    @property
    def path(self) -> str:
        """The URL without the query."""
        return f"/run/{quote(self.run)}{self.tab and '/'}{self.tab}"

    @property
    def url(self) -> str:
        """The URL."""
        query = structs.asdict(self)
        del query["run"], query["tab"]
        given = {name: value for name, value in query.items() if value not in ("", 1)}
        return f"{self.path}?{urlencode(given, safe=_SAFE)}" if given else self.path

    @property
    def hidden(self) -> dict[str, str]:
        """The fields that a search form sends on besides its own."""
        kept = {"recipe": self.recipe, "step": self.step, "state": self.state, "sort": self.sort}
        return {name: value for name, value in kept.items() if value}


def address(run: str, tab: str, query: Mapping[str, str]) -> Address:
    """Return the address that a URL names; unknown and wrong parts of the query are left out.

    Args:
        run: Name of the folder of the run.
        tab: ``log``, or empty for the page of the run.
        query: The query of the URL.
    """
    texts = ("recipe", "step", "state", "q", "sort", "key", "at")
    return Address(
        run,
        tab,
        **{name: query[name][:500] for name in texts if name in query},
        page=page_number(query),
    )


def page_number(query: Mapping[str, str]) -> int:
    """Return the number of the page in the query of a URL; 1 without a valid one."""
    text = query.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def step_key(step: StepRecord) -> str:
    """Return the key that identifies a step in a URL."""
    return f"{step.recipe}{_SEPARATOR}{step.name}"


def chosen_step(view: RunView, one: Address) -> StepRecord | None:
    """Return the chosen step; None if none is chosen or it does not exist."""
    recipe, _, name = one.step.rpartition(_SEPARATOR)
    found = view.record.recipes.get(recipe)
    return found.steps.get(name) if found else None


def chosen_recipe(view: RunView, one: Address) -> RecipeRecord | None:
    """Return the chosen recipe, else that of the chosen step; None if all are shown."""
    found = view.record.recipes.get(one.recipe)
    if found is None and (step := chosen_step(view, one)):
        found = view.record.recipes[step.recipe]
    return found


def files_url(run: str) -> str:
    """Return the prefix of links to the files of a run.

    Args:
        run: Name of the folder of the run.
    """
    return f"/run/{quote(run)}/file/"
