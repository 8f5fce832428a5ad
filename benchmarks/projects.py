"""Generated projects for the benchmarks: recipes of no-op steps, and tests to compare them with.

A project is a mapping of path to text; only `write` writes to the disk.
"""

from collections.abc import Callable
from pathlib import Path

Project = Callable[[str, int], dict[str, str]]
"""Function that returns the files of a project for the name of a file and a number of steps."""

INI = "[pytest]\n"

NOOP_PY = """\
def noop(params):
    return {"status": "ok"}
"""

SLOW_PY = f"""\
import time

end = time.process_time() + 0.2
while time.process_time() < end:
    pass


{NOOP_PY}"""

NOOP_SH = """\
#!/bin/sh
echo '{"status": "ok"}'
"""

SAMPLE_SH = Path(__file__).parents[1] / "scriptlets/shell/sample.sh"

BARE_CONFTEST = """\
import pytest


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".noop":
        return NoopFile.from_parent(parent, path=file_path)


class NoopFile(pytest.File):
    def collect(self):
        for name in self.path.read_text().split():
            yield NoopItem.from_parent(self, name=name)


class NoopItem(pytest.Item):
    def runtest(self):
        pass

    def reportinfo(self):
        return self.path, 0, self.name
"""

SUBPROCESS_HEAD = """\
import json
import subprocess
"""

SUBPROCESS_TEST = """

def test_{name}():
    done = subprocess.run(["./noop.sh"], capture_output=True, check=True, timeout=3600)
    assert json.loads(done.stdout)["status"] == "ok"
"""

FUNCTION_TEST = """

def test_{name}():
    assert noop({{}})["status"] == "ok"
"""


LARGE_CONFTEST = """\
HELD = b"x" * 300_000_000
"""
SUBMITTED_HEAD = """\
import pytest

from noop import noop


@pytest.fixture(scope="module")
def client():
    import distributed

    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            yield client
"""

SUBMITTED_TEST = """

def test_{name}(client):
    assert client.submit(noop, {{}}, pure=False).result()["status"] == "ok"
"""

UNKEPT_CONFTEST = """\
from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
from pytest_orchestrator.runs.journal.writer import Journal


def nothing(*_):
    pass


for kind, names in (
    (Journal, ("append", "sync")),
    (JournalRecorder, ("happened", "changed", "record_start", "update_block")),
):
    for name in names:
        getattr(kind, name)  # an error if the method has another name now
        setattr(kind, name, nothing)
"""


def step_names(steps: int) -> list[str]:
    return [f"s{number:05}" for number in range(1, steps + 1)]


def _recipe(steps: int, keys: str) -> str:
    lines = [f"  - {{name: {name}, {keys}}}\n" for name in step_names(steps)]
    return "version: 1\nsteps:\n" + "".join(lines)


def _recipe_python(file: str, steps: int) -> dict[str, str]:
    recipe = _recipe(steps, "type: python, module: noop, function: noop")
    return {"noop.py": NOOP_PY, f"recipes/{file}.yaml": recipe}


def _recipe_shell(file: str, steps: int) -> dict[str, str]:
    recipe = _recipe(steps, "type: shell, cmd: ./noop.sh")
    return {"noop.sh": NOOP_SH, f"recipes/{file}.yaml": recipe}


def _recipe_both(file: str, steps: int) -> dict[str, str]:
    keys = ("type: python, module: noop, function: noop", "type: shell, cmd: ./noop.sh")
    lines = [
        f"  - {{name: {name}, {keys[number % 2]}}}\n"
        for number, name in enumerate(step_names(steps))
    ]
    recipe = "version: 1\nsteps:\n" + "".join(lines)
    return {"noop.py": NOOP_PY, "noop.sh": NOOP_SH, f"recipes/{file}.yaml": recipe}


def _recipe_slow_import(file: str, steps: int) -> dict[str, str]:
    return _recipe_python(file, steps) | {"noop.py": SLOW_PY}


def _recipe_inline(file: str, steps: int) -> dict[str, str]:
    keys = "type: python, module: noop, function: noop, isolation: inline"
    return _recipe_python(file, steps) | {f"recipes/{file}.yaml": _recipe(steps, keys)}


COUNTING_PY = """\
def counting(ctx, params):
    ctx.set("bench.count", (ctx.get("bench.count") or 0) + 1)
    return {"status": "ok"}
"""


