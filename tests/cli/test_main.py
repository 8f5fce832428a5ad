"""The command line as a whole: verbs, help, mistakes, exits."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_orchestrator import Context, __version__
from pytest_orchestrator.cli.main import known_verbs
from pytest_orchestrator.cli.verbs.ctx import QUESTIONS
from pytest_orchestrator.context.rpc.server import Server
from tests.cli.conftest import Project
from tests.runs.built import Runs

SERVED = ("ctx", "monitor", "serve")  # one asks a session that goes on, the others go on themselves
ROOT = Path(__file__).parents[2]
VERBS = known_verbs()
RUN = re.compile(r"^\S+ \| INFO \| runner \| .+\n", re.MULTILINE)
USAGE = "usage: pytest-orchestrator [-h] [--version] VERB ...\n"


def test_a_mistyped_verb_gets_the_nearest_one(project: Project) -> None:
    assert project.call("validat") == (
        2,
        "",
        f"{USAGE}pytest-orchestrator: error: no verb 'validat' (did you mean 'validate'?)\n",
    )


def test_a_verb_that_is_near_none_gets_them_all(project: Project) -> None:
    assert f"no verb 'xyz'; there is {', '.join(VERBS)}\n" in project.call("xyz").err


def test_a_mistyped_option_gets_the_nearest_one(project: Project) -> None:
    told = project.call("validate", "--jsn")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(
        "pytest-orchestrator validate: error: no option '--jsn' (did you mean '--json'?)\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--versio",
            "pytest-orchestrator: error: no option '--versio' (did you mean '--version'?)",
        ),
        ("new stp", "pytest-orchestrator new: error: no word 'stp' (did you mean 'step'?)"),
        ("new xyz", "pytest-orchestrator new: error: no word 'xyz'; there is step, recipe"),
        (
            "ctx hstory a",
            "pytest-orchestrator ctx: error: no word 'hstory' (did you mean 'history'?)",
        ),
        ("runs prun", "pytest-orchestrator runs: error: no word 'prun' (did you mean 'prune'?)"),
    ],
)
def test_a_mistyped_word_gets_the_nearest_one(words: str, said: str, project: Project) -> None:
    told = project.call(*words.split())
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(f"{said}\n")


def test_an_argument_too_many_is_refused(project: Project) -> None:
    assert project.call("schema", "recipe", "b").err.endswith("error: one argument too many: 'b'\n")


def test_no_verb_is_a_mistake(project: Project) -> None:
    told = project.call()
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(
        f"error: name a verb: {', '.join(VERBS)}; --help tells what each does\n"
    )


def test_the_version_is_told(project: Project) -> None:
    assert project.call("--version") == (0, f"pytest-orchestrator {__version__}\n", "")


def test_help_has_all_verbs_each_with_a_sentence(project: Project) -> None:
    told = project.call("--help")
    assert (told.code, told.err) == (0, "")
    assert {found[1] for found in re.finditer(r"^    (\w+) +\w", told.out, re.MULTILINE)} == {
        *VERBS
    }


@pytest.mark.parametrize(
    "name",
    [*(name for name in VERBS if name not in SERVED), "new step", "new recipe"],
)
def test_help_of_a_verb_ends_with_an_example_that_works(
    name: str, project: Project, tmp_path: Path
) -> None:
    line = project.call(*name.split(), "--help").out.splitlines()[-1].strip()
    program, _, words = line.partition(" ")
    assert program == "pytest-orchestrator"
    assert words.startswith(name)
    Runs(tmp_path).history(1.0, 1.0)
    for folder in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    done = subprocess.run(
        f"{sys.executable} -m pytest_orchestrator {words}",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = "" if name != "run" else "".join(RUN.findall(done.stderr))
    assert (done.returncode, done.stderr) == (0, told)


def test_help_of_a_word_after_a_verb_ends_with_an_example_that_works(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Runs(project.path).history(1.0, 1.0)
    context = Context()
    context.set("metrics.mean_v1", 4.5)
    words = [f"ctx {word}" for word in (*QUESTIONS, "script")] + ["runs show", "runs prune"]
    with Server(context) as server:
        monkeypatch.setenv("ORCHESTRATOR_ADDRESS", server.address)
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", server.token)
        for one in words:
            line = project.call(*one.split(), "--help").out.splitlines()[-1].split()
            assert line[:3] == ["pytest-orchestrator", *one.split()]
            told = project.call(*line[1:])
            assert (told.code, told.err) == (0, ""), line


def test_an_output_that_nobody_reads_to_its_end_is_no_traceback(project: Project) -> None:
    command = f"{sys.executable} -m pytest_orchestrator schema | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_names_that_the_encoding_of_the_terminal_has_not_are_escaped(project: Project) -> None:
    project.write("scriptlets/b.py", "def é(ctx, params): params.get('x', len([]))\n")
    command = [sys.executable, "-m", "pytest_orchestrator", "steps"]
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=env, capture_output=True, check=True)
    assert done.stdout.startswith(b"\xe9(x=\\u2026)  function\n")


def test_a_verb_is_completed(project: Project) -> None:
    command = f"{sys.executable} -m pytest_orchestrator 8>&1 9>/dev/null >/dev/null 2>&1"
    line = "pytest-orchestrator val"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "validate"


def test_a_start_imports_neither_pytest_nor_recipes() -> None:
    command = "import sys; from pytest_orchestrator.cli.main import main\n"
    command += "try: main(['--help'])\nexcept SystemExit: pass\n"
    command += "print({'pytest', 'yaml', 'jinja2', 'msgspec', 'argcomplete'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"set()"
