"""SSH steps, with a real sshd on the loopback and its own keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import ports
from benchmarks.faults import PATIENCE, alive, new_token, seconds_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project

_SSHD = Path(__file__).parents[2] / "scripts/sshd"
_SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
"""
_CLIENT = """\
Host *
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
Host bench
  UserKnownHostsFile {folder}/known
Host stranger
  UserKnownHostsFile /dev/null
"""
_RECIPE = """\
env: {FROM: root, LEVEL: root, LAST: root}
defaults: {env: {LEVEL: default, LAST: default}}
steps:
  - name: told
    type: ssh
    host: bench
    cmd: 'printf "{\\"status\\": \\"ok\\", \\"name\\": \\"%s\\"}" "$NAME"'
    env: {NAME: "it's ünï"}
    outputs: {far.name: "${{ result.name }}"}
  - name: fed
    type: ssh
    host: bench
    parse: data
    cmd: cat
    stdin: {a: ["${{ ctx.far.name }}"]}
    success: {assert: ["result.a[0] == \\"it's ünï\\""]}
  - {name: fails, type: ssh, host: bench, parse: text, cmd: 'echo oops >&2; exit 3', needs: []}
  - {name: code255, type: ssh, host: bench, parse: text, cmd: exit 255, needs: []}
  - name: slow
    type: ssh
    host: bench
    parse: text
    cmd: 'setsid sleep TOKEN & trap "" TERM; sleep TOKEN; sleep TOKEN'
    timeout: 1s
    needs: []
  - name: lost
    type: ssh
    host: bench
    parse: text
    cmd: kill -9 $(ps -o ppid= -p $PPID); sleep TOKEN
    timeout: 20s
    needs: []
  - {name: again, type: ssh, host: bench, parse: text, cmd: 'true', needs: []}
  - {name: stranger, type: ssh, host: stranger, parse: text, cmd: 'true', needs: []}
  - {name: ended, type: ssh, host: bench, parse: text, needs: [], cmd: "true\\nno-such -x\\ntrue"}
  - {name: sh, type: ssh, host: bench, parse: text, needs: [], cmd: "false\\necho flashed\\n"}
  - {name: bash, type: ssh, host: bench, parse: text, needs: [], shell: bash,
      cmd: "false\\necho flashed\\n"}
  - {name: list, type: ssh, host: bench, parse: text, needs: [], shell: [sh, -e],
      cmd: "false\\necho flashed\\n"}
  - {name: piped, type: ssh, host: bench, parse: text, needs: [], shell: bash,
      cmd: 'true | false | cat'}
  - {name: variables, type: ssh, host: bench, parse: text, needs: [], env: {LAST: "${{ 1 + 2 }}"},
      cmd: 'echo $FROM $LEVEL $LAST', success: {stdout_contains: root default 3}}
  - name: halfway
    type: ssh
    host: bench
    parse: text
    needs: []
    shell: bash
    cmd: "true\\nfalse | true\\ntrue"
  - {name: code, type: ssh, host: bench, parse: text, needs: [], shell: python, cmd: 'print(1 / 1)'}
  - {name: listed, type: ssh, host: bench, needs: [], parse: text, shell: [sh], cmd: 'exit 6'}
  - name: shell
    type: ssh
    host: bench
    needs: []
    parse: text
    shell: [no-such-shell]
    cmd: "true"
    success: {exit_code: nonzero}
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an sshd; return the folder of an ``ssh`` command that knows it as ``bench``."""
    found = subprocess.run([str(_SSHD)], check=True, stdout=subprocess.PIPE, text=True)
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(key, check=True)
    with ports.kept() as port:
        yield from _listening(found.stdout.strip(), folder, port)


