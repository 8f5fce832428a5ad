"""The commands, recipes and code of the old guide, which must work after paths are replaced.

`old_guide.md` is the unchanged text of the guide; `PATHS` lists all replacements.
docs/how-to/from-the-old-guide.md lists all other differences.
"""

import ast
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_orchestrator.recipe.analysis.source_files import Module
from pytest_orchestrator.scriptlets.discovery import module_notes, sections

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "from-the-old-guide.md"
PATHS = {
    "python orchestrator/runner.py": "pytest-orchestrator run",
    "orchestrator.scriptlets.python.core.base": "pytest_orchestrator",
    "orchestrator.scriptlets.python.core.logging": "pytest_orchestrator",
    "orchestrator.scriptlets.python.core.resource": "pytest_orchestrator",
    "orchestrator.scriptlets": "scriptlets",
    "orchestrator.context": "pytest_orchestrator",
    "orchestrator/scriptlets/": "scriptlets/",
    "orchestrator/recipes/": "recipes/",
    "orchestrator/Data/": "Data/",
    "orchestrator/Logs/": ".orchestrator/runs/latest/",
    "./update_state.sh": "scriptlets/shell/update_state.sh",
}
SHA256 = "982ec56694b9a155ac8ade74f422e35fcb1caa9daae30eb6b07d4deeb34cdec4"
PLUGINS = "-p no:randomly -p no:hypothesispytest -p no:cacheprovider"


def mapped(text: str) -> str:
    for old, new in PATHS.items():
        text = text.replace(old, new)
    return text


class Block(NamedTuple):
    """A block of code of a chapter; the numbers restart in each chapter."""

    chapter: int
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.chapter}.{self.number}"


def blocks() -> Iterator[Block]:
    chapter = number = 0
    guide = (ROOT / "tests" / "samples" / "old_guide.md").read_text(encoding="utf-8")
    for found in re.finditer(
        r"^## (\d+)\. |^```(\w*)\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL
    ):
        if found[1]:
            chapter, number = int(found[1]), 0
        else:
            number += 1
            yield Block(chapter, number, found[2], mapped(found[3]))


GUIDE = {one.name: one for one in blocks()}
FILES = {
    "8.1": "scriptlets/python/steps/compute_message_length.py",
    "9.1": "scriptlets/shell/count-lines.sh",
}
"""Files whose text is in the guide; the samples have files of the same names."""
RECIPES = ("5.1", "8.2", "9.2", "10.1")
COMMANDS = ("0.1", "5.2", "6.2", "7.1", "10.2", "11.3", "25.1")
SHOWN = ("2.1", "4.1", "5.3", "6.1", "6.3", "11.1", "11.2", "12.1", "12.2", "13.1")
TEMPLATES = ("20.1", "20.2", "20.3")


def text(name: str) -> str:
    return GUIDE[name].text


