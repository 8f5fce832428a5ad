"""Who has no token is told nothing, and nobody can do anything but look."""

from pathlib import Path
from typing import Any

import pytest

from tests.monitor.conftest import RUN
from tests.monitor.looked_at import TOKEN

ASK = "/_dash-update-component"


@pytest.fixture
def stranger(bench: Path) -> Any:
    from pytest_orchestrator.monitor.app import application

    return application(bench, TOKEN, {"localhost"}).test_client()


def page(path: str) -> dict[str, Any]:
    """Return what a browser sends for a page."""
    return {
        "output": "page.children",
        "outputs": {"id": "page", "property": "children"},
        "inputs": [{"id": "url", "property": "pathname", "value": path}],
        "changedPropIds": ["url.pathname"],
    }


def paths(client: Any) -> list[str]:
    rules = client.application.url_map.iter_rules()
    found = {
        rule.rule.replace("<path:path>", "x").replace("<string:fingerprint>", "x") for rule in rules
    }
    return sorted({*found, "/", f"/run/{RUN}", "/assets/monitor.css", "/_dash-layout"})


def test_the_link_lets_in_and_leaves_its_token_behind(stranger: Any) -> None:
    answer = stranger.get(f"/?token={TOKEN}&tab=log")

    assert (answer.status_code, answer.location) == (302, "/?tab=log")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert stranger.get("/").status_code == 200
    assert stranger.post(ASK, json=page("/")).get_json()["response"]["page"]


@pytest.mark.parametrize("token", ["", "?token=wrong", "?token=", "?token=%ff%00"])
def test_without_the_token_nothing_is_told(token: str, stranger: Any) -> None:
    for path in paths(stranger):
        for answer in (stranger.get(path + token), stranger.post(path + token, json=page("/"))):
            assert answer.status_code in (403, 405), path
            assert RUN not in answer.text
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7:8050", ""])
def test_a_page_that_leads_another_name_here_is_refused(host: str, client: Any) -> None:
    for path in paths(client):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert RUN not in answer.text


def test_a_page_of_another_server_cannot_ask(client: Any) -> None:
    told = [
        client.post(ASK, json=page("/"), headers={"Origin": origin}).status_code
        for origin in ("http://evil.example", "null", "http://localhost")
    ]
    assert told == [403, 403, 200]


def test_there_is_no_route_that_takes_anything(client: Any, bench: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*")}
    for path in paths(client):
        for method in ("PUT", "DELETE", "PATCH", "POST", "TRACE"):
            if (path, method) != (ASK, "POST"):
                assert client.open(path, method=method).status_code == 405, (path, method)

    assert {path: path.stat().st_mtime_ns for path in bench.rglob("*")} == before


@pytest.mark.parametrize(
    "path",
    [
        "/run/..",
        "/run/../../etc",
        f"/run/../runs/{RUN}",
        "/run/%2e%2e%2fetc%2fpasswd",
        f"/compare/../{RUN}",
        f"/compare/{RUN}/..",
        "/run/20261125T101502Z-ffff",
        "/assets/../door.py",
        "/etc/passwd",
    ],
)
def test_there_is_no_way_out_of_the_folder_of_the_runs(path: str, client: Any) -> None:
    answer = client.post(ASK, json=page(path))

    assert answer.status_code == 200
    assert "root:" not in answer.text
    assert "A17" not in answer.text
    assert "There is no such page." in answer.text or "no run" in answer.text
    assert "guard" not in client.get(path).text


def test_what_a_browser_may_do_is_said(client: Any) -> None:
    headers = client.get("/").headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "sha256-" in policy["script-src"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_all_that_a_page_loads_comes_from_here(client: Any) -> None:
    text = client.get("/").text

    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["DASH_DEBUG", "FLASK_DEBUG", "DASH_HOT_RELOAD"])
def test_no_variable_starts_a_debugger(
    name: str, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    from pytest_orchestrator.monitor.app import application

    server = application(bench, TOKEN, {"localhost"})
    client = server.test_client()
    client.get(f"/?token={TOKEN}")

    assert not server.debug
    assert '"ui":true' not in client.get("/").text.replace(" ", "")
    assert client.get("/_reload-hash").status_code in (200, 403, 404)
    assert "Traceback" not in client.post(ASK, json={"output": "x"}).text