def _listening(program: str, folder: Path, port: int) -> Iterator[Path]:
    (folder / "sshd_config").write_text(_SERVER.format(port=port, folder=folder))
    (folder / "config").write_text(_CLIENT.format(port=port, folder=folder))
    host = (folder / "host.pub").read_text().rpartition(" ")[0]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
    (folder / "bin").mkdir()
    client = folder / "bin/ssh"
    client.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config "$@"\n')
    client.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)  # Debian's folder for privilege separation
    server = subprocess.Popen(
        [program, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.PIPE
    )
    try:
        assert server.stderr is not None
        while b"listening" not in (line := server.stderr.readline()):
            assert line, "sshd has ended"
        yield folder
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture
def bench(project: Project, sshd: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the ``ssh`` command on its PATH."""
    monkeypatch.setenv("PATH", f"{sshd}/bin:{os.environ['PATH']}")
    return project


def test_ssh_steps_have_results_criteria_and_reports_like_other_steps(bench: Project) -> None:
    token = new_token()
    bench.write("recipes/far.yaml", _RECIPE.replace("TOKEN", token))
    blocks = bench.blocks("-p", "no:randomly")

    step_block = {
        name: (block["step"]["state"], block["step"].get("reason"))
        for name, block in blocks.items()
    }
    assert step_block == {
        "told": ("passed", None),
        "fed": ("passed", None),
        "fails": ("failed", "exit code 3, expected 0"),
        "code255": ("failed", "exit code 255, expected 0"),
        "slow": (
            "failed",
            "timeout: still running after 1 s; its whole process tree was ended",
        ),
        "lost": ("failed", "the connection to bench was lost"),
        "again": ("passed", None),
        "stranger": (
            "failed",
            "no connection to stranger: its host key is not known, or is another one than before",
        ),
        "ended": (
            "failed",
            (
                "exit code 127: a program was not found: /bin/sh: 2: no-such: not found; "
                "line 2 of cmd: no-such -x"
            ),
        ),
        "sh": ("failed", "exit code 1, expected 0"),
        "bash": ("failed", "exit code 1, expected 0; line 1 of cmd: false"),
        "list": ("failed", "exit code 1, expected 0"),
        "piped": ("failed", "exit code 1, expected 0"),
        "variables": ("passed", None),
        "halfway": ("failed", "exit code 1, expected 0; line 2 of cmd: false | true"),
        "code": ("passed", None),
        "listed": ("failed", "exit code 6, expected 0"),
        "shell": ("failed", "shell no-such-shell was not found on bench"),
    }
    assert {blocks[name]["step"]["kind"] for name in ("shell", "ended")} == {"not_found"}
    outputs = bench.path.glob(".orchestrator/runs/2*/logs/far/*.stdout")
    assert not any("flashed" in path.read_text() for path in outputs)
    assert blocks["lost"]["step"]["kind"] == "crash"
    assert blocks["told"]["resources"]["source"] == {"cpu": "unavailable", "memory": "unavailable"}
    assert blocks["told"]["resources"].keys() == {"seconds", "source"}
    assert seconds_until_gone(token, PATIENCE) is not None


def test_no_remote_process_continues_when_pytest_is_killed(bench: Project) -> None:
    token, up = new_token(), bench.path / "up"
    bench.write(
        "recipes/far.yaml",
        "steps:\n  - {name: a, type: ssh, host: bench, parse: text, "
        f"cmd: 'mkfifo {up}; sleep {token} & echo > {up}; wait'}}\n",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly"],
        cwd=bench.path,
        stdout=subprocess.DEVNULL,
    ) as process:
        while not up.exists():
            assert process.poll() is None
        with up.open() as actual:
            actual.read()
        assert alive(token)
        process.send_signal(signal.SIGKILL)
    assert seconds_until_gone(token, PATIENCE) is not None


def test_keys_that_ssh_steps_do_not_support_are_errors_in_the_recipe(bench: Project) -> None:
    bench.write(
        "recipes/far.yaml",
        "steps:\n  - {name: a, type: ssh, host: '-oProxyCommand=x', cmd: x}\n"
        "  - {name: b, type: ssh, host: h, cmd: x, success: {max_rss_mb: 5}}\n"
        "  - {name: c, type: ssh, cmd: x}\n",
    )
    result = bench.run("-p", "no:randomly")

    output = result.stdout.str()
    for line in (
        "2:32: 'host' in ssh step 'a' is '-oProxyCommand=x', should be the name of a host",
        "3:53: 'max_rss_mb' needs a process on this machine, and step 'b' runs on another",
        "4:5: missing 'host' in ssh step 'c'",
    ):
        assert f"recipes/far.yaml:{line}" in output
