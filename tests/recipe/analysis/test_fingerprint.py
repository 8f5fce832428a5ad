"""Digests of a step: they change with what the step does, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from pytest_orchestrator.extending import Criterion, StepEnvironment, StepSpec, StepType
from pytest_orchestrator.recipe import BUILT_IN, Recipe, cells, load
from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs, digests
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.station.reader import load_station
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TEXT = """\
vars: {gain: 2, twice: "${{ vars.gain }}${{ vars.gain }}", other: 1}
steps:
  - {name: first, type: shell, cmd: "true"}
  - name: s
    type: shell
    cmd: scripts/run.sh ${{ vars.twice }}
    args: {HOME_OF: "${{ env.STATION }}"}
    success: {assert: ["vars.other > 0"], files_exist: [out.csv]}
    needs: [first]
"""


@pytest.fixture
def digests_of(read: Callable[[str], Recipe], tmp_path: Path) -> Callable[..., dict[str, str]]:
    script = tmp_path / "scripts" / "run.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")

    def digests_of(text: str = TEXT, step: str = "s", **around: Any) -> dict[str, str]:
        around = {"environ": {"STATION": "7"}} | around
        recipe = read(text)
        return digests(recipe, recipe.step(step), FingerprintInputs(Sources(tmp_path), **around))

    return digests_of


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def test_each_value_read_and_each_file_run_has_a_digest(
    digests_of: Callable[..., dict[str, str]],
) -> None:
    found = digests_of()

    assert list(found) == [
        "step",
        "env.STATION",
        "vars.gain",
        "vars.other",
        "vars.twice",
        "file scripts/run.sh",
    ]
    assert {len(one) for one in found.values()} == {16}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vars:", "# moves all lines\n\nvars:"),
        ("    type: shell", "    type: shell\n    description: runs it\n    timeout: 5s"),
        ("    type: shell", "    type: shell\n    idempotent: true\n    tags: [slow]"),
        ("    type: shell", "    type: shell\n    host: bench-3\n    resources: {scope: 2}"),
        ('cmd: "true"', 'cmd: "false"'),
    ],
)
def test_changes_without_effect_on_the_step_change_no_digest(
    old: str, new: str, digests_of: Callable[..., dict[str, str]]
) -> None:
    assert digests_of(TEXT.replace(old, new)) == digests_of()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("run.sh ${{", "run.sh -v ${{", ["step"]),
        ("out.csv", "out.txt", ["step"]),
        ("vars.other > 0", "vars.other > 1", ["step"]),
        ("files_exist", "files_absent", ["step"]),
        ("needs: [first]", "needs: []", ["step"]),
        ("gain: 2", "gain: 3", ["vars.gain"]),
        ('"${{ vars.gain }}$', '"-${{ vars.gain }}$', ["vars.twice"]),
    ],
)
def test_a_change_of_the_step_changes_only_the_digest_of_the_changed_part(
    old: str, new: str, changed: list[str], digests_of: Callable[..., dict[str, str]]
) -> None:
    assert differing(digests_of(), digests_of(TEXT.replace(old, new))) == changed


def test_the_host_changes_the_digest_of_ssh_steps_only(
    digests_of: Callable[..., dict[str, str]],
) -> None:
    far = TEXT.replace("    type: shell", "    type: ssh\n    host: bench-3")

    assert differing(digests_of(far), digests_of(far.replace("bench-3", "bench-4"))) == ["step"]


class BenchKeys(msgspec.Struct):
    instrument: Annotated[str, msgspec.Meta(description="A name.", examples=["psu"])]


class Bench(StepType):
    """Uses an instrument."""

    name = "bench"
    Keys = BenchKeys

    def run(self, keys: Any, ctx: Any, env: StepEnvironment) -> Mapping[str, Any]:
        return {"status": "ok"}

    @classmethod
    def instruments(cls, step: StepSpec) -> list[Any]:
        return [step.keys["instrument"]]


_STATION = """\
instruments:
  psu: {resource: A, backend: psu.yaml@sim, timeout: 1s}
  dmm: {resource: B, safe: [X], due: 2026-01-01}
