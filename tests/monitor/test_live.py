"""The end of a monitor: open pages take the last state and confirm it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pytest_orchestrator.monitor.live import ending_of
from tests.monitor.conftest import RUN
from tests.runs.built import Built


def stream(client: FlaskClient, path: str) -> Iterator[str]:
    """Return the events of the stream of a page."""
    for part in client.get(path).response:
        yield from str(part).splitlines() if isinstance(part, str) else part.decode().splitlines()


@pytest.mark.parametrize("path", ["/operator/events", "/events", f"/run/{RUN}/events"])
def test_a_page_hears_of_the_end_and_confirms_the_last_state(
    path: str, client: FlaskClient
) -> None:
    ending = ending_of(client.application)
    lines = stream(client, path)
    assert next(lines).startswith("data: ")
    waiting = threading.Thread(target=ending.wait, args=(60,))
    waiting.start()
    while not ending.has_begun:
        time.sleep(0.001)
    *_, confirmation = [line for line in lines if line.startswith("data: /seen/")]

    assert waiting.is_alive()
    assert client.get(confirmation.removeprefix("data: ")).status_code == 204
    waiting.join(60)
    assert not waiting.is_alive()


def test_the_end_does_not_wait_without_open_pages_or_for_pages_that_never_confirm(
    client: FlaskClient,
) -> None:
    ending = ending_of(client.application)
    ending.wait(60)
    lines = [*stream(client, "/operator/events")]  # of a page that opens during the end
    assert lines[-2].startswith("data: /seen/")
    started = time.monotonic()
    ending.wait(0.1)
    assert 0.1 <= time.monotonic() - started < 30


def test_a_run_that_is_about_to_start_has_a_page_that_waits(
    client: FlaskClient, bench: Path
) -> None:
    waits = client.get("/run/29991125T101502Z-7f3a")
    assert (waits.status_code, "has not started yet" in waits.text) == (200, True)
    (bench / RUN).rename(bench / "29991125T101502Z-7f3a")
    assert "<title>! interrupted: psu</title>" in client.get("/run/29991125T101502Z-7f3a").text
    assert client.get("/run/20201125T101502Z-7f3a", follow_redirects=True).status_code == 404


def test_a_page_that_waits_for_a_run_hears_of_its_start_and_of_the_end(
    client: FlaskClient, bench: Path
) -> None:
    coming = "29991125T101502Z-7f3a"
    page = client.get(f"/run/{coming}").text
    path = f"/run/{coming}/events"
    assert f'data-version="" data-events="{path}"' in page
    lines = stream(client, path)
    assert next(lines) == "event: beat"
    made = Built(bench, coming).begin("flash")
    assert next(line for line in lines if line.startswith("data: ")) == "data: 0"
    assert next(line for line in lines if line.startswith("data: ")).startswith("data: 1.")
    made.seal()
    ending_of(client.application).has_begun = True

    assert [*lines][-2].startswith("data: /seen/")
    assert "event: bye" in client.get("/run/29991126T000000Z-0001/events").text
    assert client.get("/run/20201125T101502Z-7f3a/events").status_code == 404
