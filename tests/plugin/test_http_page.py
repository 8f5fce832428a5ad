"""Recipe of the how-to page on HTTP steps, with the service that it starts."""

import re
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "http-steps.md"
FILES = dict(re.findall(r"<!-- write: (\S+) -->\n```\w+\n(.*?)```\n", PAGE.read_text(), re.DOTALL))


def test_the_recipe_of_the_page_passes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATION_TOKEN", "station-4711")
    for name, text in FILES.items():
        project.write(name, text)

    blocks = project.blocks("recipes/station.yaml")

    states = {name: (one["step"]["state"], one["step"]["attempt"]) for name, one in blocks.items()}
    assert states == {
        "station": ("passed", 1),
        "register": ("passed", 1),
        "upload": ("passed", 1),
        "verdict": ("passed", 2),
    }
    assert blocks["register"]["context"]["writes"][0]["new"] == 42
    assert blocks["verdict"]["measurements"][0]["value"] == 2
    assert blocks["verdict"]["attempts"][0]["reason"] == (
        "code: the server answered 503 Service Unavailable, expected 2xx"
    )


def test_the_recipe_of_the_page_fails_with_another_token(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATION_TOKEN", "other-4711")
    for name, text in FILES.items():
        project.write(name, text)

    reasons = project.reasons("recipes/station.yaml")

    assert reasons["register"] == "code: the server answered 401 Unauthorized, expected 201"
