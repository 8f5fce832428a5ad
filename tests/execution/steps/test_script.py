"""Failing scripts: exit codes with `-e` by shell, and the report of the failing line."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.files import private_path
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.remote.attempt import needed_by_worker
from pytest_orchestrator.execution.steps.command import FailingLine, ScriptFiles
from pytest_orchestrator.recipe.model.step import ShellStep

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import Ended
    from tests.execution.conftest import Bench

_E = "ended by -e: no command runs after one that fails"
_CURE = "`shell: bash` names the line"


def failure_of(ended: Ended) -> tuple[str, str, tuple[str, ...]] | None:
    failure = ended.failure
    return None if failure is None else (failure.kind, failure.reason, failure.detail)


def at(number: int) -> str:
    return f"ended by -e at line {number}: the lines after it did not run"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files, with a name that a shell would split."""
    folder = tmp_path / "it's scratch"
    folder.mkdir()
    private_path()  # the folder that a process creates once, for its first step
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("named", [None, "sh", "bash"])
@pytest.mark.parametrize(
    ("cmd", "code"),
    [
        ("false\ntrue", 1),
        ("true\nfalse", 1),
        ("false; true", 1),
        ("true && false", 1),
        ("false && true\ntrue", 0),
        ("false || true", 0),
        ("true || false\ntrue", 0),
        ("! true\ntrue", 0),
        ("if false; then :; fi\ntrue", 0),
        ("while false; do :; done\ntrue", 0),
        ("false | true", 0),
        ("true | false | cat", 0),
        ("true | false\ntrue", 1),
        ("set +e\nfalse\ntrue", 0),
        ("set +e\nfalse", 1),
        ("(exit 5)\ntrue", 5),
        ("( false\n true )\ntrue", 1),
        ("f() {\n false\n true\n}\nf\ntrue", 1),
        ("f() {\n false\n true\n}\nf || true", 0),
        ("x=$(false)\ntrue", 1),
        ('printf "%s" "$(false)"', 0),
        ("for i in 1 2; do\n false\ndone\ntrue", 1),
        ("cat <<E\nfalse\nE\ntrue", 0),
        ("cat <<E >&2\nx\nE\nfalse\ntrue", 1),
        ("trap 'exit 4' EXIT\nfalse\ntrue", 4),
        ("trap 'true' EXIT\nfalse\ntrue", 1),
        ("exit 3\ntrue", 3),
        ("no-such-program\ntrue", 127),
        ("sh -c 'kill -9 $$'\ntrue", 137),
        ("fi\ntrue", 2),
        ("\n\ntrue\n", 0),
    ],
)
def test_a_script_fails_if_the_shell_ends_it_by_e(
    cmd: str, code: int, named: str | None, bench: Bench
) -> None:
    if named == "bash" and cmd in ("false | true", "true | false | cat"):
        code = 1  # pipefail
    keys = {} if named is None else {"shell": named}
    ended = bench.shell(cmd, parse="text", **keys)

    assert ended.process is not None
    assert (ended.process.exit_code, ended.failure is None) == (code, code == 0)
    again = subprocess.run(
        ended.process.alone, shell=True, cwd=bench.root, capture_output=True, check=False
    )
    assert again.returncode == code, "the repeating line has the same exit code"


