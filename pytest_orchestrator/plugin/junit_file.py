"""JUnit files: where they have the properties of steps, and those that stand with the suite."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_orchestrator.core.json_values import Json

_PLACES = ("testcase", "testsuite", "none")


def add(parser: pytest.Parser) -> None:
    """Declare the ini key."""
    parser.addini(
        "recipe_junit_properties",
        "where a JUnit file has the properties of a step: family (as junit_family asks), testcase, "
        "testsuite or none",
        default="family",
    )


def place(config: pytest.Config) -> str:
    """Return where a JUnit file has the properties of a step: testcase, testsuite or none.

    Without a word it is where the schema of the file's family has a place for them: who holds to
    that schema refuses a whole file for one property elsewhere.

    Raises:
        pytest.UsageError: The ini key is wrong.
    """
    where = str(config.getini("recipe_junit_properties")).strip()
    if where == "family":
        # Without pytest's own plugin there is neither the key nor a file.
        is_strict = config.pluginmanager.has_plugin("junitxml") and (
            config.getini("junit_family") == "xunit2"
        )
        return "testsuite" if is_strict else "testcase"
    if where not in _PLACES:
        raise pytest.UsageError(
            f"ini key recipe_junit_properties: {where!r} is no place; "
            "write family, testcase, testsuite or none"
        )
    return where


def tell_suite(config: pytest.Config, blocks: "Iterable[Mapping[str, Json]]") -> None:
    """Give the JUnit file the properties of steps that stand with all of them together."""
    from pytest_orchestrator.reports import junit

    plugins: Any = config.pluginmanager.get_plugins()
    files = [one for one in plugins if type(one).__name__ == "LogXML"]
    for block in blocks if files else ():
        step: Any = block["step"]
        for name, value in junit.properties(block):
            for xml in files:
                xml.add_global_property(f"{step['node']}.{name}", str(value))
