"""`pytest-orchestrator serve`: a Context in a process of its own, kept in a file."""

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_orchestrator import ContextUnreachable, RemoteContext
from pytest_orchestrator.cli.verbs import ctx, serve
from pytest_orchestrator.context.rpc.address import ADDRESS, FILE, listen_tcp
from tests.cli.conftest import Project


class Serving(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    token: str

    def end(self, by: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(by)
        err = self.process.communicate(timeout=60)[1]
        return self.process.returncode, err


class Servers:
    """Starter of `serve` processes in a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *words: str) -> Serving:
        command = [sys.executable, "-m", "pytest_orchestrator", "serve", *words]
        process = subprocess.Popen(
            command,
            cwd=self.project.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        assert process.stdout
        head, _, address = process.stdout.readline().strip().rpartition(" ")
        assert head == "the Context is served at"
        published = json.loads((self.project.path / FILE).read_text())
        assert (published["address"], published["pid"]) == (address, process.pid)
        return Serving(process, address, published["token"])


@pytest.fixture
def start_server(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    monkeypatch.delenv(ADDRESS, raising=False)
    servers = Servers(project)
    yield servers
    for process in servers.started:
        process.kill()
        process.communicate()


def test_context_in_a_file_survives_its_process(start_server: Servers, project: Project) -> None:
    state, words = project.path / "state.jsonl", ("--file", "state.jsonl", "--token-file", "token")
    first = start_server(*words)
    with RemoteContext.connect() as remote:
        remote.set("dut", {"serial": "A7"})
        for number in range(3):
            remote.append("readings", number, who="poll")
        remote.pop("readings", 0)
        remote.set("gone", None)
        remote.delete("gone")
        history = [remote.get_history(key) for key in ("dut", "readings", "gone")]
        twice = project.call("serve", "--file", "state.jsonl")
        first.process.kill()
        first.process.wait(60)
        with pytest.raises(ContextUnreachable):
            remote.get("dut")
    assert twice.code == 2
    assert twice.err.endswith(
        "error: --file: the journal state.jsonl cannot be made: another process writes it\n"
    )
    with state.open("a") as file:
        file.write('{"n":9,"ts":"20')

    second = start_server(*words)
    with RemoteContext.connect() as remote:
        assert remote.to_dict() == {"dut": {"serial": "A7"}, "readings": [1, 2]}
        assert [remote.get_history(key) for key in ("dut", "readings", "gone")] == history
        assert remote.increment("runs") == 1
    code, err = second.end(signal.SIGINT)
    assert (second.token, code) == (first.token, 0)
    assert err == (
        "pytest-orchestrator serve: state.jsonl ends with an incomplete change that was never "
        "confirmed: it was removed\npytest-orchestrator serve: address and token are in "
        f"{project.path / FILE}; Ctrl-C ends it\n"
    )
    assert not (project.path / FILE).exists()
    assert (project.path / "token").stat().st_mode & 0o777 == 0o600

    third = start_server(*words)
    with RemoteContext.connect() as remote:
        assert remote.get("runs") == 1
    assert third.end(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("acknowledged", [1, 2, 5, 9])
def test_a_killed_restore_changes_all_keys_or_none(
    start_server: Servers, acknowledged: int
) -> None:
    words = ("--file", "state.jsonl", "--token-file", "token")
    first, reached = start_server(*words), threading.Event()

    def kill() -> None:
        reached.wait(60)
        first.process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    done = 0
    with RemoteContext.connect() as remote, contextlib.suppress(ContextUnreachable):
        for number in itertools.count(1):
            values = {f"key_{at}": number for at in range(300)}
            remote.restore({"version": 1, "values": values, "history": {}})
            done = number
            if number == acknowledged:
                reached.set()
    killer.join()
    first.process.wait(60)

    start_server(*words)
    with RemoteContext.connect() as remote:
        values = remote.to_dict()
        assert len(values) == 300
        assert len(set(values.values())) == 1
        assert values["key_0"] in (done, done + 1)
        changes = {len(remote.get_history(key)) for key in values}
        assert changes == {values["key_0"]}


def test_examples_of_serve_and_ctx_work_together(start_server: Servers, project: Project) -> None:
    serving = start_server(*serve.EXAMPLE.split()[1:])
    with RemoteContext.connect() as remote:
        remote.set("metrics.mean_v1", 1.5)
    assert project.call(*ctx.EXAMPLE.split()) == (0, "1.5\n", "")
    assert serving.end(signal.SIGTERM)[0] == 0


def test_wrong_options_of_serve_are_errors(project: Project, tmp_path: Path) -> None:
    with listen_tcp("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        done = project.call("serve", "--port", str(port))
    assert (done.code, done.err) == (
        1,
        (
            f"pytest-orchestrator serve: cannot serve at 127.0.0.1:{port}: something else listens "
            "there; end it, or take another port (0 is any free one)\n"
        ),
    )
    project.write("token", "short")
    project.write("notes.md", "# Notes\n")
    for words, message in [
        (("--token-file", "token"), ("--token-file: token contains no token; a token is a word of "
         "at least 16 characters")),
        (("--file", "notes.md"), "--file: notes.md is no file of a Context; take another one"),
        (("--file", "no/such"), ("--file: the journal no/such cannot be made: No such file or "
         "directory")),
    ]:  # fmt: skip
        done = project.call("serve", *words)
        assert (done.code, done.err.partition("error: ")[2]) == (2, f"{message}\n")
    assert (tmp_path / "notes.md").read_text() == "# Notes\n"