@pytest.mark.parametrize(
    ("cmd", "reason", "detail"),
    [
        ("true\n  false -x\ntrue", "; line 2 of cmd: false -x", (at(2),)),
        ("\n\nfalse\ntrue", "; line 3 of cmd: false", (at(3),)),
        ("true\nfalse\n# done\n", "; line 2 of cmd: false", ()),
        ("false |\n  true\ntrue", "; line 2 of cmd: true", (at(2),)),
        ("for i in 1; do\n  false\ndone", "; line 2 of cmd: false", ()),
        ("( true\n  false\n)\ntrue", "; line 2 of cmd: false", (at(2),)),
        ("h() {\n (\n  false -h\n )\n}\nh\ntrue", "; line 3 of cmd: false -h", (at(3),)),
        ("(\n  false -c\n) | cat\ntrue", "; line 2 of cmd: false -c", (at(2),)),
        ("f() {\n  false\n  true\n}\nf", "; line 2 of cmd: false", (at(2),)),
        ("f() {\n  false\n  true\n}\nf || true\nfalse -z", "; line 6 of cmd: false -z", ()),
        (". ./lib.sh\ntrue\ngiven", "; line 3 of cmd: given", ()),
        ("g() {\n  given\n}\n. ./lib.sh\ng", "; line 2 of cmd: given", (at(2),)),
        ("(false) &\nsleep 0.1\nfalse || exit 1", "", ()),
        ("(false) &\nwait $!\ntrue", "; line 2 of cmd: wait $!", (at(2),)),
        ("true | false | true", "", ()),
        ("false; true", "", (_E,)),
        ("trap : ERR\nfalse\ntrue", "", (_E,)),
        ("set +e\nfalse\nset -e\nfalse\ntrue", "; line 4 of cmd: false", (at(4),)),
        ("set +e\ntrue\nfalse", "", ()),
        ("false || exit 1\ntrue", "", ()),
        (f"false {'x' * 100}\ntrue", f"; line 1 of cmd: false {'x' * 73}…", (at(1),)),
    ],
)
def test_bash_names_the_failing_line(
    cmd: str, reason: str, detail: tuple[str, ...], bench: Bench, scratch: Path
) -> None:
    bench.write("lib.sh", "\n" * 9 + "given() {\n false\n}\n")
    ended = bench.shell(cmd, parse="text", shell="bash")

    assert failure_of(ended) == ("exit_code", f"exit code 1, expected 0{reason}", detail)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("cmd", "reason", "detail"),
    [
        ("true\nfalse\ntrue", "exit code 1, expected 0", (_E, _CURE)),
        ("false; true", "exit code 1, expected 0", (_E,)),
        ("false", "exit code 1, expected 0", ()),
        ("true\nexit 3", "exit code 3, expected 0", ()),
        ("set +e\nfalse", "exit code 1, expected 0", ()),
    ],
)
def test_sh_does_not_name_the_failing_line(
    cmd: str, reason: str, detail: tuple[str, ...], bench: Bench
) -> None:
    assert failure_of(bench.shell(cmd, parse="text")) == ("exit_code", reason, detail)


@pytest.mark.parametrize("named", ["sh", "bash"])
def test_a_missing_program_is_reported_with_its_line(named: str, bench: Bench) -> None:
    ended = bench.shell("true\ndfu-util -D fw.bin\necho flashed", parse="text", shell=named)

    assert ended.failure is not None
    assert ended.failure.kind == "not_found"
    assert ended.failure.reason.startswith("exit code 127: a program was not found: ")
    assert ended.failure.reason.endswith("; line 2 of cmd: dfu-util -D fw.bin")
    assert ended.failure.detail == (at(2),)


def test_a_message_of_an_earlier_line_is_not_reported_as_the_cause(bench: Bench) -> None:
    ended = bench.shell("no-such-program || true\nfalse\ntrue", parse="text")
    assert failure_of(ended) == ("exit_code", "exit code 1, expected 0", (_E, _CURE))


@pytest.mark.parametrize(
    ("stderr", "code", "number"),
    [
        ("/bin/sh: 2: a: not found", 127, 2),
        ("bash: line 3: a: command not found", 127, 3),
        ("sh: line 3: ./a: Permission denied", 126, 3),
        ('sh: 2: Syntax error: "fi" unexpected', 2, 2),
        ("sh: 2: A: parameter not set", 2, 2),
        ("sh: 2: a: not found", 1, None),
        ("sh: 2: a: not found\nmore", 127, None),
        ("a: 2: not found", 127, None),
        ("", 127, None),
    ],
)
def test_the_last_message_of_a_shell_names_the_line(
    stderr: str, code: int, number: int | None
) -> None:
    step = ShellStep(name="a", cmd="one\ntwo\nthree\nfour")
    line = FailingLine(step, code, f"noise\n{stderr}\n", "").text
    names = dict(enumerate(["one", "two", "three"], start=1))
    assert line == ("" if number is None else f"line {number} of cmd: {names[number]}")


@pytest.mark.parametrize("named", ["sh", "bash"])
def test_a_script_with_a_syntax_error_is_not_ended_by_e(named: str, bench: Bench) -> None:
    ended = bench.shell("echo a\nif then\necho b", parse="text", shell=named)

    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.detail) == ("exit_code", ())


def test_an_expression_in_the_failing_line_is_shown_as_an_expression() -> None:
    step = ShellStep(name="a", cmd='a "${RECIPE_VALUE_1}" "x ${RECIPE_VALUE_2} y"\nb')
    line = FailingLine(step, 1, "", "1 0 1\n").text
    assert line == 'line 1 of cmd: a ${{ … }} "x ${{ … }} y"'


def test_the_err_trap_of_bash_is_invisible_to_the_script(bench: Bench) -> None:
    script = """
        test -z "${BASH_ENV+set}"
        test -z "$(bash -c 'trap -p ERR')"
        echo $LINENO $0 $# "$-"
        false | cat
        """
    ended = bench.shell(script, parse="text", shell="bash")
    assert ended.process is not None
    plain = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eEo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.process.stdout.text == plain.stdout
    assert ended.process.stderr.text == plain.stderr
    assert ended.process.argv[-2:] == ("-c", script)