hosts: {dut: root@192.0.2.20}
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("timeout: 1s", "timeout: 2s, lock: psu", {}),
        ("safe: [X], due: 2026-01-01", "", {}),
        ("resource: A", "resource: C", {"a": ["instrument psu"], "s": ["instrument psu"]}),
        ("resource: B", "resource: D", {"b": ["instrument dmm"]}),
        ("192.0.2.20", "192.0.2.21", {"far": ["host dut"]}),
        ("", "", {"a": ["file psu.yaml"], "s": ["file psu.yaml"]}),
    ],
)
def test_a_change_of_the_station_changes_digests_of_the_steps_that_use_the_changed_part(
    tmp_path: Path, old: str, new: str, changed: dict[str, list[str]]
) -> None:
    (tmp_path / "x.yaml").write_text(
        "sampling: {s: {instrument: psu, query: X}}\n"
        "steps:\n"
        "  - {name: a, type: bench, instrument: psu}\n"
        "  - {name: b, type: bench, instrument: dmm}\n"
        "  - {name: c, type: bench, instrument: '${{ ctx.a }}'}\n"
        "  - {name: far, type: ssh, host: dut, cmd: x}\n"
        "  - {name: other, type: ssh, host: bench, cmd: x}\n"
    )
    known = BUILT_IN.with_type(Bench, plugin="lab").with_instruments(["psu", "dmm"])
    recipe = load(tmp_path / "x.yaml", root=tmp_path, known=known)
    file, simulation = tmp_path / "station.yaml", tmp_path / "psu.yaml"
    steps = (*recipe.steps, recipe.samplers[0].step)

    def found(text: str) -> dict[str, dict[str, str]]:
        file.write_text(text)
        station = load_station(file, tmp_path)
        inputs = FingerprintInputs(Sources(tmp_path), station=station)
        return {step.name: digests(recipe, step, inputs) for step in steps}

    simulation.write_text("devices: {}\n")
    before = found(_STATION)
    if not old:
        simulation.write_text("devices: {psu: {}}\n")
    now = found(_STATION.replace(old, new))
    differences = {name: differing(before[name], now[name]) for name in before}
    assert {name: one for name, one in differences.items() if one} == changed


