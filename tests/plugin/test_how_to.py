"""Recipe, errors and test of the how-to page on step types, with a real server."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "writing-a-step-type.md"
PARTS = {
    (kind, name): text
    for kind, name, text in re.findall(
        r"<!-- (\w+): (\S+) -->\n```\w+\n(.*?)```\n", PAGE.read_text(), re.DOTALL
    )
}


class Supply(BaseHTTPRequestHandler):
    """HTTP server of a power supply that stores values; it is not ready at first."""

    kept: bytes | None = None
    asked = 0

    def do_PUT(self) -> None:
        type(self).kept = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def do_GET(self) -> None:
        type(self).asked += 1
        self._answer(503 if self.asked == 1 else 200, self.kept or b"")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Supply.kept, Supply.asked = None, 0
    with HTTPServer(("127.0.0.1", 0), Supply) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def page(project: Project) -> Project:
    """A project with the files of the page."""
    for (kind, name), text in PARTS.items():
        if kind == "write":
            project.write(name, text)
    return project


def test_the_recipe_of_the_page_passes(page: Project, port: int) -> None:
    blocks = page.blocks(f"--recipe-var=port={port}", "recipes/bench.yaml")

    states = {name: (one["step"]["state"], one["step"]["attempt"]) for name, one in blocks.items()}
    assert states == {"set": ("passed", 1), "state": ("passed", 2)}
    assert blocks["state"]["step"]["type"] == "station"
    assert blocks["state"]["attempts"][0]["reason"] == (
        "status 'failed': the server says 503, expected 200"
    )
    assert [(one["name"], one["held"]) for one in blocks["state"]["criteria"]] == [
        ("answer_has", True),
        ("assert", True),
    ]
    assert blocks["state"]["context"]["writes"][0]["new"] == 5
    assert json.loads(Supply.kept or b"") == {"volts": 5}


@pytest.mark.counted
@pytest.mark.parametrize("name", ["mistakes", "danger"])
def test_the_error_messages_on_the_page_are_real(page: Project, name: str) -> None:
    result = page.run(f"recipes/{name}.yaml")

    shown = page.shown(result, f"ERROR collecting recipes/{name}.yaml")
    assert shown == PARTS["shown", f"recipes/{name}.yaml"]


def test_the_hooks_of_the_page_do_their_work(page: Project) -> None:
    block = page.blocks("recipes/supply.yaml")["power"]

    assert block["step"]["state"] == "passed"
    sent = (page.path / "supply.txt").read_text()
    assert sent == "PIN 081512\nVOLT 12.0\nOUTP ON\nOUTP OFF\n"
    [log] = page.path.rglob("power.1.log")
    assert "sent PIN ***" in log.read_text()


def test_the_test_of_the_page_passes(page: Project) -> None:
    page.run("test_station.py").assert_outcomes(passed=1)


def _recipe_of(page: str) -> tuple[str, str]:
    """Return path and text of the recipe that a page marks with a comment."""
    text = (PAGE.parent / page).read_text(encoding="utf-8")
    match = re.search(r"<!-- recipe: (\S+) -->\n```yaml\n(.*?)```\n", text, re.DOTALL)
    assert match is not None
    return match[1], match[2]


def test_the_recipe_of_the_page_on_inputs_runs_with_its_options(project: Project) -> None:
    path, text = _recipe_of("inputs.md")
    project.write(path, text)
    block = project.blocks("--recipe-var", "serial=SN001234", path)["supply"]
    assert block["step"]["state"] == "passed"
    assert block["recipe"]["vars"]["pin"] == {"value": None, "origin": "recipe"}
    result = project.run("--recipe-var=serial=SN1", "--recipe-var=volts=31", path)
    assert [line for line in result.outlines if line.startswith(path)] == [
        (
            f"{path}:2:3: input 'serial' is 'SN1', should match SN\\d{{6}} "
            "(it comes from --recipe-var)"
        ),
        f"{path}:5:3: input 'volts' is '31', should be 0 to 30 V (it comes from --recipe-var)",
    ]
