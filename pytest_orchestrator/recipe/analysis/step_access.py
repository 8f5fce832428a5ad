"""Context keys that one step reads and writes: recipe, scriptlet, script."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.analysis.python_source import ANY, UNKNOWN, Flow, flow_of
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.expressions.expression import OPENING, Expression
from pytest_orchestrator.recipe.fields.resolve import is_late
from pytest_orchestrator.recipe.model.step import Part, PythonStep, ShellStep, SshStep, Step

_SPEAKS = re.compile(r"update_state|pytest[-_]orchestrator")
_WRITES = re.compile(
    r"(?:update_state\.sh|pytest-orchestrator\s+ctx)[\"']?\s+(set|append|increment)\s+(\S+)"
)
_KEY = re.compile(r"[\w.-]+")
_METHODS = frozenset({"get", "keys", "to_dict", "get_history", "last_modified"})


class Wanted(NamedTuple):
    """A key that a step wants to be there.

    Attributes:
        key: The key, or a path below one.
        place: Where the recipe says so, or names the scriptlet that does.
        told: What a message says, such as ``reads ctx.psu.volts_v1``.
        is_late: It is asked for after the body of the step.
        is_sure: The step fails without it.
        use: The use of a file by which it is asked, where it is not the step itself.
    """

    key: str
    place: Place
    told: str
    is_late: bool
    is_sure: bool
    use: Part | None = None


class Write(NamedTuple):
    """A key that a step writes.

    Attributes:
        key: The key; ``*`` stands for a part that is computed.
        how: ``set``, ``append`` or ``increment``; empty where the step only promises that the
            key is there.
        place: Where the recipe says so, or names what does it.
    """

    key: str
    how: str
    place: Place

    def meets(self, key: str) -> bool:
        """Tell whether there may be something at a path once this is written."""
        start, computed, _ = self.key.partition(ANY)
        if computed:
            return key.startswith(start) or start.startswith(f"{key}.")
        return key == start or key.startswith(f"{start}.") or start.startswith(f"{key}.")


class StepFlow(NamedTuple):
    """What a step reads and writes.

    Attributes:
        wants: What must be there.
        writes: What it writes itself.
        promises: What it says to be there afterwards.
        is_open: It may write more.
        is_dark: Its program cannot be looked into; it may keep its own promises.
    """

    wants: tuple[Wanted, ...]
    writes: tuple[Write, ...]
    promises: tuple[Write, ...]
    is_open: bool
    is_dark: bool


UNSEEN = StepFlow((), (), (), is_open=True, is_dark=True)
"""Of what cannot be looked into."""


def step_flow(step: Step, sources: Sources, fixtures: Collection[str]) -> StepFlow:
    """Return what a step reads and writes.

    Args:
        step: The step.
        sources: The files of the project.
        fixtures: Those of its recipe.
    """
    body, place, shown = _body(step, sources, {*fixtures, *step.fixtures})
    kept = [one for one in step.success if one.name == "ctx_has_keys" and _is_plain(one.wanted)]
    wants = [*_expressions(step)]
    wants += [
        Wanted(str(one.wanted), one.place, f"is to leave '{one.wanted}'", True, True)
        for one in kept
    ]
    wants += [
        Wanted(one.key, place, f"reads '{one.key}' ({shown}:{one.line})", False, False)
        for one in dict.fromkeys(body.reads)
        if one.key not in body.asked
    ]
    return StepFlow(
        wants=tuple(wants),
        writes=(
            *(Write(key, how, place) for key, how in sorted(body.writes)),
            *(Write(one.key, "set", one.place) for one in step.outputs),
        ),
        promises=tuple(Write(str(one.wanted), "", one.place) for one in kept),
        is_open=body.is_open,
        is_dark=not shown,
    )


def _is_plain(text: object) -> bool:
    return OPENING not in str(text)


def _all_expressions(step: Step) -> Iterator[tuple[Expression, bool]]:
    """Return the expressions of a step, each with whether it is asked after the body."""
    for one in step.templates:
        is_asked_after = bool(one.path) and is_late(step, one)
        yield from ((each, is_asked_after) for each in one.expressions)
    if step.if_ is not None:
        yield step.if_, False
    if step.retry is not None:
        asked = (step.retry.until, step.retry.abort_if)
        yield from ((each, True) for each in asked if each is not None)
    yield from ((each.value, True) for each in step.measurements.values())
    yield from ((each.expression, True) for each in step.success if each.expression is not None)


def _of_uses(step: Step) -> Iterator[tuple[Expression, Part]]:
    """Return the expressions of the steps that use the file that a step stands in."""
    part: Part | None = step.part
    while part is not None:
        for one in part.given_templates:
            yield from ((each, part) for each in one.expressions)
        if part.condition is not None:
            yield part.condition, part
        part = part.outer


def _expressions(step: Step) -> Iterator[Wanted]:
    own = [(one, is_late, None) for one, is_late in _all_expressions(step)]
    found = [
        (
            Wanted(".".join(path), one.place, f"reads ctx.{'.'.join(path)}", is_late, True, use),
            chain,
        )
        for one, is_late, use in (*own, *((one, False, use) for one, use in _of_uses(step)))
        for chain in one.reads
        if chain.root == "ctx" and (path := _path(chain.parts)) and path[0] not in _METHODS
    ]
    asked = {want.key for want, chain in found if chain.asked}
    yield from (want for want, _ in found if want.key not in asked)


def _path(parts: tuple[str | int | None, ...]) -> list[str]:
    """Return the beginning of a way into the Context that is written down."""
    path: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            break
        path.append(part)
    return path


def _body(step: Step, sources: Sources, fixtures: Collection[str]) -> tuple[Flow, Place, str]:
    """Return the flow of what a step runs, where the recipe names it, and its file."""
    if isinstance(step, PythonStep):
        name = step.class_ or step.function or ""
        place = step.at.get("class") or step.at.get("function") or step.at[""]
        module = sources.module(step.module)
        if module is None or module.path is None:
            return UNKNOWN, place, ""
        return flow_of(module, name, fixtures), place, sources.shown(module.path)
    if isinstance(step, ShellStep) and not isinstance(step, SshStep):
        return _script(step, sources)
    return UNKNOWN, step.at[""], ""


def _script(step: ShellStep, sources: Sources) -> tuple[Flow, Place, str]:
    line = step.cmd if isinstance(step.cmd, str) else " ".join(step.cmd)
    words = [word.strip("\"'") for word in line.split()]
    files = {word: text for word in words if "/" in word and (text := sources.text(word))}
    texts = [line, *files.values()]
    writes, is_open = set(), False
    for text in texts:
        found = _WRITES.findall(text)
        named = {(key.strip("\"'"), how) for how, key in found}
        writes |= {(key, how) for key, how in named if _KEY.fullmatch(key)}
        is_open |= any(not _KEY.fullmatch(key) for key, _ in named)
        is_open |= not found and bool(_SPEAKS.search(text))
    first = words[0] if words and words[0] in files else ""
    return Flow(writes=frozenset(writes), is_open=is_open), step.at["cmd"], first
