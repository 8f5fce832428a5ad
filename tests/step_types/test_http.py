"""Step type `http`: requests, answers, failures, secrets and checks."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.extending import (
    Place,
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    WrittenStep,
)
from pytest_orchestrator.recipe import RecipeError, load
from pytest_orchestrator.recipe.fields import type_hooks
from pytest_orchestrator.recipe.fields.extensions import CustomStep
from pytest_orchestrator.recipe.fields.resolve import evaluate_step
from pytest_orchestrator.step_types.http import Http, HttpKeys
from tests.step_types.http_server import Server, authority, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def answered(server: Server, path: str, masked: list[Any] | None = None, **keys: Any) -> Any:
    """Return the result of a step."""
    env = StepEnvironment(
        step="s",
        recipe="x.yaml",
        root=Path.cwd(),
        add_secret=(masked if masked is not None else []).extend,
    )
    given = msgspec.convert({"url": f"{server.url}{path}", **keys}, HttpKeys)
    return Http().run(given, Context(), env)


def failure(server: Server, path: str, **keys: Any) -> tuple[str, str]:
    with pytest.raises(StepFailure) as caught:
        answered(server, path, **keys)
    return caught.value.kind, str(caught.value).replace(server.url, "")


def test_a_request_is_sent_as_its_keys_say(server: Server) -> None:
    result = answered(
        server,
        "/echo?a=1",
        method="PUT",
        headers={"X-Volts": 5},
        query={"channel": [1, 2], "on": True},
        json={"volts": 5},
    )

    body = result["body"]
    assert (result["status"], result["code"]) == ("ok", 200)
    assert result["headers"]["content-type"] == "application/json"
    assert 0 < result["seconds"] < 10
    assert body["method"] == "PUT"
    assert body["headers"]["X-Volts"] == "5"
    assert body["headers"]["Content-Type"] == "application/json"
    assert body["body"] == '{"volts":5}'
    assert body["path"].endswith("channel=1&channel=2&on=true")


def test_a_decimal_of_a_body_is_the_one_that_the_server_sent(server: Server) -> None:
    result = answered(server, "/json/" + quote('{"v": [3.35000000000000000000001, 2.5]}'))

    assert result["body"]["v"][0] > 3.35
    assert type(result["body"]["v"][1]) is float


def test_the_parameters_of_the_address_stay_beside_those_of_query(server: Server) -> None:
    path = answered(server, "/echo?a=1", query={"b": 2})["body"]["path"]

    assert sorted(path.partition("?")[2].split("&")) == ["a=1", "b=2"]


def test_a_request_with_a_body_is_a_post(server: Server) -> None:
    assert answered(server, "/echo")["body"]["method"] == "GET"
    assert answered(server, "/echo", data="VOLT 5")["body"]["body"] == "VOLT 5"
    form = answered(server, "/echo", data={"volts": 5, "on": ["a", "b"]})["body"]
    assert (form["method"], form["body"]) == ("POST", "volts=5&on=a&on=b")


def test_files_are_sent_as_parts_of_a_form(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("t,volts\n0,5\n")

    body = answered(server, "/echo", files={"report": str(path)}, data={"dut": 7})["body"]

    assert body["headers"]["Content-Type"].startswith("multipart/form-data; boundary=")
    assert 'name="report"; filename="report.csv"' in body["body"]
    assert "t,volts\n0,5\n" in body["body"]
    assert 'name="dut"\r\n\r\n7' in body["body"]


def test_a_body_is_json_or_text(server: Server) -> None:
    assert answered(server, "/code/200")["body"] == {"status": "off"}
    assert answered(server, "/text")["body"] == "12,5 °C"
    assert answered(server, "/away")["body"] == ""


def test_any_code_is_an_answer(server: Server) -> None:
    assert answered(server, "/code/500")["code"] == 500
    assert answered(server, "/away")["headers"]["location"] == "/there"
    followed = answered(server, "/away", follow_redirects=True)
    assert (followed["code"], followed["body"]["path"]) == (200, "/there")


def test_credentials_are_sent(server: Server) -> None:
    basic = "Basic " + base64.b64encode(b"me:hunter2").decode()

    for path, auth, sent in (
        ("", {"user": "me", "password": "hunter2"}, basic),
        ("", {"token": "abc"}, "Bearer abc"),
    ):
        body = answered(server, f"/echo{path}", auth=auth)["body"]
        assert body["headers"]["Authorization"] == sent
    url = server.url.replace("//", "//me:hunter2@")
    env = StepEnvironment(step="s", recipe="x.yaml", root=Path.cwd())
    result = Http().run(HttpKeys(url=url), Context(), env)
    assert result["body"]["headers"]["Authorization"] == basic


def test_a_certificate_of_an_own_authority_is_accepted_if_it_is_named(tmp_path: Path) -> None:
    certificate, context = authority(tmp_path)
    (tmp_path / "bad.pem").write_text("x")

    with serving(context) as server:
        assert answered(server, "/", verify=str(certificate))["code"] == 200
        assert answered(server, "/", verify=False)["code"] == 200
        kind, reason = failure(server, "/")
        assert kind == "status"
        assert reason.startswith("GET /: [SSL: CERTIFICATE_VERIFY_FAILED]")
        assert reason.endswith("(verify: FILE names the authority to trust)")
        missing, bad = str(tmp_path / "none.pem"), str(tmp_path / "bad.pem")
        assert failure(server, "/", verify=missing) == ("not_found", f"verify: no file '{missing}'")
        assert failure(server, "/", verify=bad) == (
            "validation",
            f"verify: '{bad}' has no certificates in PEM form",
        )


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('{"volts": NaN}', "JSON is malformed: invalid character (byte 10)"),
        ('{"volts": -Infinity}', "JSON is malformed: invalid character (byte 11)"),
        ('{"v": 1, "a": [{"w": 1, "w": 1}]}', "duplicate key 'w'"),
        ('{"v": 1', "Input data was truncated"),
        ("<html>", "JSON is malformed: invalid character (byte 0)"),
        ("1e999", "Number out of range"),
    ],
)
def test_a_body_that_says_json_and_is_none_is_a_failure(
    server: Server, capsys: pytest.CaptureFixture[str], body: str, rule: str
) -> None:
    assert failure(server, f"/json/{quote(body)}") == (
        "protocol",
        f"the server answered 200 OK, and its body is no JSON: {rule}",
    )
    assert capsys.readouterr().out == f"{body}\n"


def test_a_body_of_more_than_16_mib_is_no_answer(server: Server) -> None:
    limit = 16 << 20
    reason = ("protocol", "the body of the answer is above 16 MiB")

    assert len(answered(server, f"/large/{limit}")["body"]) == limit
    assert failure(server, f"/large/{limit + 1}") == reason
    assert failure(server, "/endless") == reason


def test_a_request_that_cannot_be_sent_is_a_failure(server: Server) -> None:
    with serving() as closed:
        pass

    assert failure(closed, "/") == ("status", "GET /: [Errno 111] Connection refused")
    assert failure(server, "/loop", follow_redirects=True) == (
        "status",
        "GET /loop: Exceeded maximum allowed redirects.",
    )
    assert failure(server, "/", files={"f": "no.csv"}) == ("not_found", "files.f: no file 'no.csv'")
    assert failure(server, "/", headers={"X-Unit": "Ω"})[0] == "validation"
    assert failure(server, ":x/")[0] == "validation"


def test_cookies_and_tokens_of_an_answer_are_masked(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    masked: list[Any] = []

    answered(server, "/login", masked)

    assert masked == ["cookie-secret", "body-secret"]
    assert capsys.readouterr().out == '{"access_token": "***"}\n'


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize(
    "to",
    [
        "/echo?access_token=url-secret",
        "/echo#token=url-secret",
        "{url}/echo?a=1&api_key=url-secret",
    ],
)
def test_tokens_in_the_address_of_a_redirect_are_masked(
    server: Server, caplog: pytest.LogCaptureFixture, to: str, follow: bool
) -> None:
    masked: list[Any] = []
    path = f"/goto?code=302&to={quote(to.format(url=server.url), safe='')}"

    answered(server, path, masked, follow_redirects=follow)

    assert masked == ["url-secret"]


def test_secrets_in_other_headers_of_an_answer_are_masked(server: Server) -> None:
    masked: list[Any] = []
    answered(server, "/linked", masked)
    assert masked == [
        *("header-secret", "me:info-secret", "info-secret", "bWU6aW5mby1zZWNyZXQ=", "link-secret")
    ]


KEPT = {"Accept": "text/csv", "Content-Type": "text/x", "User-Agent": "bench"}
GIVEN = {"X-Api-Key": "key-4711-secret", "X-Note": "env-declared", "Authorization": "Bearer a"}


def redirected(server: Server, host: str, code: int, **keys: Any) -> Any:
    to = quote(f"http://{host}:{server.server_port}/echo", safe="")
    path = f"/goto?code={code}&to={to}"
    return answered(server, path, follow_redirects=True, headers=KEPT | GIVEN, **keys)["body"]


def test_headers_of_the_recipe_do_not_reach_another_host(server: Server) -> None:
    there = redirected(server, "localhost", 302)["headers"]
    assert {name: there.get(name) for name in KEPT | GIVEN} == KEPT | dict.fromkeys(GIVEN)
    assert there["Host"] == f"localhost:{server.server_port}"
    here = redirected(server, "127.0.0.1", 302)["headers"]
    assert {name: here.get(name) for name in KEPT | GIVEN} == KEPT | GIVEN


def test_headers_stay_away_after_a_way_back_from_another_host(server: Server) -> None:
    back = quote(f"{server.url}/echo", safe="")
    over = f"http://localhost:{server.server_port}/goto?code=302&to={back}"
    body = answered(
        server,
        f"/goto?code=302&to={quote(over, safe='')}",
        follow_redirects=True,
        headers=GIVEN,
    )["body"]
    assert not GIVEN.keys() & body["headers"].keys()


def test_a_body_with_a_secret_is_not_sent_to_another_host(server: Server) -> None:
    body = {"login": {"password": "hunter2!"}}
    with pytest.raises(StepFailure) as caught:
        redirected(server, "localhost", 307, json=body)
    assert (caught.value.kind, str(caught.value)) == (
        "status",
        "the redirect to http://localhost would send a secret of the body there",
    )
    assert server.requests[-1].startswith("/goto")
    assert redirected(server, "localhost", 307, json={"volts": 5})["body"] == '{"volts":5}'
    assert redirected(server, "localhost", 303, json=body)["body"] == ""
    assert "hunter2%21" in redirected(server, "127.0.0.1", 308, data=body["login"])["body"]


@pytest.mark.parametrize(
    ("keys", "secrets"),
    [
        (
            {"headers": {"Authorization": "Bearer abc", "Accept": "text/csv"}},
            {"Bearer abc", "abc"},
        ),
        ({"headers": {"X-Api-Key": "key-42", "X-Session-Id": "1", "Cookie": "n=1"}}, {"key-42"}),
        (
            {"headers": {"authorization": "Basic " + base64.b64encode(b"me:pw").decode()}},
            {"Basic bWU6cHc=", "bWU6cHc=", "pw"},
        ),
        (
            {"headers": {"Cookie": "sid=longsecret; lang=en"}},
            {"sid=longsecret; lang=en", "longsecret"},
        ),
        ({"auth": {"user": "me", "password": "pw"}}, {"pw", "bWU6cHc="}),
        ({"auth": {"token": "t"}}, {"t"}),
        ({"url": "http://me:p%40w@x/?api_key=abcdef"}, {"me:p%40w", "p@w", "bWU6cEB3", "abcdef"}),
        ({"url": "http://tok@x/"}, {"tok", "dG9r"}),
        ({"query": {"access_token": "abcdef", "page": "abcdefg"}}, {"abcdef"}),
        ({"json": {"login": [{"password": "hunter2", "user": "somebody"}]}}, {"hunter2"}),
        ({"data": {"secret": "hunter2"}}, {"hunter2"}),
        ({"url": "http://[/", "data": "x=1"}, set()),
    ],
)
def test_secrets_are_found_in_the_keys(keys: dict[str, Any], secrets: set[str]) -> None:
    known = type_hooks.defaults(HttpKeys) | {"url": "http://x"} | keys

    assert set(Http.secrets(StepSpec(step="s", recipe="x", keys=known))) == secrets


def loaded(folder: Path, keys: str) -> CustomStep:
    path = folder / "x.yaml"
    path.write_text(f"vars: {{v: 1}}\nsteps:\n  - {{name: a, type: http, url: http://x, {keys}}}\n")
    step = load(path, root=folder).steps[0]
    assert isinstance(step, CustomStep)
    return step


def error(folder: Path, keys: str) -> str:
    with pytest.raises(RecipeError) as caught:
        loaded(folder, keys)
    return str(caught.value).partition("\n")[0].partition(": ")[2]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            "json: 1, data: x",
            "'data' in http step 'a' stands beside 'json' (a request has one body)",
        ),
        (
            "json: null",
            "'json' in http step 'a' is null, which sends no body (write data: 'null')",
        ),
        (
            "success: {code: []}",
            "'success.code' in http step 'a' is [], should be a list of length >= 1",
        ),
        (
            "json: 1, files: {a: b}",
            "'files' in http step 'a' stands beside 'json' (send the values by 'data')",
        ),
        (
            "data: x, files: {a: b}",
            "'data' in http step 'a' is a text beside 'files', should be a mapping",
        ),
        (
            "auth: {user: me}",
            "'auth' in http step 'a' has user (write user and password, or token alone)",
        ),
        (
            "auth: {token: t}, headers: {authorization: x}",
            "'headers.authorization' in http step 'a' stands beside 'auth' (give one of them)",
        ),
        (
            "auth: me",
            (
                "'auth' in http step 'a' is text, should be a mapping "
                '(write auth: {user: bench, password: "${{ env.STATION_PASSWORD }}"})'
            ),
        ),
        (
            "method: G T",
            "'method' in http step 'a' is 'G T', should be a method such as PUT",
        ),
        (
            "success: {code: 99}",
            "'success.code' in http step 'a' is 99, should be a whole number >= 100",
        ),
        (
            "success: {code: 6xx}",
            (
                "'success.code' in http step 'a' is '6xx', should be a whole number, '1xx', "
                "'2xx', '3xx', '4xx' or '5xx' (did you mean '5xx'?)"
            ),
        ),
        (
            "success: {exit_code: 1}",
            "'exit_code' belongs to shell steps, and this is http step 'a'",
        ),
        ("heders: {}", "unknown key 'heders' in http step 'a' (did you mean 'headers'?)"),
        ("verify: [x]", "'verify' in http step 'a' is a list, should be true or false or text"),
    ],
)
def test_mistakes_in_the_keys_are_errors_of_the_recipe(
    tmp_path: Path, keys: str, text: str
) -> None:
    assert error(tmp_path, keys) == text


def test_a_wrong_address_is_an_error_with_an_example(tmp_path: Path) -> None:
    path = tmp_path / "y.yaml"
    path.write_text("steps:\n  - {name: a, type: http, url: station-7/api}\n")

    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path)
    place = f"{path.name}:2:32: 'url' in http step 'a'"
    expected = "should be an address such as http://host/path"
    assert str(caught.value).splitlines()[0] == f"{place} is 'station-7/api', {expected}"


def test_the_code_is_a_criterion_of_http_steps_alone(tmp_path: Path) -> None:
    path = tmp_path / "y.yaml"
    path.write_text("steps:\n  - {name: a, type: shell, cmd: ls, success: {code: 201}}\n")

    with pytest.raises(RecipeError, match="'code' belongs to http steps, and this is shell step"):
        load(path, root=tmp_path)
    wanted = {
        keys: [(one.name, one.expected) for one in loaded(tmp_path, keys).success]
        for keys in ("", "success: {code: 201}", "success: {code: [2xx, 404], max_seconds: 3}")
    }
    assert wanted == {
        "": [("code", "2xx")],
        "success: {code: 201}": [("code", 201)],
        "success: {code: [2xx, 404], max_seconds: 3}": [
            ("code", ["2xx", 404]),
            ("max_seconds", 3),
        ],
    }


def written(path: tuple[str, ...]) -> WrittenStep:
    keys = type_hooks.defaults(HttpKeys) | {"url": "http://x"}
    place = Place(1, 1)
    return WrittenStep(step="a", recipe="x", keys=keys, common={}, places={path: place})


def test_all_forms_of_the_keys_are_read(tmp_path: Path) -> None:
    step = loaded(
        tmp_path,
        "data: {volts: 5, on: [a, b], dut: '${{ vars.v }}'}, query: {a: [1, true], b: x}, "
        "headers: {X-A: 1}, verify: ca.pem",
    )

    ready = evaluate_step(step, {"vars": {"v": 1}}).own
    assert ready == {
        "url": "http://x",
        "data": {"volts": 5, "on": ["a", "b"], "dut": 1},
        "query": {"a": [1, True], "b": "x"},
        "headers": {"X-A": 1},
        "verify": "ca.pem",
    }
    assert msgspec.convert(ready, HttpKeys).verify == "ca.pem"
    assert loaded(tmp_path, "data: '${{ vars.v }}'").own["data"] == "${{ vars.v }}"
    assert loaded(tmp_path, "data: x, verify: false").own["verify"] is False


def test_a_missing_httpx_is_an_error_unless_the_recipe_requires_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    text = (
        "'type' in http step 'a' is http, which needs httpx "
        "(python -m pip install 'pytest-orchestrator[http]')"
    )

    assert error(tmp_path, "") == text
    (tmp_path / "x.yaml").unlink()
    [problem] = Http.check(written(()), Project(root=tmp_path))
    assert problem.hint == "python -m pip install 'pytest-orchestrator[http]'"
    assert not list(Http.check(written(()), Project(root=tmp_path, extras=("http",))))


def test_httpx_is_not_imported_when_a_recipe_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "httpx", raising=False)

    assert loaded(tmp_path, "").type == "http"
    assert "httpx" not in sys.modules


@pytest.mark.parametrize(("encoding", "count"), [("gzip", 100), ("deflate", 50), ("bare", 50)])
def test_a_compressed_body_is_read_whole(server: Server, encoding: str, count: int) -> None:
    assert answered(server, f"/compressed/{encoding}/0")["body"] == "volts " * count


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/compressed/gzip/1", "the body of the answer is cut off within its gzip"),
        ("/compressed/gzip/12", "the body of the answer is cut off within its gzip"),
        ("/compressed/deflate/5", "the body of the answer is cut off within its deflate"),
        ("/compressed/bare/1", "the body of the answer is cut off within its deflate"),
        (
            "/compressed/gzip/-1",
            (
                "the body of the answer is no gzip: Error -3 while decompressing data: "
                "incorrect header check"
            ),
        ),
    ],
)
def test_a_damaged_compressed_body_is_no_answer(server: Server, path: str, reason: str) -> None:
    assert failure(server, path) == ("protocol", reason)
