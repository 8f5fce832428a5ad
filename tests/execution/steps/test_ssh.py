"""Steps on other machines: what is sent there, and what is said of a host that lets nobody in."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_orchestrator.core import files
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.steps import ssh, ssh_link
from pytest_orchestrator.execution.steps.ssh import Links, refused
from pytest_orchestrator.recipe.model.step import SshStep

if TYPE_CHECKING:
    from pathlib import Path


def step(cmd: str | tuple[str, ...], **keys: Any) -> SshStep:
    return SshStep(name="far", host="bench-3", cmd=cmd, **keys)


def far(one: SshStep) -> subprocess.CompletedProcess[bytes]:
    """Do here what the other machine does with what it is sent.

    Its mark is its own, as that of each try is: all that bears it is ended with the step, on
    the whole machine.
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
        process.stdin.flush()  # and it stays open, as a connection does
        out, err = process.stdout.read(), process.stderr.read()
        return subprocess.CompletedProcess(command, process.wait(), out, err)


AWKWARD = 'it\'s "$HOME" `x` \\ ü\n!'


def test_words_variables_and_input_arrive_as_they_are() -> None:
    args = {"A": AWKWARD, "L": [1, "b"], "N": 2}
    done = far(
        step(("sh", "-c", 'printf "%s|" "$@" "$A" "$L" "$N"; cat', "sh", AWKWARD), args=args)
    )

    assert done.stdout.decode() == f'{AWKWARD}|{AWKWARD}|[1,"b"]|2|'
    assert far(step("cat", stdin=AWKWARD)).stdout.decode() == AWKWARD
    assert far(step("cat", stdin={"a": [1]})).stdout == b'{"a":[1]}'


def test_a_large_input_needs_not_be_read() -> None:
    assert far(step("head -c 3; exit 4", stdin="x" * 1_000_000)).stdout == b"xxx"


def test_it_runs_where_it_should_and_ends_as_it_does(tmp_path: Path) -> None:
    done = far(step("pwd; echo no >&2; exit 7", cwd=str(tmp_path)))

    assert (done.returncode, done.stdout, done.stderr) == (7, f"{tmp_path}\n".encode(), b"no\n")
    assert far(step("true", cwd=str(tmp_path / "none"))).returncode == 126
    assert far(step(("no-such-program",))).returncode == 127


def test_a_variable_is_unset() -> None:
    assert far(step('echo "${HOME-none}"', args={"HOME": None})).stdout == b"none\n"


def test_a_process_that_keeps_the_output_open_is_ended(tmp_path: Path) -> None:
    done = far(step(f"sleep 600 & echo $! > {tmp_path}/pid"))

    assert done.returncode == 0
    left = int((tmp_path / "pid").read_text())
    with suppress(psutil.NoSuchProcess):  # a signal that was sent is not yet an end
        process, until = psutil.Process(left), time.monotonic() + 60
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_no_value_stands_on_the_command_line_here() -> None:
    one = step("echo s3cret", args={"TOKEN": "s3cret"}, stdin="s3cret")

    assert "s3cret" not in " ".join(ssh.argv_of(one, None))
    script = base64.b64decode(ssh.input_of(one, "abc").partition(b"\n")[0]).decode()
    assert "export TOKEN=s3cret" in script


def test_a_line_does_the_same_by_hand() -> None:
    one = step("run | tee x", args={"A": "b c", "D": None}, cwd="work", stdin="x y")

    assert ssh.alone(one) == (
        "printf %s 'x y' | ssh bench-3 "
        "'cd work && export A='\"'\"'b c'\"'\"'; unset D; "
        "/bin/sh -e -c '\"'\"'run | tee x'\"'\"''"
    )
    assert ssh.alone(step("run x")) == "ssh bench-3 'run x'"


@pytest.mark.parametrize("named", [None, "sh", "bash", ("bash", "-e")])
def test_a_line_that_fails_ends_the_script_there(named: str | tuple[str, ...] | None) -> None:
    one = step("echo a\ncat\nfalse\necho b", stdin="in", shell=named)
    done = far(one)

    assert (done.returncode, done.stdout) == (1, b"a\nin")
    by_hand = ssh.alone(one).replace("ssh bench-3", "sh -c", 1)
    again = subprocess.run(by_hand, shell=True, capture_output=True, check=False)
    assert (again.returncode, again.stdout) == (1, b"a\nin")


def test_each_shell_runs_its_own_language() -> None:
    assert far(step("[[ a == a* ]] && false | true", shell="bash")).returncode == 1
    assert far(step("print(input())", stdin="x", shell="python")).stdout == b"x\n"
    args = {"A": AWKWARD}
    done = far(step(f"{AWKWARD}\n", args=args, stdin="|<", shell=("sh", "-c", 'cat "$1" -', "sh")))
    assert done.stdout.decode() == f"{AWKWARD}\n|<"


def test_the_file_of_a_script_is_gone_with_it(tmp_path: Path) -> None:
    one = step('echo "$0"; exit 3', shell=("sh",), args={"TMPDIR": str(tmp_path)})
    done = far(one)
    assert done.returncode == 3
    assert done.stdout.decode().startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("named", "program"), [("bash", "bash"), ("python", "python3"), (("no-such",), "no-such")]
)
def test_a_shell_that_is_missing_there_is_told(named: str | tuple[str, ...], program: str) -> None:
    done = far(step("true", shell=named, args={"PATH": "/nowhere"}))
    assert done.returncode == 127
    assert (
        done.stderr.decode().splitlines()[-1] == f"orchestrator: the shell {program} was not found"
    )


@pytest.mark.parametrize(
    ("said", "reason", "detail"),
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
def test_it_is_said_why_a_host_lets_nobody_in(
    said: str, reason: str, detail: tuple[str, ...]
) -> None:
    failure = refused("bench-3", said)

    assert (failure.kind, failure.reason, failure.detail) == ("not_found", reason, detail)


@pytest.mark.parametrize("role", ["step", "master"])
def test_what_feeds_a_client_ends_as_it_does_where_pytest_ignores_sigchld(role: str) -> None:
    program = (sys.executable, ssh_link.__file__, role, "sh", "-c", "exit 3")
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with subprocess.Popen(program, stdin=subprocess.PIPE) as feeding:
            signal.signal(signal.SIGCHLD, former)
            assert feeding.stdin is not None
            if role == "step":
                feeding.stdin.close()
            assert feeding.wait() == 3
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_a_connection_that_has_no_place_for_its_socket_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_bases", lambda: iter(["/gone"]))

    assert Links().to("bench-3") == Failure(
        kind="not_found",
        reason="ssh cannot be started: there is no place for a socket: "
        "/gone: No such file or directory",
    )