def test_values_from_outside_the_recipe_change_digests(
    digests_of: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    before = digests_of()

    assert differing(
        before, digests_of(external_values={"gain": ExternalValue(3, "--recipe-var")})
    ) == ["vars.gain"]
    assert differing(before, digests_of(environ={"STATION": "8"})) == ["env.STATION"]
    (tmp_path / "scripts" / "run.sh").write_text("#!/bin/sh\ntrue\n")
    assert differing(before, digests_of()) == ["file scripts/run.sh"]


def test_no_digest_reveals_a_secret(digests_of: Callable[..., dict[str, str]]) -> None:
    def masked(value: Any) -> Any:
        return "***" if value in ("7", "8") else value

    assert digests_of(environ={"STATION": "8"}, masked=masked) == digests_of(masked=masked)


def test_a_scriptlet_has_a_digest_and_a_library_has_none(
    digests_of: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "lab_steps.py").write_text("def measure(ctx, params): ...\n")
    step = "steps: [{{name: s, type: python, module: {}, function: measure}}]"

    assert list(digests_of(step.format("lab_steps"))) == ["step", "file lab_steps.py"]
    assert list(digests_of(step.format("json"))) == ["step"]
    assert list(digests_of(step.format("not_there"))) == ["step"]


def test_project_files_that_a_scriptlet_imports_have_digests(
    digests_of: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "lab_more.py").write_text("from limits import low\n\ndef measure(ctx, params): ...")
    (tmp_path / "limits.py").write_text("low = 1\n")
    step = "steps: [{name: s, type: python, module: lab_more, function: measure}]"
    before = digests_of(step)

    assert list(before) == ["step", "file lab_more.py", "file limits.py"]
    (tmp_path / "limits.py").write_text("low = 2.5\n")
    assert differing(before, digests_of(step)) == ["file limits.py"]


def test_steps_of_a_used_file_depend_on_the_values_of_with(
    digests_of: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "_part.yaml").write_text(
        "vars: {level: 1, unused: 2}\n"
        'steps: [{name: inner, type: shell, cmd: "echo ${{ vars.level }}", parse: text}]\n'
    )
    text = """\
vars: {gain: 2, free: 1}
steps:
  - {name: s, use: recipes/_part.yaml, if: "vars.free", with: {level: "${{ vars.gain }}"}}
"""
    before = digests_of(text, "s.inner")

    assert list(before) == ["step", "if of s", "vars.free", "vars.gain", "vars.s.level"]
    assert differing(before, digests_of(text.replace("gain: 2", "gain: 3"), "s.inner")) == [
        "vars.gain"
    ]


def test_only_matrix_values_that_are_read_have_digests(
    read: Callable[[str], Recipe], tmp_path: Path
) -> None:
    text = """\
matrix: {gain: [1, 2], load: [a]}
steps: [{name: s, type: shell, cmd: "echo ${{ matrix.gain }}", parse: text}]
"""
    one, two = (
        digests(each, each.step("s"), FingerprintInputs(Sources(tmp_path)))
        for each in cells(read(text), {})
    )

    assert differing(one, two) == ["matrix.gain"]


def test_a_cell_has_digests_of_the_matrix_values_that_it_reads(
    read: Callable[[str], Recipe], tmp_path: Path
) -> None:
    text = """\
matrix: {{gain: [1]}}
steps:
- name: s
  type: shell
  cmd: [echo, "${{{{ matrix.gain }}}}", "${{{{ matrix.channel }}}}"]
  parse: text
  matrix: {{channel: {}, load: [a]}}
"""

    def found(lists: str, cell: str) -> dict[str, str]:
        (recipe,) = cells(read(text.format(lists)), {"vars": {}, "env": {}})
        return digests(recipe, recipe.step(cell), FingerprintInputs(Sources(tmp_path)))

    one = found("[1, 2]", "s[channel:1,load:a]")
    assert list(one) == ["step", "matrix.channel", "matrix.gain"]
    assert found("[1, 2, 3]", "s[channel:1,load:a]") == one
    assert differing(one, found("[1, 2]", "s[channel:2,load:a]")) == ["step", "matrix.channel"]


class Level(StepType):
    """Sets a level."""

    name = "level"

    class Keys(msgspec.Struct):
        volts: Annotated[float, msgspec.Meta(description="The level.", examples=[1.5])] = 0

    def run(self, keys: Any, ctx: Any, env: StepEnvironment) -> dict[str, Any]:
        return {"status": "ok"}


def test_the_class_of_a_step_type_and_its_imports_have_digests(tmp_path: Path) -> None:
    for name, content in (("conftest", "import limits"), ("limits", "low = 1\n")):
        (tmp_path / f"{name}.py").write_text(content)
    path = tmp_path / "x.recipe.yaml"
    path.write_text("steps: [{name: s, type: level}]")
    known = BUILT_IN.with_type(Level, str(tmp_path / "conftest.py"))
    recipe = load(path, root=tmp_path, known=known)

    found = digests(recipe, recipe.step("s"), FingerprintInputs(Sources(tmp_path)))
    assert list(found) == ["step", "file conftest.py", "file limits.py"]


SAMPLES = """\
vars: {gain: 2}
steps:
  - name: shell
    type: shell
    cmd: scripts/run.sh ${{ vars.gain }}
    timeout: 5s
    success: {exit_code: [0, 3], files_exist: [a.csv, b.csv], assert: ["vars.gain > 0"]}
  - name: python
    type: python
    module: lab_fixed
    function: measure
    params: {level: "${{ env.STATION }}"}
    success: {ctx_has_keys: [level], max_seconds: 2}
  - {name: plugin, type: level, volts: 3, success: {below: 2.5}}
  - {name: use, use: recipes/_used.yaml, if: "vars.gain", with: {level: "${{ vars.gain }}"}}
"""
SAMPLE_FILES = {
    "scripts/run.sh": "#!/bin/sh\n",
    "lab_fixed.py": "def measure(ctx, params): ...\n",
    "recipes/_used.yaml": (
        "vars: {level: 1}\n"
        'steps: [{name: inner, type: shell, cmd: "echo ${{ vars.level }}", parse: text}]\n'
    ),
    "recipes/x.recipe.yaml": SAMPLES,
}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "shell",
            {
                "step": "46e6c23fdf70e0ec",
                "vars.gain": "d4735e3a265e16ee",
                "file scripts/run.sh": "a8076d3d28d21e02",
            },
        ),
        (
            "python",
            {
                "step": "45322c40b6e29f34",
                "env.STATION": "266aa5886067fbbc",
                "file lab_fixed.py": "a10acc3754c8c2c7",
            },
        ),
        ("plugin", {"step": "4d98799c73b8e6ee"}),
        (
            "use.inner",
            {
                "step": "36fe333a190c63d4",
                "if of use": "452bf1a30b3adeb2",
                "vars.gain": "d4735e3a265e16ee",
                "vars.use.level": "bf6f906f9bde4c3b",
            },
        ),
    ],
)
def test_digests_are_those_of_earlier_versions(
    step: str, expected: dict[str, str], tmp_path: Path
) -> None:
    for name, content in SAMPLE_FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    below = Criterion(
        name="below", type=float, description="Low.", example=1.5, check=lambda *_: None
    )
    known = BUILT_IN.with_type(Level).with_criterion(below)
    recipe = load(tmp_path / "recipes" / "x.recipe.yaml", root=tmp_path, known=known)
    inputs = FingerprintInputs(Sources(tmp_path), environ={"STATION": "7"})

    assert digests(recipe, recipe.step(step), inputs) == expected
