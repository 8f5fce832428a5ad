"""Missing modules, functions and programs that a recipe names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import load
from pytest_orchestrator.recipe.analysis.dataflow import Finding, check_existence
from pytest_orchestrator.recipe.analysis.source_files import Sources

Look = Callable[[str], list[str]]


def marked(found: Finding) -> str:
    place = found.problem.place
    return found.text.splitlines()[place.line - 1][place.column - 1 :][: place.length]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Return the findings of a recipe of one step."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "psu.py").write_text(
        "class Flash:\n    pass\n\ndef power(params):\n    pass\n"
    )
    (tmp_path / "bench" / "query.sh").write_text("#!/bin/sh\n")
    (tmp_path / "bench" / "query.sh").chmod(0o755)
    (tmp_path / "bench" / "note.txt").write_text("")

    def look(step: str) -> list[str]:
        path = tmp_path / "x.yaml"
        path.write_text(f"steps:\n  - {{name: a, {step}}}\n")
        return [
            f"{marked(one)} {one.severity}: {one.problem.text}"
            for one in check_existence(load(path, root=tmp_path), Sources(tmp_path))
        ]

    return look


@pytest.mark.parametrize(
    "step",
    [
        "type: python, module: bench.psu, class: Flash",
        "type: python, module: bench.psu, function: power",
        "type: python, module: json, function: dumps, params: {obj: 1}",
        "type: python, module: os.path, function: join, params: {a: x}",
        "type: shell, cmd: bench/query.sh --all",
        "type: shell, cmd: [bench/query.sh]",
        "type: shell, cmd: sh -c x",
        "type: shell, cmd: 'nowhere/x.sh; sort'",
        "type: shell, shell: bash, cmd: 'nowhere/x.sh | sort'",
        "type: shell, shell: sh, cmd: 'echo x | sort; printf y | sort'",
        "type: shell, cmd: 'if no_such | sort; then :; fi; ! no_such | sort; no_such | sort || :'",
        'type: shell, cmd: "set -o pipefail\\nls | sort"',
        "type: shell, cmd: 'ls | sort; if then'",
        "type: shell, cmd: 'PATH=/opt:$PATH; no_such'",
        "type: shell, cmd: 'export PATH=/opt:$PATH; no_such'",
        "type: shell, cmd: '. ./env.sh; no_such'",
        "type: shell, cmd: 'no_such() { :; }; no_such'",
        "type: shell, cmd: 'command -v no_such >&2 && no_such'",
        "type: shell, cmd: 'no_such || echo none; if no_such; then :; fi'",
        "type: shell, cmd: '$TOOL x; ${{ env.TOOL }} y; ${{ env.TOOL }}-cli z'",
        "type: shell, cmd: './build/x; [ -f y ] && test -f z; : ok'",
        "type: shell, cmd: 'no_such; x', args: {PATH: /opt}",
        "type: shell, shell: [no/such/shell], cmd: x",
        "type: shell, shell: python, cmd: 'no_such; x'",
        "type: ssh, host: h, cmd: 'no_such; x'",
        "type: ssh, host: h, cmd: no_such",
        "type: ssh, host: h, shell: [no_such], cmd: x",
        "type: shell, cmd: '${{ env.TOOL }}/x y'",
        "type: shell, shell: [bash, -e], cmd: 'false; true'",
        "type: shell, shell: [sh, -euo, pipefail], cmd: 'false; true'",
        "type: shell, shell: [bash, -o, errexit], cmd: 'false; true'",
        "type: shell, shell: [sh], cmd: 'set -ux; set -eu; false; true'",
        'type: shell, shell: [sh], cmd: "set -e\\n((x))"',
        "type: shell, shell: [sh], cmd: 'false'",
        "type: shell, shell: [sh, -c, cat], cmd: 'false; true'",
        "type: shell, shell: [cat], cmd: 'false; true'",
        "type: shell, cmd: there_is_no_such, args: {PATH: /opt}",
    ],
)
def test_names_that_exist_or_may_exist_are_not_reported(step: str, look: Look) -> None:
    assert look(step) == []


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "type: python, module: bench.psuu, class: Flash",
            "bench.psuu error: there is no module 'bench.psuu' (did you mean 'bench.psu'?)",
        ),
        (
            "type: python, module: orchestrator.bench.psu, class: Flash",
            (
                "orchestrator.bench.psu error: there is no module 'orchestrator.bench.psu' "
                "(did you mean 'bench.psu'?)"
            ),
        ),
        (
            "type: python, module: bench.psu, class: Flsh",
            "Flsh error: module 'bench.psu' has no class 'Flsh' (did you mean 'Flash'?)",
        ),
        (
            "type: python, module: bench.psu, function: pow",
            "pow error: module 'bench.psu' has no function 'pow' (did you mean 'power'?)",
        ),
        (
            "type: shell, cmd: bench/qury.sh --all",
            (
                "bench/qury.sh --all error: program bench/qury.sh was not found "
                "(did you mean 'bench/query.sh'?)"
            ),
        ),
        (
            "type: shell, cmd: bench/note.txt",
            (
                "bench/note.txt error: bench/note.txt may not be run; "
                "give it its run bit: chmod +x bench/note.txt"
            ),
        ),
        ("type: shell, cmd: bench/", "bench/ error: bench is a folder, not a program"),
        (
            "type: shell, cmd: there_is_no_such x",
            "there_is_no_such x warning: there is no program 'there_is_no_such' on this machine",
        ),
        (
            "type: shell, cmd: 'A=1 no_such x > log; no_such y'",
            (
                "'A=1 no_such x > log; no_such y' warning: "
                "there is no program 'no_such' on this machine"
            ),
        ),
        (
            'type: shell, cmd: "# flash\\necho a\\nno_such -D fw.bin &&\\n  echo b\\n"',
            (
                r""""# flash\necho a\nno_such -D fw.bin &&\n  echo b\n" warning: """
                "there is no program 'no_such' on this machine (line 3 of cmd)"
            ),
        ),
        (
            "type: shell, shell: bash, cmd: no_such",
            "no_such warning: there is no program 'no_such' on this machine",
        ),
        (
            "type: shell, shell: [no_such, -e], cmd: x",
            "[no_such, -e] warning: there is no program 'no_such' on this machine",
        ),
        (
            'type: shell, shell: [bash, --norc], cmd: "false\\necho flashed"',
            (
                "[bash, --norc] warning: bash without -e does not end a script "
                "at a line that fails (add -e to the list)"
            ),
        ),
        (
            "type: ssh, host: h, shell: [busybox, sh], cmd: '((x)); false'",
            (
                "[busybox, sh] warning: busybox without -e does not end a script "
                "at a line that fails (add -e to the list)"
            ),
        ),
        (
            "type: shell, cmd: 'ls -l | sort'",
            "'ls -l | sort' warning: sh does not see 'ls' fail in a pipeline (`shell: bash` does)",
        ),
        (
            'type: ssh, host: h, shell: sh, cmd: "cd x\\nno_such | sort | uniq\\n"',
            (
                r""""cd x\nno_such | sort | uniq\n" warning: """
                "sh does not see 'no_such' fail in a pipeline (line 2 of cmd) (`shell: bash` does)"
            ),
        ),
    ],
)
def test_a_missing_name_is_reported_with_a_similar_one(step: str, message: str, look: Look) -> None:
    assert look(step) == [message]


def test_a_missing_program_that_an_earlier_step_may_create_is_a_warning(look: Look) -> None:
    steps = "type: shell, cmd: make}\n  - {name: b, type: shell, cmd: build/flash_tool"
    assert look(steps)[-1] == "build/flash_tool warning: program build/flash_tool was not found"


def test_no_module_is_missing_if_a_conftest_changes_sys_path(look: Look, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.path.insert(0, 'vendor')\n")
    assert look("type: python, module: vendored, class: X") == []
