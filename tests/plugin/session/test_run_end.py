"""The end of a run: exports, the hook with the summary, the notification; and their failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.addons.exports import ExportError, otel
from pytest_orchestrator.plugin.session import run_end
from tests.addons.exports.test_webhook import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project

RECIPE = """
vars: {pin: 4711-abcd-pin}
secrets: [vars.pin]
defaults: {parse: text}
steps:
  - {name: login, type: shell, cmd: 'echo ${{ vars.pin }}; exit 3'}
"""
CONFTEST = """
import json

def pytest_recipe_run_finish(config, summary):
    with open(config.rootpath / "summaries.jsonl", "a") as file:
        print(json.dumps(summary), file=file)
    raise ValueError("broken hook")
"""
TOKEN = "T024/B0123/9f8e7d6c5b4a-webhook"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.mark.counted
@pytest.mark.parametrize(
    ("workers", "is_large"),
    [
        ((), False),
        pytest.param((), True, marks=pytest.mark.nightly),
        pytest.param(("-n", "2"), False, marks=pytest.mark.nightly),
    ],
)
def test_a_run_is_exported_and_notified_without_a_secret(
    project: Project,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    workers: tuple[str, ...],
    is_large: bool,
) -> None:
    if is_large:
        monkeypatch.setattr("pytest_orchestrator.plugin.session.run_end.LARGE", 0)
    project.write("recipes/x.yaml", RECIPE)
    project.write("conftest.py", CONFTEST)
    address = f"{server.url}/services/{TOKEN}"
    result = project.run(
        "--recipe-export=ctrf:ctrf.json",
        "--recipe-export=allure:allure",
        "-orecipe_html=true",
        f"--recipe-notify={address}",
        *workers,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    ((_, _, posted),) = server.requests
    (line,) = (project.path / "summaries.jsonl").read_text().splitlines()
    assert json.loads(line) == posted
    assert (posted["verdict"], posted["exit_status"], posted["failure_count"]) == ("failed", 1, 1)
    assert (project.path / posted["report"]).is_file()
    conftest = project.path / "conftest.py"
    assert result.stdout.lines[-1] == (
        f"orchestrator: plugin '{conftest}': "
        "pytest_recipe_run_finish raised ValueError: broken hook"
    )
    tests = json.loads((project.path / "ctrf.json").read_text())["results"]["tests"]
    assert [(one["name"], one["status"]) for one in tests] == [("login", "failed")]
    assert len([*(project.path / "allure").glob("*-result.json")]) == 1
    assert len([*(project.path / "allure").glob("*-attachment.txt")]) == 1
    sources = {"recipes/x.yaml"}
    for secret in ("4711-abcd-pin", TOKEN):
        assert secret not in result.stdout.str() + result.stderr.str() + json.dumps(posted)
        hits = [
            name
            for path in project.path.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()
            if (name := str(path.relative_to(project.path))) not in sources
        ]
        assert hits == []


def test_a_hook_changes_neither_the_notification_nor_the_exit_status(
    project: Project, server: Server
) -> None:
    project.recipe("a", {"flash": ""})
    project.write(
        "conftest.py",
        "def pytest_recipe_run_finish(summary):\n    summary.clear()\n    raise SystemExit(3)\n",
    )
    result = project.run(f"--recipe-notify={server.url}")

    ((_, _, posted),) = server.requests
    assert (result.ret, posted["verdict"]) == (pytest.ExitCode.OK, "passed")
    assert result.stdout.lines[-1] == "orchestrator: pytest_recipe_run_finish ended: 3"


def test_a_failure_after_the_run_is_a_line_and_changes_no_exit_status(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.addons.exports.webhook.PAUSE", 0.0)
    project.recipe("a", {"flash": ""})
    project.ini("recipe_notify = http://127.0.0.1:9/T0KEN-of-the-hook")
    result = project.run("--recipe-export=ctrf:no/ctrf.json")

    gone = "http://127.0.0.1:9/…: it cannot be reached ([Errno 111] Connection refused)"
    assert result.ret == pytest.ExitCode.OK
    assert result.stdout.lines[-2:] == [
        f"orchestrator: CTRF: {project.path}/no/ctrf.json: No such file or directory",
        f"orchestrator: the notification was not sent: {gone}",
    ]


def test_addresses_are_checked_before_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "is no address of a web server; write http://HOST:PORT or https://HOST"
    result = project.run("--recipe-notify=file:///etc/passwd")
    assert result.stderr.lines[0] == f"ERROR: --recipe-notify: the value {wrong}"
    monkeypatch.setenv("ORCHESTRATOR_NOTIFY", "hook.example")
    assert project.run().stderr.lines[0] == f"ERROR: ORCHESTRATOR_NOTIFY: hook.example {wrong}"
    result = project.run("--recipe-export=otel")
    assert result.stderr.lines[0] == (
        "ERROR: --recipe-export: otel needs OpenTelemetry: "
        "python -m pip install 'pytest-orchestrator[otel]'"
    )
    monkeypatch.setattr("pytest_orchestrator.core.extras.EXTRAS", {"otel": ()})
    assert project.run("--recipe-export=otel:collector").stderr.lines[0] == (
        f"ERROR: --recipe-export: collector {wrong}"
    )


@pytest.mark.parametrize(("option", "kind"), [("ctrf", "file"), ("allure", "folder")])
def test_an_empty_path_of_an_export_is_a_usage_error(
    project: Project, option: str, kind: str
) -> None:
    project.recipe("a", {"flash": ""})

    result = project.run(f"--recipe-export={option}:")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [
        f"ERROR: --recipe-export: {option}: the path is empty; name a {kind}",
        "",
    ]
    assert project.ran == []


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("--recipe-ctrf=a.json", "--recipe-export=ctrf:FILE"),
        ("--recipe-allure=a", "--recipe-export=allure:FOLDER"),
        ("--recipe-otel", "--recipe-export=otel or --recipe-export=otel:ENDPOINT"),
    ],
)
def test_an_option_of_an_earlier_version_says_what_to_write_instead(
    project: Project, option: str, instead: str
) -> None:
    project.recipe("a", {"flash": ""})

    result = project.run(option)

    name = option.partition("=")[0]
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [f"ERROR: there is no option {name} any more; write {instead}", ""]
    assert project.ran == []


def test_the_ini_key_exports_each_run_below_the_rootdir(project: Project) -> None:
    project.recipe("a", {"flash": ""})
    project.ini("recipe_export = ctrf:out.json allure:results")

    result = project.run("--rootdir=.", "recipes/a.yaml")

    assert result.ret == pytest.ExitCode.OK
    assert (project.path / "out.json").is_file()
    assert len([*(project.path / "results").glob("*-result.json")]) == 1
    project.ini("recipe_export = junit:out.xml")
    (line, _) = project.run().errlines
    assert line == (
        "ERROR: ini key recipe_export: there is no format 'junit'; write ctrf:FILE, allure:FOLDER "
        "or otel:ENDPOINT"
    )


@pytest.mark.parametrize("user", ["", "bob:s3cret-word@"])
def test_the_failure_of_a_trace_shows_the_host_of_its_address(
    project: Project, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setattr("pytest_orchestrator.core.extras.EXTRAS", {"otel": ()})

    def refused(*_: object) -> str:
        raise ExportError("http://127.0.0.1:9/…: it answered 404")

    def here(_: str, folder: str, targets: str) -> str:
        return json.dumps(run_end.export(Path(folder), json.loads(targets)))

    monkeypatch.setattr(otel, "export", refused)
    monkeypatch.setattr(run_end, "output_of", here)
    project.recipe("a", {"flash": ""})
    result = project.run(f"--recipe-export=otel:http://{user}127.0.0.1:9/404")

    shown = "orchestrator: OpenTelemetry: http://127.0.0.1:9/…: it answered 404"
    assert result.stdout.lines[-1] == shown
    assert "s3cret-word" not in result.stdout.str()


_INTERRUPTED = pytest.ExitCode.INTERRUPTED
_MISTAKE = "steps:\n  - {nam: one}\n"


@pytest.mark.parametrize("args", [(), ("recipes/a.yaml",), ("-n1",)])
def test_a_recipe_that_cannot_be_collected_is_exported(
    project: Project, args: tuple[str, ...]
) -> None:
    project.recipe("a", {"flash": ""})
    project.write("recipes/b.yaml", _MISTAKE)

    result = project.run(*args, "recipes/b.yaml", "--recipe-export=ctrf:ctrf.json")

    assert result.ret == (pytest.ExitCode.TESTS_FAILED if "-n1" in args else _INTERRUPTED)
    tests = json.loads((project.path / "ctrf.json").read_text())["results"]["tests"]
    assert [(one["name"], one["rawStatus"]) for one in tests] == [("recipes/b.yaml", "error")]
    assert project.ran == []


@pytest.mark.parametrize("args", [(), ("--collect-only", "--recipe-export=ctrf:ctrf.json")])
def test_a_recipe_that_cannot_be_collected_makes_no_run_unless_it_is_exported(
    project: Project, args: tuple[str, ...]
) -> None:
    project.write("recipes/b.yaml", _MISTAKE)

    project.run(*args)

    assert not (project.path / ".orchestrator").exists()
    assert not (project.path / "ctrf.json").exists()


def test_a_session_without_recipes_exports_nothing(project: Project) -> None:
    project.write("test_x.py", "import no_such_module\n")

    result = project.run("--recipe-export=ctrf:ctrf.json")

    assert result.ret == _INTERRUPTED
    assert not (project.path / "ctrf.json").exists()


@pytest.mark.counted
def test_every_report_has_the_tags_of_the_recipe_and_of_the_step(project: Project) -> None:
    project.recipe("a", {"one": "tags: [fast, smoke]", "two": ""}, head="tags: [smoke, nightly]")

    blocks = project.blocks(
        "--recipe-export=ctrf:ctrf.json", "--recipe-export=allure:allure", "-orecipe_html=true"
    )

    tags = {"one": ["smoke", "nightly", "fast"], "two": ["smoke", "nightly"]}
    assert {name: one["step"]["tags"] for name, one in blocks.items()} == tags
    tests = json.loads((project.path / "ctrf.json").read_text())["results"]["tests"]
    assert {one["name"]: one["tags"] for one in tests} == tags
    results = map(Path.read_text, (project.path / "allure").glob("*-result.json"))
    labels = {one["name"]: one["labels"] for one in map(json.loads, results)}
    assert {
        name: [one["value"] for one in found if one["name"] == "tag"]
        for name, found in labels.items()
    } == tags
    run = project.path / ".orchestrator/runs/latest"
    events = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
    begun = next(one for one in events if one["event"] == "recipe_started")
    assert {one["name"]: one["tags"] for one in begun["steps"]} == tags
    page = (run / "report.html").read_text()
    assert all(f"<option>{tag}</option>" in page for tag in ("smoke", "nightly", "fast"))
