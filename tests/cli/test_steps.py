"""`pytest-orchestrator steps`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Project

ROOT = Path(__file__).parents[2]
PLAIN = "def measure(ctx, params):\n    ctx.set('volts', params['x'])\n"


@pytest.fixture
def samples(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with the sample scriptlets and four recipes."""
    for name in [*sys.modules]:
        if (
            name.partition(".")[0] == "scriptlets"
        ):  # other tests have imported those of this checkout
            monkeypatch.delitem(sys.modules, name)
    shutil.copytree(ROOT / "scriptlets", project.path / "scriptlets")
    (project.path / "recipes").mkdir()
    for name in ("cdu_http", "cdu_poll", "demo_metrics", "example"):
        shutil.copy(ROOT / "recipes" / f"{name}.yaml", project.path / "recipes")
    return project


def test_steps_lists_the_samples_completely(
    samples: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(samples.path / "scriptlets/shell")
    done = samples.call("steps", "--json", "--strict")
    assert (done.code, done.err) == (0, "")
    listed = json.loads(done.out)
    assert (listed["rootdir"], listed["problems"]) == (str(samples.path), [])
    rows = {
        (one["path"], one["name"]): (
            one["kind"],
            [param["name"] + "?" * (not param["required"]) for param in one["params"]],
            [Path(use["recipe"]).stem for use in one["used_by"]],
        )
        for one in listed["scriptlets"]
        if one["path"].rpartition("/")[2] in EXPECTED
    }
    assert rows == {
        (f"scriptlets/{folder}/{file}", name): row
        for file, (folder, each) in EXPECTED.items()
        for name, row in each.items()
    }
    (sample,) = (one for one in listed["scriptlets"] if one["name"] == "ComputeMessageLength")
    assert sample == {
        "name": "ComputeMessageLength",
        "kind": "class",
        "module": "scriptlets.python.steps.compute_message_length",
        "path": "scriptlets/python/steps/compute_message_length.py",
        "line": 33,
        "summary": "Write the length of the parameter `message` as metrics.message_length_v1.",
        "params": [
            {
                "name": "message",
                "type": None,
                "required": True,
                "description": "",
            }
        ],
        "returns": '{"status": "ok", "key": "metrics.message_length_v1", "length": 5}; the Context '
        "then has\nthat key.",
        "writes": ["metrics.message_length_v1"],
        "used_by": [{"recipe": "recipes/demo_metrics.yaml", "step": "compute_msg_len", "line": 21}],
    }


EXPECTED = {
    "cdu_http.py": (
        "python/steps",
        {
            "serve": ("function", ["port"], ["cdu_http"]),
            "ask": ("function", ["port", "polls?"], ["cdu_http"]),
        },
    ),
    "cdu_readings.py": (
        "python/steps",
        {"collect_readings": ("function", ["path", "polls?"], ["cdu_poll"])},
    ),
    "cdu_report.py": ("python/steps", {"write_report": ("function", ["folder"], ["cdu_poll"])}),
    "cdu_statistics.py": ("python/steps", {"CduStatistics": ("class", ["limits?"], ["cdu_poll"])}),
    "compute_message_length.py": (
        "python/steps",
        {"ComputeMessageLength": ("class", ["message"], ["demo_metrics"])},
    ),
    "sample_step.py": (
        "python/steps",
        {"SampleStep": ("class", ["message"], ["demo_metrics", "example"])},
    ),
    "count-lines.sh": ("shell", {"count-lines.sh": ("script", ["INPUT"], ["demo_metrics"])}),
    "sample.sh": ("shell", {"sample.sh": ("script", ["ECHO_TEXT"], ["example"])}),
    "simulate_cdu_poll.sh": (
        "shell",
        {"simulate_cdu_poll.sh": ("script", ["POLLS?", "SEED?", "READINGS?"], ["cdu_poll"])},
    ),
}


def test_steps_imports_neither_pytest_nor_jinja2(samples: Project) -> None:
    # So it starts within 150 ms of CPU time, which cannot be tested on a busy machine.
    command = "import sys; from pytest_orchestrator.cli.main import main\nmain(['steps'])\n"
    command += "print({'pytest', 'jinja2', 'jsonschema', 'psutil'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=samples.path, capture_output=True, check=True
    )
    assert done.stdout.splitlines()[-1] == b"set()"


