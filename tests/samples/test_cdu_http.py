"""Recipe cdu_http, whose simulated unit serves readings while the recipe runs."""

import threading
import urllib.request

import pytest

from pytest_orchestrator import Context
from scriptlets.python.steps.cdu_http import ask, serve


@pytest.mark.recipe("recipes/cdu_http.yaml")
def test_the_readings_are_in_the_context(ctx: Context) -> None:
    readings = ctx.get("cdu_http.readings_v1")

    assert [reading["poll"] for reading in readings] == [1, 2, 3]


def test_a_port_without_listener_gives_an_error_status(port: int) -> None:
    reply = ask(Context(), {"port": port})

    assert reply["status"] == "error"
    assert reply["reason"].startswith("the unit does not answer: ")


def test_the_unit_serves_only_readings(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    threading.Thread(target=serve, args=({"port": port},), daemon=True).start()
    ctx = Context()
    while ask(ctx, {"port": port, "polls": 1})["status"] != "ok":
        pass

    with pytest.raises(urllib.request.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    refused.value.close()
    assert ctx.get("cdu_http.readings_v1") == [{"poll": 1, "supply_pressure_kpa": 320.1}]
    assert capsys.readouterr().out == f"listening on 127.0.0.1:{port}\n"