def _recipe_context(file: str, steps: int) -> dict[str, str]:
    recipe = _recipe(steps, "type: python, module: counting, function: counting")
    return {"counting.py": COUNTING_PY, f"recipes/{file}.yaml": recipe}


SETTING_PY = """\
def setting(ctx, params):
    ctx.set("bench.volts", 11.9)
    ctx.set("bench.channel", {"number": 1, "verdict": "pass"})
    return {"status": "ok"}
"""


def _recipe_setting(file: str, steps: int) -> dict[str, str]:
    keys = "type: python, module: setting, function: setting, isolation: inline"
    return {"setting.py": SETTING_PY, f"recipes/{file}.yaml": _recipe(steps, keys)}


def _recipe_sample(file: str, steps: int) -> dict[str, str]:
    recipe = _recipe(steps, "type: shell, cmd: ./sample.sh, args: {ECHO_TEXT: Hi there}")
    return {"sample.sh": SAMPLE_SH.read_text(encoding="utf-8"), f"recipes/{file}.yaml": recipe}


def _recipe_apart(file: str, steps: int) -> dict[str, str]:
    recipe = _recipe(steps, "type: python, module: noop, function: noop, needs: []")
    return {"noop.py": NOOP_PY, f"recipes/{file}.yaml": recipe}


def _submitted(file: str, steps: int) -> dict[str, str]:
    tests = (SUBMITTED_TEST.format(name=name) for name in step_names(steps))
    return {"noop.py": NOOP_PY, f"test_{file}.py": SUBMITTED_HEAD + "".join(tests)}


def _unkept(file: str, steps: int) -> dict[str, str]:
    return _recipe_python(file, steps) | {"conftest.py": UNKEPT_CONFTEST}


def _large(of: Project) -> Project:
    return lambda file, steps: of(file, steps) | {"conftest.py": LARGE_CONFTEST}


def _bare(file: str, steps: int) -> dict[str, str]:
    return {"conftest.py": BARE_CONFTEST, f"{file}.noop": "\n".join(step_names(steps))}


def _function(file: str, steps: int) -> dict[str, str]:
    tests = (FUNCTION_TEST.format(name=name) for name in step_names(steps))
    return {"noop.py": NOOP_PY, f"test_{file}.py": "from noop import noop\n" + "".join(tests)}


def _subprocess(file: str, steps: int) -> dict[str, str]:
    tests = (SUBPROCESS_TEST.format(name=name) for name in step_names(steps))
    return {"noop.sh": NOOP_SH, f"test_{file}.py": SUBPROCESS_HEAD + "".join(tests)}


def _empty(file: str, steps: int) -> dict[str, str]:
    tests = (f"def test_{name}():\n    pass\n" for name in step_names(steps))
    return {f"test_{file}.py": "\n\n".join(tests)}


KINDS: dict[str, Project] = {
    "recipe-python": _recipe_python,
    "recipe-shell": _recipe_shell,
    "recipe-both": _recipe_both,
    "recipe-inline": _recipe_inline,
    "recipe-sample": _recipe_sample,
    "recipe-context": _recipe_context,
    "recipe-setting": _recipe_setting,
    "recipe-slow-import": _recipe_slow_import,
    "recipe-unkept": _unkept,
    "recipe-apart": _recipe_apart,
    "submitted": _submitted,
    "recipe-shell-large": _large(_recipe_shell),
    "recipe-python-large": _large(_recipe_python),
    "recipe-inline-large": _large(_recipe_inline),
    "bare-item": _bare,
    "function": _function,
    "subprocess": _subprocess,
    "empty": _empty,
}


def project(kind: str, *, steps: int, files: int = 1) -> dict[str, str]:
    """Return the files of a project.

    Args:
        kind: One of `KINDS`.
        steps: Number of steps, items or tests in each file.
        files: Number of files of this kind.

    Returns:
        The text of each file by its path.
    """
    texts = {"pytest.ini": INI}
    for number in range(files):
        texts |= KINDS[kind](f"f{number:04}", steps)
    return texts


def write(texts: dict[str, str], folder: Path) -> None:
    """Write a project into a folder; make shell scripts executable.

    Args:
        texts: The return value of `project`.
        folder: An empty folder.
    """
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
