"""Steps on other machines: the script for the host, and reports of refused connections."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_orchestrator.core import files
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes import ssh_link
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections, refused
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.steps import shell, ssh
from pytest_orchestrator.execution.steps.command import FailingLine, without_record
from pytest_orchestrator.recipe.model.step import SshStep

if TYPE_CHECKING:
    from pathlib import Path


def step(cmd: str | tuple[str, ...], **keys: Any) -> SshStep:
    return SshStep(name="far", host="bench-3", cmd=cmd, **keys)


def far(one: SshStep) -> subprocess.CompletedProcess[bytes]:
    """Run on this machine the script that a step sends to the other one.

    Each call has a mark of its own, because the end of the step ends every process of this machine
    that has the mark.
    """
    command = ssh.argv_of(one, None)[-1]
    sent = ssh.input_of(one, ssh.new_mark())
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(sent)
        process.stdin.flush()  # it stays open, like a connection
        out, err = process.stdout.read(), process.stderr.read()
        return subprocess.CompletedProcess(command, process.wait(), out, err)


AWKWARD = 'it\'s "$HOME" `x` \\ ü\n!'


def test_words_variables_and_input_arrive_unchanged() -> None:
    args = {"A": AWKWARD, "L": [1, "b"], "N": 2}
    done = far(
        step(("sh", "-c", 'printf "%s|" "$@" "$A" "$L" "$N"; cat', "sh", AWKWARD), args=args)
    )

    assert done.stdout.decode() == f'{AWKWARD}|{AWKWARD}|[1,"b"]|2|'
    assert far(step("cat", stdin=AWKWARD)).stdout.decode() == AWKWARD
    assert far(step("cat", stdin={"a": [1]})).stdout == b'{"a":[1]}'


def test_a_step_may_leave_a_large_input_unread() -> None:
    assert far(step("head -c 3; exit 4", stdin="x" * 1_000_000)).stdout == b"xxx"


def test_the_command_runs_in_its_folder_and_its_exit_code_is_returned(tmp_path: Path) -> None:
    done = far(step("pwd; echo no >&2; exit 7", cwd=str(tmp_path)))

    assert (done.returncode, done.stdout, done.stderr) == (7, f"{tmp_path}\n".encode(), b"no\n")
    assert far(step("true", cwd=str(tmp_path / "none"))).returncode == 126
    assert far(step(("no-such-program",))).returncode == 127


def test_a_null_argument_unsets_the_variable() -> None:
    assert far(step('echo "${HOME-none}"', args={"HOME": None})).stdout == b"none\n"


def test_a_process_that_keeps_the_output_open_is_ended(tmp_path: Path) -> None:
    done = far(step(f"sleep 600 & echo $! > {tmp_path}/pid"))

    assert done.returncode == 0
    left = int((tmp_path / "pid").read_text())
    with suppress(psutil.NoSuchProcess):  # the process ends some time after the signal
        process, deadline = psutil.Process(left), time.monotonic() + 60
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_command_line_on_this_machine_contains_no_value() -> None:
    one = step("echo s3cret", args={"TOKEN": "s3cret"}, stdin="s3cret")

    assert "s3cret" not in " ".join(ssh.argv_of(one, None))
    script = base64.b64decode(ssh.input_of(one, "abc").partition(b"\n")[0]).decode()
    assert "export TOKEN=s3cret" in script


def test_the_repeating_line_runs_the_step_by_ssh() -> None:
    one = step("run | tee x", args={"A": "b c", "D": None}, cwd="work", stdin="x y")

    assert ssh.alone(one) == (
        "printf %s 'x y' | ssh bench-3 "
        "'cd work && export A='\"'\"'b c'\"'\"'; unset D; "
        "/bin/sh -e -c '\"'\"'run | tee x'\"'\"''"
    )
    assert ssh.alone(step("run x")) == "ssh bench-3 'run x'"


@pytest.mark.parametrize("named", [None, "sh", "bash", ("bash", "-e")])
def test_a_failing_line_ends_the_script_on_the_other_machine(
    named: str | tuple[str, ...] | None,
) -> None:
    one = step("echo a\ncat\nfalse\necho b", stdin="in", shell=named)
    done = far(one)

    assert (done.returncode, done.stdout) == (1, b"a\nin")
    line = ssh.alone(one).replace("ssh bench-3", "sh -c", 1)
    again = subprocess.run(line, shell=True, capture_output=True, check=False)
    assert (again.returncode, again.stdout) == (1, b"a\nin")


def test_bash_on_the_other_machine_sends_the_failing_line(tmp_path: Path) -> None:
    args = {"TMPDIR": str(tmp_path)}
    one = step("echo a\nf() {\n  false\n}\nprintf b >&2\nf\ntrue", shell="bash", args=args)
    done = far(one)

    assert (done.returncode, done.stdout) == (1, b"a\n")
    stderr, ends = without_record(done.stderr.decode())
    assert stderr == "b"
    assert FailingLine(one, 1, stderr, ends).text == "line 3 of cmd: false"
    assert list(tmp_path.iterdir()) == []
    own = far(step("true\nfalse", shell="bash", args={"BASH_ENV": "/dev/null"}))
    assert (own.returncode, own.stderr) == (1, b"")
    assert far(step("true\nexit 3", shell="bash")).stderr == b""


def test_each_shell_runs_scripts_of_its_language() -> None:
    assert far(step("[[ a == a* ]] && false | true", shell="bash")).returncode == 1
    assert far(step("print(input())", stdin="x", shell="python")).stdout == b"x\n"
    args = {"A": AWKWARD}
    done = far(step(f"{AWKWARD}\n", args=args, stdin="|<", shell=("sh", "-c", 'cat "$1" -', "sh")))
    assert done.stdout.decode() == f"{AWKWARD}\n|<"


def test_the_script_file_on_the_other_machine_is_removed(tmp_path: Path) -> None:
    one = step('echo "$0"; exit 3', shell=("sh",), args={"TMPDIR": str(tmp_path)})
    done = far(one)
    assert done.returncode == 3
    assert done.stdout.decode().startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("named", "program"), [("bash", "bash"), ("python", "python3"), (("no-such",), "no-such")]
)
def test_a_shell_that_is_missing_on_the_other_machine_is_reported(
    named: str | tuple[str, ...], program: str
) -> None:
    done = far(step("true", shell=named, args={"PATH": "/nowhere"}))
    assert done.returncode == 127
    assert (
        done.stderr.decode().splitlines()[-1] == f"orchestrator: the shell {program} was not found"
    )


@pytest.mark.parametrize(
    ("stderr", "reason", "detail"),
    [
        (
            "Host key verification failed.\r\n",
            "no connection to bench-3: its host key is not known, or is another one than before",
            (
                "ssh: Host key verification failed.",
                "compare it with the one of the machine, and connect once by hand: ssh bench-3",
            ),
        ),
        (
            "me@bench-3: Permission denied (publickey,password).\r\n",
            "no connection to bench-3: it accepts none of the keys of this machine",
            (
                "ssh: me@bench-3: Permission denied (publickey,password).",
                "a step cannot be asked for a password: ssh-copy-id bench-3",
            ),
        ),
        (
            "ssh: connect to host 10.0.0.9 port 22: Connection timed out\r\n",
            "no connection to bench-3: it does not answer",
            (
                "ssh: connect to host 10.0.0.9 port 22: Connection timed out",
                "try by hand: ssh bench-3 true",
            ),
        ),
        ("ssh: what is this\n", "no connection to bench-3: what is this", ()),
        ("", "no connection to bench-3: ssh said nothing", ()),
    ],
)
def test_a_refused_connection_is_reported_with_its_reason(
    stderr: str, reason: str, detail: tuple[str, ...]
) -> None:
    failure = refused("bench-3", stderr)

    assert (failure.kind, failure.reason, failure.detail) == ("not_found", reason, detail)


@pytest.mark.parametrize("role", ["step", "master"])
def test_ssh_link_returns_the_exit_code_even_if_pytest_ignores_sigchld(role: str) -> None:
    program = (sys.executable, ssh_link.__file__, role, "sh", "-c", "exit 3")
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with subprocess.Popen(program, stdin=subprocess.PIPE) as ssh_link_process:
            signal.signal(signal.SIGCHLD, former)
            assert ssh_link_process.stdin is not None
            if role == "step":
                ssh_link_process.stdin.close()
            assert ssh_link_process.wait() == 3
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_a_connection_fails_if_no_folder_for_its_socket_can_be_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_bases", lambda: iter(["/gone"]))

    assert SshConnections().to("bench-3") == Failure(
        kind="not_found",
        reason="ssh cannot be started: there is no place for a socket: "
        "/gone: No such file or directory",
    )


class Unreachable(SshConnections):
    """Connections that fail, and keep the hosts for which they were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[str] = []

    def to(self, host: str) -> Failure:
        self.hosts.append(host)
        return Failure(kind="crash", reason="unreachable")


def test_a_step_connects_to_the_host_that_the_station_has_for_its_name(tmp_path: Path) -> None:
    hosts = {"bench-3": "root@192.0.2.3", "root@192.0.2.3": "chained"}
    connections = Unreachable()
    slot: Any = SimpleNamespace(ssh_connections=connections)
    attempt = AttemptContext(config=RunConfig(root=tmp_path, hosts=hosts), slot=slot)
    one = step("true", at={"host": Place(3, 5)})

    failure = shell.run(one, attempt).failure

    assert failure == Failure(kind="crash", reason="unreachable", place=Place(3, 5))
    assert connections.hosts == ["root@192.0.2.3"]
    assert shell.process_of(one, attempt).alone == "ssh root@192.0.2.3 true"
    assert "root@192.0.2.3" in shell.process_of(one, attempt).argv