def test_a_startup_file_of_the_user_is_read(bench: Bench) -> None:
    bench.write("own.sh", "greeting=hello\n")
    cmd = 'echo "$greeting"\ntrue\nfalse\ntrue'
    ended = bench.shell(cmd, parse="text", shell="bash", args={"BASH_ENV": "own.sh"})
    assert ended.process is not None
    assert ended.process.stdout.text == "hello\n"
    assert failure_of(ended) == ("exit_code", "exit code 1, expected 0", (_E,))


def test_shell_python_is_the_interpreter_of_pytest_and_names_the_line(bench: Bench) -> None:
    cmd = "import os, sys\nprint(sys.executable, os.environ['A'], sys.stdin.read())\n1/0\nprint(2)"
    ended = bench.shell(cmd, parse="text", shell="python", args={"A": "x"}, stdin="in")

    assert ended.process is not None
    assert ended.process.stdout.text == f"{sys.executable} x in\n"
    assert failure_of(ended) == ("exit_code", "exit code 1, expected 0; line 3 of cmd: 1/0", ())
    assert bench.shell("import sys; sys.exit(0)", parse="text", shell="python").failure is None
    assert failure_of(bench.shell("import sys\nsys.exit(3)", parse="text", shell="python")) == (
        "exit_code",
        "exit code 3, expected 0",
        (),
    )


@pytest.mark.parametrize(
    "frame",
    ['  File "<string>", line 2, in f', '  File \x1b[35m"<string>"\x1b[0m, line \x1b[35m2\x1b[0m'],
)
def test_a_traceback_of_python_names_the_line_in_colours_too(frame: str) -> None:
    step = ShellStep(name="a", cmd="one\ntwo", shell="python")
    assert FailingLine(step, 1, f"{frame}\nError: no", "").text == "line 2 of cmd: two"


def test_a_shell_that_is_a_list_receives_the_path_of_the_script(
    bench: Bench, scratch: Path
) -> None:
    bench.write("bin/run", """#!/bin/sh\nprintf '%s|%s|' "$PWD" "$1"\nshift\ncat "$1" -\n""", 0o755)
    (bench.root / "sub").mkdir()
    cmd = "it's\n$HOME " + "x" * 200_000
    keys: dict[str, Any] = {"shell": ["bin/run", "a b"], "stdin": "<in>", "cwd": "sub"}
    ended = bench.shell(cmd, parse="text", **keys)

    assert ended.failure is None
    assert ended.process is not None
    log = ended.process.stdout.log
    assert log is not None
    wanted = f"{bench.root}/sub|a b|{cmd}<in>"
    assert Path(log).read_text(encoding="utf-8") == wanted
    assert ended.process.argv == (f"{bench.root}/bin/run", "a b", "{script}")
    assert list(scratch.iterdir()) == []
    short = bench.shell("it's\n$HOME", parse="text", **keys, args={"A": "1"})
    assert short.process is not None
    again = subprocess.run(
        short.process.alone, shell=True, cwd=bench.root, capture_output=True, text=True, check=True
    )
    assert again.stdout == short.process.stdout.text
    assert list(scratch.iterdir()) == []


def test_a_shell_that_is_a_list_ends_with_the_exit_code_of_its_program(bench: Bench) -> None:
    assert bench.shell("false\ntrue", parse="text", shell=["sh"]).failure is None
    ended = bench.shell("false\ntrue", parse="text", shell=["sh", "-e"])
    assert failure_of(ended) == ("exit_code", "exit code 1, expected 0", ())


@pytest.mark.parametrize("words", [["sh", "-e"], ["bash", "-eu"], ["/bin/dash", "-o", "errexit"]])
def test_a_shell_that_is_a_list_reports_a_missing_program_with_its_line(
    words: list[str], bench: Bench, scratch: Path
) -> None:
    del scratch
    ended = bench.shell("true\nno-such-x -D\necho flashed", parse="text", shell=words)

    kind, reason, detail = failure_of(ended) or ("", "", ())
    assert (kind, detail) == ("not_found", (at(2),))
    start = f"exit code 127: a program was not found: {words[0]}: line 2: no-such-x: "
    assert reason.startswith(start)
    assert reason.endswith("not found; line 2 of cmd: no-such-x -D")


