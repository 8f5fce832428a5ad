"""Access to the Context for programs of steps, and for clients with the session's token."""

import base64
import json
import socket
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

SCRIPT = Path(__file__).parents[2] / "scriptlets" / "shell" / "update_state.sh"
REPORTS = ("--json-report", "--json-report-file=out/report.json", "--junitxml=out/junit.xml")


@pytest.fixture
def project(project: Project) -> Project:
    """A project with `state`, a link to `update_state.sh`."""
    (project.path / "state").symlink_to(SCRIPT)
    return project


def changes(project: Project, step: str) -> list[tuple[str, str, str]]:
    """Return key, operation and writer of each change of a step in the report."""
    report = json.loads((project.path / "out" / "report.json").read_text())
    blocks = [test["metadata"]["orchestrator"] for test in report["tests"]]
    block = next(block for block in blocks if block["step"]["name"] == step)
    return [(one["key"], one["op"], one["who"]) for one in block["context"]["writes"]]


def test_writes_of_programs_of_a_step_count_as_its_own(
    project: Project,
) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_recipe_context_change(config, node, change):
            with open("told.txt", "a") as file:
                file.write(f"{node} {change['key']} {change['who']}\\n")
        """,
    )
    project.write(
        "bench.py",
        """
        import os, subprocess, threading

        def step(ctx, params):
            assert ctx["n"] == 2
            subprocess.run(["./state", "increment", "n"], check=True)
            assert ctx["n"] == 3
            return {"status": "ok", "env": dict(os.environ)}

        def alone(ctx, params):
            names = {one.name for one in threading.enumerate()}
            assert not any(name.startswith("context-") for name in names)
            return {"status": "ok"}
        """,
    )
    project.script(
        "first.sh",
        """
        #!/bin/sh
        set -e
        ./state set n 1
        ./state append l 1 --who sensor
        echo $ORCHESTRATOR_TOKEN > token
        env
        ./state set all --text "$(env)"
        """,
    )
    project.script(
        "second.sh",
        """
        #!/bin/sh
        ./state increment n
        ORCHESTRATOR_TOKEN=$(cat token) ./state set n 9
        """,
    )
    refused = "update_state.sh: the token is wrong or was not given"
    project.recipe(
        "x",
        {
            "first": "type: shell, parse: text, cmd: ./first.sh, success: {ctx_has_keys: [n]}",
            "second": "type: shell, parse: text, cmd: ./second.sh, success: {exit_code: 2, "
            f"stderr_contains: '{refused}'}}",
            "third": "type: python, module: bench, function: step",
            "elsewhere": "type: shell, parse: text, cmd: ./state keys, success: {exit_code: 2}, "
            "args: {ORCHESTRATOR_ADDRESS: '127.0.0.1:1'}",
            "alone": "type: python, module: bench, function: alone, isolation: inline",
        },
    )

    result = project.run("-rA", "recipes", *REPORTS)

    result.assert_outcomes(passed=5)
    assert changes(project, "first") == [
        ("n", "set", "first"), ("l", "append", "sensor"), ("all", "set", "first")
    ]  # fmt: skip
    assert changes(project, "second") == [("n", "increment", "second")]
    assert changes(project, "third") == [("n", "increment", "third")]
    node = "recipes/x.yaml::"
    assert (project.path / "told.txt").read_text().splitlines() == [
        f"{node}first n first", f"{node}first l sensor", f"{node}first all first",
        f"{node}second n second", f"{node}third n third",
    ]  # fmt: skip
    secret = (project.path / "token").read_text().partition(".")[0]
    files = [path for path in project.path.rglob("*") if path.is_file() and path.name != "token"]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    assert secret not in result.stdout.str() + result.stderr.str()
    assert "ORCHESTRATOR_TOKEN=***.1" in result.stdout.str()


def test_parallel_steps_and_services_each_have_their_own_token(project: Project) -> None:
    project.script(
        "count.sh",
        """
        #!/bin/sh
        for _ in 1 2 3 4 5; do ./state increment n > /dev/null; done
        """,
    )
    count = "type: shell, parse: text, cmd: ./count.sh, needs: []"
    project.recipe(
        "x",
        {
            "server": "type: shell, parse: text, background: true, needs: [], ready: {file: up}, "
            "cmd: './state increment n && touch up && sleep 60'",
            "a": count,
            "b": count,
            "c": count,
            "sum": "type: shell, parse: data, cmd: ./state get n, needs: [a, b, c, server], "
            "success: {assert: [result == 16]}",
        },
    )

    project.run("recipes", "--recipe-jobs=4", *REPORTS).assert_outcomes(passed=5)

    for name in "abc":
        assert changes(project, name) == [("n", "increment", name)] * 5
    assert changes(project, "server") == [("n", "increment", "server")]


@pytest.mark.counted
def test_the_session_context_is_served_to_clients_with_the_token(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import json, os, subprocess, threading
        from pathlib import Path

        def test_it(ctx):
            notice = Path(".orchestrator/server.json")
            told = json.loads(notice.read_text())
            assert (notice.stat().st_mode & 0o777, told["pid"]) == (0o600, os.getpid())
            print(told["token"])
            subprocess.run(["./state", "set", "a", "1"], check=True)
            assert [(one["who"], one["new"]) for one in ctx.get_history("a")] == [("client", 1)]
        """,
    )
    result = project.run("--recipe-serve", "-rA", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"orchestrator: the Context is served at 127\.0\.0\.1:\d+"])
    result.stdout.fnmatch_lines(["[*][*][*]"])
    assert not (project.path / ".orchestrator" / "server.json").exists()


