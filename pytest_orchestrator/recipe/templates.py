"""The expressions within the values of one step: taken out where they are read.

What stays in the field is the text as it is written; `resolve` puts the values in its place.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec

from pytest_orchestrator.recipe.expressions import Expression, Template
from pytest_orchestrator.recipe.names import unknown
from pytest_orchestrator.recipe.problems import Problems


class Templates:
    """Takes expressions out of values that were read.

    Attributes:
        found: Those that were taken out, each with its path.
        expressions: All expressions that were met, bare ones too.
    """

    def __init__(self) -> None:
        self.found: list[Template] = []
        self.expressions: list[Expression] = []

    def taken(self, value: Any, *path: str | int) -> Any:
        """Return a value with the text of each expression in its place."""
        if type(value) is Template:
            self.found.append(msgspec.structs.replace(value, path=path))
            return value.text
        if isinstance(value, dict):
            return {name: self.taken(each, *path, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            kind = type(value)
            return kind([self.taken(each, *path, at) for at, each in enumerate(value)])
        return value

    def move(
        self, other: "Templates", moved: Callable[[tuple[str | int, ...]], tuple[str | int, ...]]
    ) -> None:
        """Take those of another, whose paths become others."""
        self.found += [msgspec.structs.replace(one, path=moved(one.path)) for one in other.found]
        self.expressions += other.expressions

    def check(self, value: Any, names: Collection[str], problems: Problems, where: str) -> None:
        """Note the names in the expressions of a value that mean nothing there."""
        for expression in expressions(value):
            self.expressions.append(expression)
            wrong = unknown(expression, names, problems.variables)
            if wrong:
                problems.add(expression.place, wrong, where)


def expressions(value: object) -> Iterator[Expression]:
    """Return all expressions in a value that was read."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Template):
        yield from value.expressions
    elif isinstance(value, dict):
        for each in value.values():
            yield from expressions(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from expressions(each)


def has_template(value: object) -> bool:
    """Tell whether an expression stands within a value that was read."""
    if isinstance(value, dict):
        return any(map(has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_template, value))
    return type(value) is Template