@pytest.mark.parametrize(
    ("words", "stderr", "number"),
    [
        (("busybox", "sh", "-e"), "/tmp/o/x.script: line 2: a: not found", 2),
        (("zsh", "-e"), "/tmp/o/x.script:2: command not found: a", 2),
        (("mksh", "-e"), "/tmp/tmp.Ab3[2]: a: not found", 2),
        (("bash", "-e"), "/home/me/lib.sh: line 2: a: command not found", None),
        (("node",), "/tmp/o/x.script:2: a not found", None),
    ],
)
def test_the_messages_of_other_shells_name_the_line(
    words: tuple[str, ...], stderr: str, number: int | None
) -> None:
    step = ShellStep(name="a", cmd="one\ntwo\nthree", shell=words)
    text = FailingLine(step, 127, stderr, "").text
    assert text == ("" if number is None else "line 2 of cmd: two")


@pytest.mark.parametrize(
    ("keys", "program"),
    [
        ({"shell": "bash", "args": {"PATH": "/nowhere"}}, "bash"),
        ({"shell": ["no-such-shell", "-e"]}, "no-such-shell"),
        ({"shell": ["no-such-shell"], "success": {"exit_code": "nonzero"}}, "no-such-shell"),
        ({"shell": ["no-such-shell"], "skip_exit_code": 127}, "no-such-shell"),
    ],
)
def test_a_missing_shell_is_reported_as_not_found(
    keys: dict[str, Any], program: str, bench: Bench
) -> None:
    ended = bench.shell("true", parse="text", **keys)
    width = len(program) + 2 if isinstance(keys["shell"], str) else None
    assert ended.skipped is None
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.reason) == (
        "not_found",
        f"shell {program} was not found",
    )
    place = ended.failure.place
    assert place is not None
    assert (place.line, place.column) == (6, 12)
    assert width is None or place.length == width


def test_only_a_line_without_a_shell_is_executed_directly(bench: Bench) -> None:
    bench.write("bin/x", "#!/bin/sh\n", 0o755)
    (bench.root / "sub").mkdir()

    def failure_kind(**keys: Any) -> str | None:
        failure = bench.shell("bin/x", parse="text", cwd="sub", **keys).failure
        return None if failure is None else failure.kind

    assert failure_kind() is None, "relative to the rootdir"
    assert failure_kind(shell="sh") == "not_found", "relative to the working directory"


@pytest.mark.parametrize(
    ("code", "keys", "outcome"),
    [
        (77, {"skip_exit_code": 77}, (None, "exit code 77: cold")),
        (3, {"success": {"exit_code": "nonzero"}}, (None, None)),
        (3, {"success": {"exit_code": [0, 3]}}, (None, None)),
        (
            4,
            {"success": {"exit_code": 3}},
            ("exit code 4, expected 3; line 2 of cmd: (exit 4)", None),
        ),
    ],
)
def test_a_failing_line_may_have_the_wanted_exit_code(
    code: int, keys: dict[str, Any], outcome: tuple[str | None, str | None], bench: Bench
) -> None:
    ended = bench.shell(f"echo cold >&2\n(exit {code})\ntrue", parse="text", shell="bash", **keys)
    assert (ended.failure and ended.failure.reason, ended.skipped) == outcome


def test_an_expression_is_one_word_in_a_named_shell(bench: Bench) -> None:
    text = """
vars: {x: "a  b; $(touch hacked) 'c'"}
steps:
  - {name: s, type: shell, shell: bash, parse: text, cmd: CMD}
""".replace("CMD", '"[[ ${{ vars.x }} == a* ]]\\nprintf %s ${{ vars.x }}"')
    result = bench.result(bench.recipe(text).step("s"))
    assert result.outcome == "passed"
    assert result.ended is not None
    assert result.ended.process is not None
    assert result.ended.process.stdout.text == "a  b; $(touch hacked) 'c'"
    assert not (bench.root / "hacked").exists()


@pytest.mark.parametrize("named", ["sh", "bash", "python"])
def test_a_script_that_is_too_large_for_a_word_is_reported(named: str, bench: Bench) -> None:
    failure = bench.shell(f"# {'x' * 140_000}\n", parse="text", shell=named).failure
    assert failure == Failure(
        kind="validation",
        reason=(
            "the command line has 140,003 bytes; 128 KiB are the most for one: "
            "hand it over by stdin"
        ),
        place=Place(4, 10, 140_006),
    )


def test_a_script_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    step = ShellStep(name="a", cmd="x", shell=("node",))
    files = ScriptFiles(step, f"{tmp_path}/none/x")
    with pytest.raises(FileNotFoundError):
        files.prepare(("node", "{script}"), dict(os.environ))
    files.remove()


@pytest.mark.parametrize("named", [None, "bash", ("node", "-x")])
def test_a_worker_receives_the_shell(named: str | tuple[str, ...] | None) -> None:
    step = ShellStep(name="a", cmd="x", shell=named, at={"cmd": Place(1, 1)})
    received = pickle.loads(pickle.dumps(needed_by_worker(step)))
    assert isinstance(received, ShellStep)
    assert received.shell == named
