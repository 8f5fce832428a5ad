"""HTTP steps in a session: criteria, retry, timeouts, masking, and the type as a plugin."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.step_types import http
from tests.plugin.conftest import Project
from tests.step_types.http_server import Server, serving
from tests.tiers import kept_first


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as one:
        monkeypatch.setenv("STATION", one.url)
        yield one


def steps(**keys: str) -> dict[str, str]:
    return {
        name: f"type: http, needs: [], url: '${{{{ env.STATION }}}}/{text}"
        for name, text in keys.items()
    }


@pytest.mark.parametrize("options", kept_first([("--recipe-jobs=4",)], ()))
def test_an_http_step_passes_or_fails_by_its_code(
    project: Project, server: Server, options: tuple[str, ...]
) -> None:
    project.recipe(
        "x",
        steps(
            good="echo?a=1', outputs: {path: '${{ result.body.path }}'}",
            refused="code/500', outputs: {nothing: '${{ result.body.volts }}'}",
            wanted="code/404', success: {code: [2xx, 404]}",
            other="code/200', success: {code: '${{ vars.code }}'}",
            again="busy', retry: {attempts: 3, delay: 1ms}",
            once="code/503'",
            inline="code/204', isolation: inline",
            hangs="hang', timeout: 300ms",
            drips="drip', timeout: 300ms",
            frozen="drip', timeout: 300ms, isolation: inline",
            large="large/16777217'",
        ),
        head="vars: {code: 201}",
    )

    blocks = project.blocks(*options)

    failed = {
        name: (one["step"]["kind"], one["step"]["reason"])
        for name, one in blocks.items()
        if one["step"]["state"] != "passed"
    }
    late = "timeout: still running after 0.3 s"
    assert failed == {
        "refused": (
            "criterion",
            "code: the server answered 500 Internal Server Error, expected 2xx",
        ),
        "other": ("criterion", "code: the server answered 200 OK, expected 201"),
        "once": ("criterion", "code: the server answered 503 Service Unavailable, expected 2xx"),
        "hangs": ("timeout", f"{late}; its whole process tree was ended"),
        "drips": ("timeout", f"{late}; its whole process tree was ended"),
        "frozen": ("timeout", late),
        "large": ("protocol", "the body of the answer is above 16 MiB"),
    }
    assert blocks["again"]["step"]["attempt"] == 3
    assert server.requests.count("/busy") == 3
    assert server.requests.count("/code/503") == 1
    assert blocks["good"]["context"]["writes"][0]["new"] == "/echo?a=1"
    [criterion] = [one for one in blocks["wanted"]["criteria"] if one["name"] == "code"]
    assert (criterion["held"], criterion["wanted"]) == (True, ["2xx", 404])


def test_a_refused_step_shows_the_answer_and_no_frame(project: Project, server: Server) -> None:
    project.recipe("x", steps(a="code/500'", b="'") | {"c": "type: http, url: http://127.0.0.1:1"})

    result = project.run()

    shown = str(result.stdout)
    assert "E   code: the server answered 500 Internal Server Error, expected 2xx" in shown
    assert '{"status": "off"}' in shown
    assert f"GET {server.url}/code/500: 500" in shown
    for name in ("a", "c"):
        assert ".py:" not in re.sub(r"INFO .*", "", project.shown(result, name))
    assert "E   GET http://127.0.0.1:1: [Errno 111] Connection refused" in project.shown(
        result, "c"
    )


@pytest.mark.counted
def test_secrets_of_a_request_are_masked_in_every_output(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATE", "leak-late")
    address = server.url.replace("http://", "http://me:leak-url@")
    request = (
        "headers: {Authorization: Bearer leak-bearer, Cookie: sid=leak-cookie, X-Api-Key: leak-key}"
        ", query: {token: leak-query, api_key: '${{ env.LATE }}'}"
    )
    recipe = project.path / project.recipe(
        "x",
        {"early": "type: shell, cmd: echo leak-bearer, parse: text"}
        | steps(
            echo=f"echo', {request}, outputs: {{answer: '${{{{ result }}}}'}}, "
            "success: {stdout_contains: nothing}",
            moved="moved', follow_redirects: true, outputs: {moved: '${{ result }}'}",
            away="moved', outputs: {away: '${{ result.headers }}'}",
            inline=f"code/500', {request}, isolation: inline",
        )
        | {
            "login": f"type: http, needs: [], url: '{address}/login', "
            "auth: {user: me, password: leak-auth}, outputs: {login: '${{ result }}'}",
            "refused": "type: http, needs: [], url: 'http://me:leak-url@127.0.0.1:1/?token=leak-query'",
        },
    )

    result = project.run(
        "-rA",
        "-vv",
        "--showlocals",
        "--junitxml=junit.xml",
        "--json-report",
        "--json-report-file=report.json",
        "-o",
        "recipe_html=true",
    )

    result.assert_outcomes(passed=3, failed=4)
    outputs = {
        str(path): path.read_text(errors="replace")
        for path in project.path.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path != recipe
    }
    kinds = {Path(name).suffix for name in outputs}
    assert kinds >= {".xml", ".json", ".jsonl", ".html", ".stdout", ".log", ".yaml"}
    outputs["terminal"] = str(result.stdout)
    leaks = "leak-|place-secret|cookie-secret|body-secret|bGVhay"  # the last is base64 of the first
    found = {
        name: re.findall(f".{{0,40}}(?:{leaks}).{{0,20}}", text) for name, text in outputs.items()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_copy_of_the_type_works_as_a_plugin(project: Project, server: Server) -> None:
    text = Path(http.__file__).read_text().replace('name = "http"', 'name = "station"')
    project.write("station.py", text)
    project.write(
        "conftest.py",
        "from station import Http\n\n\ndef pytest_recipe_step_types():\n    return [Http]\n",
    )
    project.recipe(
        "x",
        {
            name: keys.replace("type: http", "type: station")
            for name, keys in steps(
                a="echo', auth: {token: leak-token}", b="code/500'", c="text', success: {code: 201}"
            ).items()
        },
    )

    blocks = project.blocks()

    states = {name: (one["step"]["type"], one["step"]["state"]) for name, one in blocks.items()}
    assert states == {
        "a": ("station", "passed"),
        "b": ("station", "failed"),
        "c": ("station", "failed"),
    }
    [stdout] = project.path.rglob("a.1.stdout")
    assert '"Authorization": "***"' in stdout.read_text()


def test_a_session_imports_httpx_in_the_processes_of_steps_alone(
    project: Project, server: Server
) -> None:
    project.write(
        "conftest.py",
        """
        import sys


        def pytest_sessionfinish():
            assert "httpx" not in sys.modules
            print("not imported here")
        """,
    )
    project.recipe("x", steps(a="echo'"))

    result = project.spawn("-s")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*not imported here"])
