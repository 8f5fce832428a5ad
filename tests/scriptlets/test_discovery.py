"""Inventory of the scriptlets of a project."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.scriptlets.discovery import NAMES, discover
from pytest_orchestrator.scriptlets.model import Inventory, Scriptlet, Use, as_json, as_text
from tests.growth import TIMES, is_linear

STEP = '"""' + "\n".join(NAMES) + '\n"""\n' + "def step_{0}(ctx, params):\n    return params['x']\n"


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def discover(self) -> Inventory:
        return discover(self.root, sorted(self.root.glob("recipes/[!_]*.yaml")))

    def by_name(self) -> dict[str, Scriptlet]:
        return {scriptlet.name: scriptlet for scriptlet in self.discover().scriptlets}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_inventory_lists_scriptlet_folders_named_steps_and_subclasses(
    project: Project,
) -> None:
    project.write("scriptlets/a.py", "def one(ctx, params): pass\n")
    project.write("lib/scriptlets/deep/b", "#!/bin/sh\n")
    project.write("bench/c.py", "def two(ctx, params): pass\ndef three(ctx, params): pass\n")
    project.write("bench/d.py", "class E(BaseScriptlet):\n    def run(self, ctx, params): pass\n")
    project.write("tools/f.sh", "true\n")
    project.write("tools/g.sh", "true\n")
    project.write("scriptlets/test_a.py", "def test(ctx): pass\n")
    project.write("scriptlets/notes.txt", "text\n")
    project.write("venv/scriptlets/h.py", "def four(ctx, params): pass\n")
    project.write(
        "recipes/r.yaml",
        "steps:\n"
        "  - {name: x, type: python, module: bench.c, function: two}\n"
        "  - {name: y, type: shell, cmd: 'A=1 ./tools/f.sh | tee out', parse: text}\n"
        "  - {use: recipes/_part.yaml, name: p}\n",
    )
    project.write(
        "recipes/_part.yaml",
        "finally:\n  - name: z\n    type: shell\n    cmd: [tools/f.sh, hard]\n",
    )
    listed = project.by_name()
    assert sorted(listed) == ["E", "b", "f.sh", "one", "two"]
    assert listed["two"].uses == (Use("recipes/r.yaml", 2, "x"),)
    assert listed["f.sh"].uses == (Use("recipes/_part.yaml", 2, "z"), Use("recipes/r.yaml", 3, "y"))
    assert listed["one"].uses == ()


def test_a_file_that_cannot_be_read_is_listed_with_the_reason(project: Project) -> None:
    project.write("scriptlets/broken.py", "x = 1\ndef step(:\n")
    project.write("scriptlets/odd.py", "x = '\\d'\ndef step(ctx, params): pass\n")
    (project.root / "scriptlets/latin.py").write_bytes(b"# \xe9\n")
    project.write("scriptlets/deep.py", f"x = {'(' * 300}{')' * 300}\n")
    inventory = project.discover()
    assert [
        (scriptlet.name, scriptlet.kind, scriptlet.line)
        for scriptlet in inventory.scriptlets
        if scriptlet.error
    ] == [
        ("broken", "module", 2),
        ("deep", "module", 1),
        ("latin", "module", 1),
    ]
    assert inventory.scriptlets[0].error == "cannot be read: invalid syntax"
    errors = [(note.path, note.rule) for note in inventory.notes if note.severity == "error"]
    assert errors == [
        ("scriptlets/broken.py", "syntax"),
        ("scriptlets/deep.py", "syntax"),
        ("scriptlets/latin.py", "syntax"),
    ]
    assert inventory.has_error


def test_invalid_yaml_is_reported_and_wrong_recipes_are_still_read(project: Project) -> None:
    project.write("scriptlets/a.py", "def one(ctx, params): pass\n")
    project.write("recipes/bad.yaml", "steps: [\n")
    project.write(
        "recipes/wrong.yaml", "steps:\n  - {nam: x, module: scriptlets.a, function: one}\n"
    )
    inventory = project.discover()
    assert inventory.unread == ("recipes/bad.yaml",)
    assert inventory.scriptlets[0].uses == (Use("recipes/wrong.yaml", 2, ""),)


def test_five_hundred_files_are_listed_without_running_any(project: Project) -> None:
    for number in range(499):
        project.write(f"scriptlets/s{number}.py", STEP.format(number))
    project.write("scriptlets/ends.py", "import os\nos._exit(1)\ndef last(ctx, params): pass\n")

    assert len(project.by_name()) == 500


@pytest.mark.unmeasured
def test_a_long_function_is_read_in_linear_time(project: Project) -> None:
    def read(lines: str) -> None:
        project.write("scriptlets/long.py", f"def long(ctx, params):\n{lines}    return {{}}\n")
        assert [one.name for one in project.by_name()["long"].params] == ["x"]

    small, large = (
        "".join(f"    x{n} = params['x'] + {n}\n" for n in range(number))
        for number in (500, 500 * TIMES)
    )
    assert is_linear(read, small, large)


SOURCE = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                '"""NAME\n',
                '"""',
                "def f(ctx, params):\n",
                "class A(A, B[int], BaseScriptlet):\n",
                "    def run(self, *ctx, params=None): pass\n",
                "    params['x'].get(params.get())\n",
                "    ctx.set(); context.append(key=f'{1}')\n",
                "#!/bin/sh\n",
                "# USAGE\n#     A=1 B='x y' a.sh\n",
                "${A:-${B:?}}\n",
                "steps: [{name: [a], cmd: {b: c}, use: [x]}]\n",
                "steps: &a [*a]\n",
                "\x00\ufeff\t",
            ]
        )
    ).map("".join),
)


@given(python=SOURCE, script=SOURCE, recipe=SOURCE)
def test_arbitrary_file_contents_never_break_the_listing(
    python: str, script: str, recipe: str
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder))
        for name, text in {"a.py": python, "b.sh": script}.items():
            project.write(f"scriptlets/{name}", "")
            data = text.encode("utf-8", "surrogatepass")
            (project.root / "scriptlets" / name).write_bytes(data)
        project.write("recipes/c.yaml", recipe.encode("utf-8", "replace").decode())
        inventory = project.discover()
        assert as_text(inventory)
        assert as_json(inventory)["rootdir"] == folder


def test_named_pipes_in_a_project_do_not_block_the_listing(project: Project) -> None:
    project.write("scriptlets/a.py", "def one(ctx, params): pass\n")
    for name in ("x.py", "scriptlets/b.py", "scriptlets/c.sh", "conftest.py", "recipes/d.yaml"):
        path = project.root / name
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)

    listed = {scriptlet.name: scriptlet.error for scriptlet in project.discover().scriptlets}

    assert listed == {
        "one": None,
        "b": "cannot be read: it is no file with text in UTF-8, or above 1 MiB",
        "c.sh": "cannot be read: it is no regular file",
    }
