"""Authentication: requests without the token get no data, and no request changes anything."""

from pathlib import Path
from typing import Any

import pytest

from tests.monitor.conftest import RUN
from tests.monitor.live_monitor import TOKEN

CALLBACK_PATH = "/_dash-update-component"


@pytest.fixture
def anonymous(bench: Path) -> Any:
    from pytest_orchestrator.monitor.app import application

    return application(bench, TOKEN, {"localhost"}).test_client()


def page(path: str) -> dict[str, Any]:
    """Return the request body that a browser sends for a page."""
    return {
        "output": "page.children",
        "outputs": {"id": "page", "property": "children"},
        "inputs": [{"id": "url", "property": "pathname", "value": path}],
        "changedPropIds": ["url.pathname"],
    }


def all_paths(client: Any) -> list[str]:
    rules = client.application.url_map.iter_rules()
    routes = {
        rule.rule.replace("<path:path>", "x").replace("<string:fingerprint>", "x") for rule in rules
    }
    return sorted({*routes, "/", f"/run/{RUN}", "/assets/monitor.css", "/_dash-layout"})


def test_link_sets_a_cookie_and_redirects_without_the_token(anonymous: Any) -> None:
    answer = anonymous.get(f"/?token={TOKEN}&tab=log")

    assert (answer.status_code, answer.location) == (302, "/?tab=log")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert anonymous.get("/").status_code == 200
    assert anonymous.post(CALLBACK_PATH, json=page("/")).get_json()["response"]["page"]


@pytest.mark.parametrize("token", ["", "?token=wrong", "?token=", "?token=%ff%00"])
def test_request_without_the_token_gets_no_data(token: str, anonymous: Any) -> None:
    for path in all_paths(anonymous):
        for answer in (anonymous.get(path + token), anonymous.post(path + token, json=page("/"))):
            assert answer.status_code in (403, 405), path
            assert RUN not in answer.text
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7:8050", ""])
def test_request_with_another_host_name_is_refused(host: str, client: Any) -> None:
    for path in all_paths(client):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert RUN not in answer.text


def test_request_from_a_page_of_another_server_is_refused(client: Any) -> None:
    statuses = [
        client.post(CALLBACK_PATH, json=page("/"), headers={"Origin": origin}).status_code
        for origin in ("http://evil.example", "null", "http://localhost")
    ]
    assert statuses == [403, 403, 200]


def test_no_route_changes_a_run(client: Any, bench: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*")}
    for path in all_paths(client):
        for method in ("PUT", "DELETE", "PATCH", "POST", "TRACE"):
            if (path, method) != (CALLBACK_PATH, "POST"):
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
def test_path_outside_of_the_folder_of_runs_is_not_found(path: str, client: Any) -> None:
    answer = client.post(CALLBACK_PATH, json=page(path))

    assert answer.status_code == 200
    assert "root:" not in answer.text
    assert "A17" not in answer.text
    assert "Page not found." in answer.text or "no run" in answer.text
    assert "guard" not in client.get(path).text


def test_replies_have_security_headers(client: Any) -> None:
    headers = client.get("/").headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "sha256-" in policy["script-src"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_page_loads_nothing_from_other_servers(client: Any) -> None:
    text = client.get("/").text

    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["DASH_DEBUG", "FLASK_DEBUG", "DASH_HOT_RELOAD"])
def test_no_environment_variable_starts_a_debugger(
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
    assert "Traceback" not in client.post(CALLBACK_PATH, json={"output": "x"}).text