def test_steps_prints_parameters_and_users_of_each_scriptlet(samples: Project) -> None:
    done = samples.call("steps")
    assert (done.code, done.err) == (0, "")
    assert (
        "SampleStep(message)  class\n"
        "    Keep the parameter `message` as sample.message_v1.\n"
        "    scriptlets/python/steps/sample_step.py:31\n"
        "    used by recipes/demo_metrics.yaml, recipes/example.yaml\n\n"
    ) in done.out
    assert "simulate_cdu_poll.sh(POLLS=10, SEED=1, READINGS=…)  script\n" in done.out
    assert done.out.endswith(" scriptlets\n")


def test_broken_convention_is_a_warning_and_with_strict_a_failure(
    project: Project,
) -> None:
    project.write("scriptlets/bench.py", PLAIN)
    done = project.call("steps")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "measure(x)  function\n"
        "    scriptlets/bench.py:1\n"
        "    used by no recipe\n"
        "\n"
        "scriptlets/bench.py:1: warning: the docstring with NAME, DESCRIPTION, USAGE, "
        "RETURNS, LIMITATIONS is missing [sections]\n"
        "scriptlets/bench.py:2: warning: ctx.set does not say who: who='...' [who]\n"
        "scriptlets/bench.py:2: warning: key 'volts' has no version: 'volts_v1' [version]\n"
        "\n"
        "1 scriptlet, 3 warnings\n"
    )
    assert project.call("steps", "--strict") == (1, done.out, "")


def test_file_with_a_syntax_error_is_a_failure(project: Project) -> None:
    project.write("scriptlets/bench.py", "def measure(:\n")
    project.write("recipes/bad.yaml", "steps: [")
    done = project.call("steps")
    assert done == (
        1,
        (
            "bench  module\n"
            "    scriptlets/bench.py:1\n"
            "    cannot be read: invalid syntax\n"
            "\n"
            "scriptlets/bench.py:1: error: cannot be read: invalid syntax [syntax]\n"
            "\n"
            "no scriptlets, 1 file cannot be read\n"
        ),
        "recipes/bad.yaml is not valid YAML; pytest-orchestrator validate shows the error\n",
    )
    assert json.loads(project.call("steps", "--json").out)["scriptlets"] == [
        {
            "name": "bench",
            "kind": "module",
            "module": None,
            "path": "scriptlets/bench.py",
            "line": 1,
            "error": "cannot be read: invalid syntax",
        }
    ]


INPUTS = """\
inputs:
  serial: {pattern: 'SN[0-9]{4}', description: Serial number on the label.}
  volts: {type: number, min: 0, max: 30, unit: V, default: 5}
  note: {required: false}
  pin: {secret: true, default: "0815"}
steps: [{name: a, type: shell, cmd: 'true', parse: text}]
"""


def test_steps_lists_the_inputs_of_recipes_with_their_rules(project: Project) -> None:
    for name, text in {"in": INPUTS, "bad": "inputs: [a]", "none": "inputs: "}.items():
        path = project.path / f"recipes/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    listed, plain = project.call("steps"), project.call("steps", "--json")

    assert (listed.code, plain.code) == (0, 0)
    assert listed.out == (
        "recipes/in.yaml  inputs\n"
        "    serial: text that matches SN[0-9]{4}  Serial number on the label.\n"
        "    volts: a number, 0 to 30 V (default 5)\n"
        "    note: text (optional)\n"
        "    pin: text (secret)\n"
        "\n"
        "no scriptlets, 4 inputs\n"
    )
    inputs = json.loads(plain.out)["inputs"]
    assert [one["required"] for one in inputs] == [True, False, False, False]
    assert "0815" not in plain.out
    assert (inputs[1]["line"], inputs[1]["default"], inputs[1]["unit"]) == (3, 5, "V")