class Bench:
    """Project with the shipped samples, or with the files of the guide."""

    def __init__(self, path: Path, *, own: bool) -> None:
        self.path = path
        for folder in ("python/steps", "shell"):
            (path / "scriptlets" / folder).mkdir(parents=True)
        names = ["python/steps/sample_step.py", "python/steps/compute_message_length.py"]
        names += ["shell/sample.sh", "shell/count-lines.sh", "shell/update_state.sh"]
        for name in names:
            shutil.copy(ROOT / "scriptlets" / name, path / "scriptlets" / name)
        for name in ("example", "demo_metrics"):
            self.write(f"recipes/{name}.yaml", (ROOT / f"recipes/{name}.yaml").read_text())
        self.write("pyproject.toml", "[tool.pytest.ini_options]\n")
        self.write("Data/file.txt", "one\ntwo\n")
        for block, name in FILES.items() if own else ():
            self.write(name, text(block))
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = os.environ | {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}

    def write(self, name: str, content: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if name.endswith(".sh"):
            path.chmod(0o755)
        return path

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-eu", "-c", command],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture(params=["shipped", "of the guide"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, own=request.param == "of the guide")


@pytest.fixture
def written(tmp_path: Path) -> Bench:
    return Bench(tmp_path, own=True)


@pytest.fixture
def shipped(tmp_path: Path) -> Bench:
    return Bench(tmp_path, own=False)


def test_every_block_of_the_guide_is_tested() -> None:
    tested = [*FILES, *RECIPES, *COMMANDS, *SHOWN, *TEMPLATES]

    assert sorted(tested) == sorted(GUIDE)


def test_every_path_of_the_guide_is_replaced() -> None:
    left = re.compile(r"(?<![.-])\borchestrator[./]\w+")
    tested = [one for one in GUIDE.values() if one.name != "2.1"]

    assert [(one.name, left.findall(one.text)) for one in tested if left.search(one.text)] == []


def test_every_file_of_the_guide_has_its_row_in_the_page() -> None:
    page = PAGE.read_text()
    named = re.findall(r"[\w-]+\.(?:py|sh|yaml)\b", text("2.1"))

    assert len(named) == 13
    assert [name for name in named if name not in page] == []


def test_the_text_of_the_guide_is_unchanged() -> None:
    guide = (ROOT / "tests" / "samples" / "old_guide.md").read_bytes()

    assert hashlib.sha256(guide).hexdigest() == SHA256


def test_the_page_replaces_the_folder_of_logs_as_these_tests_do() -> None:
    (row,) = re.findall(r"^\| `orchestrator/Logs/` \| `([^`]+)`", PAGE.read_text(), re.MULTILINE)

    assert row == PATHS["orchestrator/Logs/"]


def as_recipe(block: str) -> str:
    return block if block.startswith(("steps:", "#")) else f"steps:\n{block}"


def test_the_recipes_of_the_guide_pass(shipped: Bench) -> None:
    paths = {name: f"recipes/mine{name}.yaml" for name in RECIPES}
    for name, path in paths.items():
        shipped.write(path, as_recipe(text(name)))

    done = shipped.run(f"pytest-orchestrator run --recipe {' --recipe '.join(paths.values())}")

    assert done.returncode == 0, done.stdout
    assert done.stderr.endswith("| INFO | runner | Pipeline complete\n")
    assert "6 passed" in done.stdout


def steps_of(lines: str) -> list[tuple[str, Any]]:
    """Return each log line of a runner without its time, as its text and the output in it."""
    found = re.findall(r"INFO \|(?: runner \|)? (.*?)(?: \.\.\.)?$", lines, re.MULTILINE)
    cut = [re.fullmatch(r"(Step \w+ output: )(\{.*\})|(.*)", one) for one in found]
    return [(one[1] or one[3], ast.literal_eval(one[2] or "None")) for one in cut if one]


def test_the_runner_logs_what_the_guide_shows(shipped: Bench) -> None:
    assert text("0.1") == text("5.2")
    done = shipped.run(text("0.1"))
    shipped.write("recipes/example.yaml", text("5.1"))
    again = shipped.run(text("5.2"))

    assert (done.returncode, again.returncode) == (0, 0)
    assert steps_of(done.stderr) == steps_of(again.stderr) == steps_of(text("5.3"))
    assert len(steps_of(text("5.3"))) == 5


def test_the_recipe_of_two_scriptlets_writes_both_values(written: Bench) -> None:
    written.write("recipes/demo_metrics.yaml", text("10.1"))

    done = written.run(text("10.2"))

    assert done.returncode == 0, done.stdout
    context = json.loads((written.path / ".orchestrator/runs/latest/context.json").read_text())
    assert context["values"] == {
        "sample.message_v1": "Hello World",
        "metrics.message_length_v1": 11,
    }


def test_the_python_sample_prints_what_the_guide_shows(shipped: Bench) -> None:
    done = shipped.run(text("6.2"))

    assert (done.returncode, done.stdout) == (0, text("6.3"))


def test_the_class_of_the_guide_runs_as_it_is_printed(shipped: Bench) -> None:
    head = "from pytest_orchestrator import BaseScriptlet, track_resources\n\n"
    shipped.write("scriptlets/python/steps/sample_step.py", head + text("6.1"))

    done = shipped.run(text("5.2"))

    assert done.returncode == 0, done.stdout
    assert steps_of(done.stderr) == steps_of(text("5.3"))


def test_the_shell_sample_prints_what_the_guide_shows(shipped: Bench) -> None:
    command, _, shown = text("7.1").partition("\n# ")

    assert shipped.answer(command) == shown.strip()


def test_the_python_scriptlet_matches_its_docstring(bench: Bench) -> None:
    section_texts = sections(ast.get_docstring(ast.parse(text("8.1"))) or "")

    assert section_texts["NAME"] == "compute_message_length.py"
    printed = bench.answer(section_texts["USAGE"])
    assert json.loads(printed) == json.loads(section_texts["RETURNS"])


def test_the_shell_scriptlet_matches_its_header(bench: Bench) -> None:
    header = dict(re.findall(r"^# (\w+): (.*)$", text("9.1"), re.MULTILINE))

    assert bench.answer(header["USAGE"]) == header["RETURNS"].replace("<int>", "2")
    missing = bench.run(header["USAGE"].replace("file.txt", "none.txt"))
    assert (missing.returncode, missing.stdout) == (
        1,
        '{"status":"error","reason":"missing file"}\n',
    )
    unset = bench.run("scriptlets/shell/count-lines.sh")
    assert unset.returncode == 1
    assert "missing INPUT" in unset.stderr


def test_the_scriptlet_of_the_guide_keeps_the_conventions(tmp_path: Path) -> None:
    path = tmp_path / "compute_message_length.py"
    path.write_text(text("8.1"))

    assert list(module_notes(Module(path), path.name)) == []


def test_the_tests_of_the_guide_pass(written: Bench) -> None:
    head = "from pytest_orchestrator import Context\n"
    head += "from scriptlets.python.steps.sample_step import SampleStep\n\n\n"
    written.write("tests/test_sample_step.py", head + text("11.1") + "\n\n" + text("11.2"))

    done = written.answer(text("11.3"))

    assert re.search(r"^7 passed", done, re.MULTILINE), done


def test_the_context_answers_as_the_guide_shows(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(text("4.1"), "old_guide.md", "exec"), {})

    value, history = capsys.readouterr().out.splitlines()
    shown = re.findall(r"# (.*)", text("4.1"))
    (change,) = ast.literal_eval(history)
    (wanted,) = ast.literal_eval(shown[1].replace("...", "''"))
    assert value == shown[0]
    assert {name: change[name] for name in wanted} == wanted | {"ts": change["ts"]}


def test_resources_are_logged_as_the_guide_shows(bench: Bench) -> None:
    form = text("12.2").strip().replace("YYYY-MM-DDTHH:MM:SS", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
    form = (
        form.replace(" | ", r" \| ").replace("LEVEL", r"[A-Z]+").replace("module.name", r"[\w.]+")
    )
    wanted = json.loads(text("12.1"))
    commands = [text("6.2"), sections(text("8.1").split('"""')[1])["USAGE"]]

    for command in commands:
        logged = bench.run(command).stderr.splitlines()
        pattern = re.compile(form.replace("message", "(.*)"))
        messages = [match[1] for line in logged if (match := pattern.fullmatch(line))]
        assert len(messages) == len(logged)
        (record,) = (json.loads(one) for one in messages if one.startswith("{"))
        assert list(record) == list(wanted)
        assert (record["metric"], record["function"]) == ("resource_usage", "run")
        assert [type(record[name]) for name in wanted] == [type(one) for one in wanted.values()]


@pytest.fixture
def served(shipped: Bench) -> Iterator[Bench]:
    """Serve the Context of a project."""
    command = [str(Path(sys.executable).parent / "pytest-orchestrator"), "serve"]
    with subprocess.Popen(
        command, cwd=shipped.path, env=shipped.env, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("the Context is served at ")
        yield shipped
        server.terminate()


def test_the_context_is_used_from_a_shell_as_the_guide_shows(served: Bench) -> None:
    printed = served.answer(text("13.1"))
    state = "scriptlets/shell/update_state.sh"

    assert printed.splitlines() == ['{"name":"Alice"}', "[1,2]", '{"data.numbers":[1,2]}']
    assert served.answer(f"{state} pop data.numbers 0 && {state} pop data.numbers") == "1\n2"
    assert served.answer(f"{state} full") == '{"data.numbers":[]}'


def cheat_sheet() -> dict[str, str]:
    guide = (ROOT / "tests" / "samples" / "old_guide.md").read_text(encoding="utf-8")
    chapter = guide.partition("## 19. ")[2].partition("## 20. ")[0]
    rows = re.findall(r"^\| (\w[^|]+) \| `([^`]+)` \|$", chapter, re.MULTILINE)
    return {task: mapped(command) for task, command in rows}


def test_the_commands_of_the_cheat_sheet_work(served: Bench) -> None:
    printed = {task: served.answer(command) for task, command in cheat_sheet().items()}

    assert len(printed) == 6
    assert json.loads(printed["Run Python scriptlet"])["recorded_key"] == "sample.message_v1"
    assert printed["Run shell scriptlet"] == '{"status":"ok","echo":"Hi"}'
    assert printed["Get context key"] == "42"
    assert "5 passed" in printed["Execute tests"]


def test_the_five_commands_of_the_quick_start_work(written: Bench) -> None:
    printed = written.answer(text("25.1"))

    assert ".orchestrator/runs/latest/journal.jsonl:" in printed
    answers = re.findall(r'^\{"status".*\}$', printed, re.MULTILINE)
    assert [json.loads(one) for one in answers] == [
        {"status": "ok", "recorded_key": "sample.message_v1"},
        {"status": "ok", "key": "metrics.message_length_v1", "length": 4},
    ]
    assert "5 passed" in printed


def filled(template: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        assert name in template
        template = template.replace(name, value)
    return template


def test_the_templates_of_the_guide_work_unchanged(shipped: Bench) -> None:
    head = "from pytest_orchestrator import BaseScriptlet, track_resources\n\n"
    shipped.write("path/to/step.py", head + filled(text("20.1"), {"<CamelCase>": "StepClass"}))
    shipped.write("mine.sh", text("20.2"))
    shipped.write("recipes/mine.yaml", text("20.3"))

    assert shipped.answer("./mine.sh") == '{"status":"ok"}'
    done = shipped.run("pytest recipes/mine.yaml")
    assert done.returncode == 1
    assert "StepClass.run returned None; return a mapping with a status" in done.stdout


MODULE = "scriptlets.python.steps.trouble"
SYMPTOMS = {
    "`Value ... not JSON-serializable`": (
        f"type: python, module: {MODULE}, function: no_json",
        "is a set, which JSON does not have; use a sorted list",
    ),
    "`ModuleNotFoundError` for new step": (
        f"type: python, module: {MODULE}_, function: x",
        f"no module '{MODULE}_' (did you mean '{MODULE}'?)",
    ),
    "Shell step returns `status:error`": (
        "type: shell, cmd: exit 3",
        "exit code 3, expected 0",
    ),
    "Missing key in downstream step": (
        f"type: python, module: {MODULE}, function: no_key",
        "no key 'dut.serial_v1' in the context; it is empty",
    ),
    "Empty stdout from scriptlet": (
        "type: shell, cmd: 'true'",
        "stdout is empty; one JSON object is expected",
    ),
}


def test_the_symptoms_of_the_guide_are_reported(shipped: Bench) -> None:
    guide = (ROOT / "tests" / "samples" / "old_guide.md").read_text(encoding="utf-8")
    chapter = guide.partition("## 16. ")[2].partition("## 17. ")[0]
    page = PAGE.read_text(encoding="utf-8")
    steps = [
        f"- {{name: s{at}, needs: [], {step}}}" for at, (step, _) in enumerate(SYMPTOMS.values())
    ]
    shipped.write(
        "scriptlets/python/steps/trouble.py",
        'def no_json(ctx, params):\n    ctx.set("dut.serial_v1", {1}, who="me")\n'
        'def no_key(ctx, params):\n    ctx.delete("dut.serial_v1")\n',
    )
    shipped.write("recipes/mine.yaml", "\n".join(["steps:", *steps]))

    shown = shipped.run("COLUMNS=300 pytest recipes/mine.yaml").stdout.splitlines()

    assert re.findall(r"^\| (?!Symptom)(\w[^|]+|`[^|]+) \|", chapter, re.MULTILINE) == list(
        SYMPTOMS
    )
    assert [one for one in SYMPTOMS if f"| {one} |" not in page] == []
    for at, (_, message) in enumerate(SYMPTOMS.values()):
        (line,) = (one for one in shown if one.startswith(f"FAILED recipes/mine.yaml::s{at} "))
        assert line.endswith(message)


def test_the_commands_that_the_guide_planned_exist(shipped: Bench) -> None:
    listed = shipped.answer(mapped("python orchestrator/runner.py --list-steps"))

    assert "SampleStep(message)  class" in listed
    assert shlex.split(text("0.1"))[0] == "pytest-orchestrator"
