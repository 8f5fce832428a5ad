"""Authentication: requests without the token get no data, and no request changes anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pytest_orchestrator.monitor.app import application
from pytest_orchestrator.monitor.auth import ANY_ADDRESS, COOKIE, WRITABLE
from tests.monitor.conftest import RUN
from tests.monitor.live_monitor import TOKEN


@pytest.fixture
def anonymous(bench: Path) -> FlaskClient:
    return application(bench, TOKEN, {"localhost"}).test_client()


def all_paths(client: FlaskClient) -> list[str]:
    """Return a URL for each route of the application; parts of a path are those of a run."""
    return sorted(set(_paths(client)) | {"/", f"/run/{RUN}", "/assets/monitor.css"})


def _paths(client: FlaskClient) -> Iterator[str]:
    for rule in client.application.url_map.iter_rules():
        text = rule.rule.replace("<name>", RUN).replace("<tab>", "steps")
        yield text.replace("<path:path>", "journal.jsonl").replace("<path:filename>", "live.js")


def test_link_sets_a_cookie_and_redirects_without_the_token(anonymous: FlaskClient) -> None:
    answer = anonymous.get(f"/?token={TOKEN}&q=A17")

    assert (answer.status_code, answer.location) == (302, "/?q=A17")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert anonymous.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "?token=wrong", "?token=", "?token=%ff%00"])
def test_request_without_the_token_gets_no_data(token: str, anonymous: FlaskClient) -> None:
    for path in all_paths(anonymous):
        for answer in (anonymous.get(path + token), anonymous.post(path + token)):
            assert answer.status_code in (403, 405), path
            assert RUN not in answer.text
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7:8050", ""])
def test_request_with_another_host_name_is_refused(host: str, client: FlaskClient) -> None:
    for path in all_paths(client):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert RUN not in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.0.2.7:8050", 200), ("[2001:db8::1]:8050", 200), ("192.0.2.7.evil.example", 421)],
)
def test_a_monitor_of_all_interfaces_is_reached_by_each_address(
    host: str, status: int, bench: Path
) -> None:
    client = application(bench, TOKEN, {"localhost", ANY_ADDRESS}).test_client(use_cookies=False)
    answer = client.get("/", headers={"Host": host, "Cookie": f"{COOKIE}_8050={TOKEN}"})
    assert answer.status_code == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8051"])
def test_request_from_a_page_of_another_server_is_refused(origin: str, client: FlaskClient) -> None:
    assert client.get("/", headers={"Origin": origin}).status_code == 403
    assert client.get("/", headers={"Origin": "http://localhost"}).status_code == 200


def test_no_route_changes_a_run(client: FlaskClient, bench: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*")}
    for path in all_paths(client):
        for method in ("PUT", "DELETE", "PATCH", "POST", "TRACE"):
            is_answer = (path, method) == (WRITABLE, "POST")  # without an origin here
            status = client.open(path, method=method).status_code
            assert status == (403 if is_answer else 405), (path, method)

    assert {path: path.stat().st_mtime_ns for path in bench.rglob("*")} == before


@pytest.mark.parametrize(
    "path",
    [
        "/run/..",
        "/run/../../etc",
        f"/run/../runs/{RUN}",
        "/run/%2e%2e%2fetc%2fpasswd/steps",
        f"/run/{RUN}/passwd",
        f"/run/{RUN}/../steps",
        "/run/20261125T101502Z-ffff/log",
        "/run/x%00/steps/events",
        "/assets/../app.py",
        "/etc/passwd",
    ],
)
def test_path_outside_of_the_folder_of_runs_is_not_found(path: str, client: FlaskClient) -> None:
    answer = client.get(path, follow_redirects=True)

    assert answer.status_code == 404
    assert "A17" not in answer.text
    assert "import" not in answer.text


def test_replies_have_security_headers(client: FlaskClient) -> None:
    headers = client.get("/").headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_page_loads_nothing_from_other_servers(client: FlaskClient) -> None:
    text = client.get(f"/run/{RUN}/steps").text.replace("http://www.w3.org/2000/svg", "")

    assert "http://" not in text
    assert "https://" not in text


def test_no_environment_variable_starts_a_debugger(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert not application(bench, TOKEN, {"localhost"}).debug
