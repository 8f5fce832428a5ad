"""The command line as a whole: commands, help, errors, exit codes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_orchestrator import Context, __version__
from pytest_orchestrator.cli.main import known_verbs
from pytest_orchestrator.cli.verbs.ctx import OPERATIONS
from pytest_orchestrator.context.rpc.server import Server
from tests.cli.conftest import Project
from tests.runs.built import Runs

# Their examples need a running server, or run until Ctrl-C.
SERVED = ("ctx", "monitor", "serve", "station")
ROOT = Path(__file__).parents[2]
VERBS = known_verbs()
RUN = re.compile(r"^\S+ \| INFO \| runner \| .+\n", re.MULTILINE)
USAGE = "usage: pytest-orchestrator [-h] [--version] COMMAND ...\n"


def test_mistyped_command_suggests_the_nearest(project: Project) -> None:
    assert project.call("validat") == (
        2,
        "",
        f"{USAGE}pytest-orchestrator: error: no command 'validat' (did you mean 'validate'?)\n",
    )


def test_unknown_command_lists_all_commands(project: Project) -> None:
    assert f"no command 'xyz'; there is {', '.join(VERBS)}\n" in project.call("xyz").err


def test_mistyped_option_suggests_the_nearest(project: Project) -> None:
    done = project.call("validate", "--jsn")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "pytest-orchestrator validate: error: no option '--jsn' (did you mean '--json'?)\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--versio",
            "pytest-orchestrator: error: no option '--versio' (did you mean '--version'?)",
        ),
        ("new stp", "pytest-orchestrator new: error: no command 'stp' (did you mean 'step'?)"),
        ("new xyz", "pytest-orchestrator new: error: no command 'xyz'; there is step, recipe"),
        (
            "ctx hstory a",
            "pytest-orchestrator ctx: error: no command 'hstory' (did you mean 'history'?)",
        ),
        ("runs prun", "pytest-orchestrator runs: error: no command 'prun' (did you mean 'prune'?)"),
    ],
)
def test_mistyped_subcommand_suggests_the_nearest(
    words: str, message: str, project: Project
) -> None:
    done = project.call(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"{message}\n")


def test_superfluous_argument_is_refused(project: Project) -> None:
    assert project.call("schema", "recipe", "b").err.endswith("error: one argument too many: 'b'\n")
    assert project.call("measurements", "latest").err.endswith(
        "error: one argument too many: 'latest' (say --run latest)\n"
    )


def test_missing_command_is_an_error(project: Project) -> None:
    done = project.call()
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"error: name a command: {', '.join(VERBS)}; --help describes them\n")


def test_version_is_printed(project: Project) -> None:
    assert project.call("--version") == (0, f"pytest-orchestrator {__version__}\n", "")


@pytest.mark.parametrize(("word", "imported"), [("--version", []), ("schema", ["schema"])])
def test_only_the_module_of_the_used_command_is_imported(word: str, imported: list[str]) -> None:
    code = (
        "import sys\nfrom pytest_orchestrator.cli.main import main\n"
        f"try:\n    main([{word!r}])\nexcept SystemExit:\n    pass\n"
        "start = 'pytest_orchestrator.cli.verbs.'\n"
        "names = [name[len(start):] for name in sys.modules if name.startswith(start)]\n"
        "print(names, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == f"{imported}\n"


def test_help_lists_all_commands_with_a_sentence(project: Project) -> None:
    done = project.call("--help")
    assert (done.code, done.err) == (0, "")
    assert {found[1] for found in re.finditer(r"^    (\w+)\s+\w", done.out, re.MULTILINE)} == {
        *VERBS
    }


@pytest.mark.parametrize(
    "name",
    [*(name for name in VERBS if name not in SERVED), "new step", "new recipe"],
)
def test_help_of_a_command_ends_with_a_working_example(
    name: str, project: Project, tmp_path: Path
) -> None:
    line = project.call(*name.split(), "--help").out.splitlines()[-1].strip()
    program, _, words = line.partition(" ")
    assert program == "pytest-orchestrator"
    assert words.startswith(name)
    Runs(tmp_path).history(1.0, 1.0)
    for folder in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "station.yaml", tmp_path)
    if name != "run" and ">" not in words:
        assert project.call(*words.split())[::2] == (0, "")
        return
    # `run` starts pytest, which needs a process of its own; a redirection needs a shell.
    done = subprocess.run(
        f"{sys.executable} -m pytest_orchestrator {words}",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    log = "" if name != "run" else "".join(RUN.findall(done.stderr))
    assert (done.returncode, done.stderr) == (0, log)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", VERBS)
def test_usage_of_a_command_fits_the_screen(
    name: str, columns: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    usage = project.call(name, "--help").out.partition("\n\n")[0]
    assert max(map(len, usage.splitlines())) <= columns


def test_usage_of_a_command_that_passes_arguments_on_is_wrapped_between_its_parts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert project.call("run", "--help").out.partition("\n\n")[0] == (
        "usage: pytest-orchestrator run [-h] [--recipe FILE]\n"
        "                               [options and arguments of pytest]"
    )


def test_help_of_a_subcommand_ends_with_a_working_example(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Runs(project.path).history(1.0, 1.0)
    context = Context()
    context.set("metrics.mean_v1", 4.5)
    words = [f"ctx {word}" for word in (*OPERATIONS, "script")] + ["runs show", "runs prune"]
    with Server(context) as server:
        monkeypatch.setenv("ORCHESTRATOR_ADDRESS", server.address)
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", server.token)
        for one in words:
            line = project.call(*one.split(), "--help").out.splitlines()[-1].split()
            assert line[:3] == ["pytest-orchestrator", *one.split()]
            done = project.call(*line[1:])
            assert (done.code, done.err) == (0, ""), line


def test_closed_output_pipe_prints_no_traceback(project: Project) -> None:
    command = f"{sys.executable} -m pytest_orchestrator schema | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_names_outside_of_the_terminal_encoding_are_escaped(project: Project) -> None:
    project.write("scriptlets/b.py", "def é(ctx, params): params.get('x', len([]))\n")
    command = [sys.executable, "-m", "pytest_orchestrator", "steps"]
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=env, capture_output=True, check=True)
    assert done.stdout.startswith(b"\xe9(x=\\u2026)  function\n")


def completed(line: str) -> list[str]:
    """Return the words that a shell offers at the end of a line."""
    command = f"{sys.executable} -m pytest_orchestrator 8>&1 9>/dev/null >/dev/null 2>&1"
    completion = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env=os.environ | completion | {"_ARGCOMPLETE_IFS": "\n"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [word.strip() for word in done.stdout.split("\n")]


def test_shell_completes_a_command(project: Project) -> None:
    assert completed("pytest-orchestrator val") == ["validate"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("init --ci ", ["github", "gitlab"]),
        ("new step --type ", ["python", "shell"]),
        ("new step x --type s", ["shell"]),
        ("measurements --format ", ["csv", "jsonl", "parquet"]),
        ("schema re", ["recipe", "report"]),
    ],
)
def test_shell_completes_fixed_words_and_no_files(
    line: str, words: list[str], project: Project
) -> None:
    for name in ("scriptlets", "recipes", "gitlab.d"):
        (project.path / name).mkdir()
    assert completed(f"pytest-orchestrator {line}") == words


@pytest.mark.parametrize("verb", ["run", "validate"])
def test_shell_completes_recipes_and_folders(verb: str, project: Project) -> None:
    project.write("recipes/a.yaml")
    project.write("recipes/b.yaml")
    assert completed(f"pytest-orchestrator {verb} rec") == ["recipes/"]
    offered = ["recipes/a.yaml", "recipes/b.yaml"]
    assert sorted(completed(f"pytest-orchestrator {verb} recipes/")) == offered


_AT_EACH_STEP = "`monitor` shows the Context before and after each step"
_IN_STATS = "`stats --html FILE` draws measurements over runs"


@pytest.mark.parametrize(
    ("words", "name", "instead"),
    [
        (
            "watch recipes/ -x",
            "watch",
            (
                "python -m pip install watchfiles, then: watchfiles 'pytest recipes/' recipes "
                "scriptlets"
            ),
        ),
        ("ctx diff a b", "ctx diff", "`compare A B` prints the keys that differ"),
        ("ctx who x", "ctx who", "`ctx history KEY` prints who changed a key"),
        ("ctx --run latest --before=a full", "ctx --before", _AT_EACH_STEP),
        ("ctx --after a", "ctx --after", _AT_EACH_STEP),
        ("new step a --minimal", "new --minimal", "the short form is the default"),
        (
            "new recipe a --schema url",
            "new --schema",
            "the first line of a recipe names recipe.schema.json if the project has it",
        ),
        (
            "runs --dut A --html a.html",
            "runs --html",
            "`stats --dut SERIAL --html FILE` writes a page",
        ),
        ("runs --trend -o a.svg", "runs -o", _IN_STATS),
        ("runs --trend --output=a.svg", "runs --output", _IN_STATS),
    ],
)
def test_a_command_or_option_of_an_earlier_version_names_its_replacement(
    project: Project, words: str, name: str, instead: str
) -> None:
    error = f"pytest-orchestrator: error: there is no '{name}' any more; {instead}\n"

    assert project.call(*words.split()) == (2, "", USAGE + error)


def test_start_imports_neither_pytest_nor_the_recipe_package() -> None:
    command = "import sys; from pytest_orchestrator.cli.main import main\n"
    command += "try: main(['--help'])\nexcept SystemExit: pass\n"
    command += "print({'pytest', 'yaml', 'jinja2', 'msgspec', 'argcomplete'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"set()"