@pytest.mark.counted
def test_the_session_does_not_start_if_the_context_cannot_be_served(project: Project) -> None:
    project.recipe("x", {"a": "params: {name: a}"})
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        project.ini(f"recipe_serve = 127.0.0.1:{port}")
        result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == (
        f"ERROR: --recipe-serve: cannot serve at 127.0.0.1:{port}: something else listens there; "
        "end it, or take another port (0 is any free one)"
    )
    for given, why in [
        ("recipes", "'recipes' is no HOST:PORT; write --recipe-serve=127.0.0.1:0 before a path"),
        ("::1:7", "'::1:7' is no HOST:PORT"),
    ]:
        result = project.run(f"--recipe-serve={given}")
        assert result.stderr.str().strip() == f"ERROR: --recipe-serve: {why}"


def test_a_token_that_a_step_prints_is_masked_everywhere(project: Project) -> None:
    project.write(
        "spill.py",
        """
        import base64, logging, os, sys

        def step(ctx, params):
            token = os.environ["ORCHESTRATOR_TOKEN"]
            match params["how"]:
                case "log":
                    logging.getLogger("spill").warning("used %s", token)
                case "print":
                    print(token, base64.b64encode(token.encode()).decode())
                    print(token, file=sys.stderr)
                case "write":
                    ctx.set("used", {"token": [token]})
                case "raise":
                    raise ValueError(token)
                case "return":
                    return {"status": "ok", "token": token}
            open(f"{params['how']}.word", "w").write(token.partition(".")[0])
            return {"status": "ok"}
        """,
    )
    ways = ("log", "print", "write", "raise", "return")
    for way in ways:  # one session each, because a printed token becomes a secret of its session
        keys = f"type: python, module: spill, function: step, needs: [], params: {{how: {way}}}"
        project.recipe(way, {"spill": keys})
        project.recipe("tell", {"tell": keys.replace(way, "tell")})
        result = project.run("-rA", f"recipes/{way}.yaml", "recipes/tell.yaml", *REPORTS)
        secret = (project.path / "tell.word").read_text()
        files = [one for one in project.path.rglob("*") if one.is_file() and one.suffix != ".word"]
        assert [one for one in files if secret.encode() in one.read_bytes()] == [], way
        assert secret not in result.stdout.str() + result.stderr.str(), way
        encoded = base64.b64encode(secret.encode()).decode()[:30]
        assert encoded not in result.stdout.str(), way
