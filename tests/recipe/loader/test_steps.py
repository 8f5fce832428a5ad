"""Required and forbidden keys of one step, and suggestions for misspelt ones."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Criterion, Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]


def steps(*items: str) -> str:
    return "steps:\n" + "".join(f"  - {item}\n" for item in items)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("foo", "2:5 step 1 is text, should be a mapping of its keys"),
        ("12", "2:5 step 1 is a number, should be a mapping of its keys"),
        ("", "2:4 step 1 is empty, should be a mapping of its keys"),
        ("[a]", "2:5 step 1 is a list, should be a mapping of its keys"),
        ("!x {}", "2:5 the tag !x is not supported here (leave it out)"),
        ("!x foo", "2:5 the tag !x is not supported here (leave it out)"),
    ],
)
def test_a_step_that_is_no_mapping_is_reported(item: str, message: str, problems: Problems) -> None:
    assert problems(steps(item))[0] == message


def test_an_empty_step_is_missing_its_name_and_type(problems: Problems) -> None:
    assert problems(steps("{}")) == [
        (
            "2:5 missing 'type' in step 1 "
            "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
        ),
        "2:5 missing 'name' in step 1",
    ]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "{name: a, type: pyton, module: m, class: C}",
            "2:21 unknown type 'pyton' in step 'a' (did you mean 'python'?)",
        ),
        (
            "{name: power, type: supply, port: /dev/ttyS0, volts: 5, pin: 3}",
            (
                "2:25 unknown type 'supply' in step 'power' "
                "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
            ),
        ),
        (
            "{name: a, type: docker}",
            (
                "2:21 unknown type 'docker' in step 'a' "
                "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
            ),
        ),
        (
            "{name: a, type: ssh, cmd: ls}",
            "2:5 missing 'host' in ssh step 'a'",
        ),
        (
            "{name: a, type: 1, cmd: ls}",
            (
                "2:21 'type' in step 'a' is a number, "
                "should be 'python', 'shell', 'ssh', 'http', 'prompt', 'scpi' or 'serial'"
            ),
        ),
        (
            "{name: a, type: [x], cmd: ls}",
            (
                "2:21 'type' in step 'a' is a list, "
                "should be 'python', 'shell', 'ssh', 'http', 'prompt', 'scpi' or 'serial'"
            ),
        ),
        (
            "{name: a, type: , cmd: ls}",
            (
                "2:21 'type' in step 'a' is empty, "
                "should be 'python', 'shell', 'ssh', 'http', 'prompt', 'scpi' or 'serial'"
            ),
        ),
        ("{name: a, cmd: ls}", "2:5 missing 'type' in step 'a' (its 'cmd' says: type: shell)"),
        (
            "{name: a, args: {}, cmd: ls}",
            "2:5 missing 'type' in step 'a' (its 'args' says: type: shell)",
        ),
        (
            "{name: a, module: m, class: C}",
            "2:5 missing 'type' in step 'a' (its 'module' says: type: python)",
        ),
        (
            "{name: a}",
            (
                "2:5 missing 'type' in step 'a' "
                "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
            ),
        ),
        (
            "{name: a, typ: shell, cmd: ls}",
            "2:15 unknown key 'typ' in shell step 'a' (did you mean 'type'?)",
        ),
        ("{type: shell, cmd: ls}", "2:5 missing 'name' in shell step 1"),
        (
            "{nam: a, type: shell, cmd: ls}",
            "2:6 unknown key 'nam' in shell step 1 (did you mean 'name'?)",
        ),
        ("{name: a, type: shell}", "2:5 missing 'cmd' in shell step 'a'"),
        ("{name: a, type: python, class: C}", "2:5 missing 'module' in python step 'a'"),
        (
            "{name: a, type: python, modul: m, class: C}",
            "2:29 unknown key 'modul' in python step 'a' (did you mean 'module'?)",
        ),
        (
            "{name: a, type: python, module: m}",
            "2:5 missing 'class' or 'function' in python step 'a'",
        ),
        (
            "{name: a, type: python, module: m, func: f}",
            "2:40 unknown key 'func' in python step 'a' (did you mean 'function'?)",
        ),
        (
            "{name: a, type: python, module: m, function: f, class: C}",
            "2:40 'class' and 'function' in python step 'a' (give one of them)",
        ),
        (
            "{name: a, type: python, module: m, class: C, cmd: ls}",
            "2:50 'cmd' belongs to shell steps, and this is python step 'a'",
        ),
        (
            "{name: a, type: shell, cmd: ls, params: {}}",
            (
                "2:37 'params' belongs to python steps, and this is shell step 'a' "
                "(its values go into 'args')"
            ),
        ),
        (
            "{name: a, type: python, module: m, class: C, args: {}}",
            (
                "2:50 'args' belongs to shell steps, and this is python step 'a' "
                "(its values go into 'params')"
            ),
        ),
        (
            "{name: a, type: python, module: m, class: C, success: {exit_code: 0}}",
            "2:60 'exit_code' belongs to shell steps, and this is python step 'a'",
        ),
        (
            "{name: a, type: shell, cmd: ls, success: {ctx_has_key: [b]}}",
            "2:47 unknown criterion 'ctx_has_key' in shell step 'a' (did you mean 'ctx_has_keys'?)",
        ),
        (
            "{name: a, type: shell, cmd: ls, matrix: {}}",
            "2:45 'matrix' in shell step 'a' is empty: no step would run",
        ),
        (
            "{name: a, type: shell, cmd: ls, host: -bench}",
            (
                "2:43 'host' in shell step 'a' is '-bench', should be the name of a worker or a "
                "machine, or a resource of a worker"
            ),
        ),
    ],
)
def test_a_problem_of_a_step_is_reported_once(item: str, message: str, problems: Problems) -> None:
    assert problems(steps(item)) == [message]


def test_the_common_keys_of_a_step_of_unknown_type_are_read(problems: Problems) -> None:
    item = "{name: a, type: docker, cmd: 1, module: 2, implicit: 3, foo: 4}"
    assert problems(steps(item)) == [
        (
            "2:21 unknown type 'docker' in step 'a' "
            "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
        ),
        "2:58 'implicit' in step 'a' is a number, should be true or false",
    ]


def test_each_entry_of_a_list_is_a_criterion_with_its_place(read: Read) -> None:
    text = (
        "steps:\n"
        "- name: a\n"
        "  type: shell\n"
        "  cmd: ls\n"
        "  success:\n"
        "    files_exist: [out/a.csv,\n"
        "      'out/*.json']\n"
        "    exit_code: nonzero\n"
        "    ctx_has_keys:\n"
        "    - dut.serial_v1\n"
    )
    assert read(text).steps[0].success == (
        Criterion("files_exist", "out/a.csv", Place(6, 19, 9)),
        Criterion("files_exist", "out/*.json", Place(7, 7, 12)),
        Criterion("exit_code", "nonzero", Place(8, 16, 7)),
        Criterion("ctx_has_keys", "dut.serial_v1", Place(10, 7, 13)),
    )


def test_a_mistake_shared_by_an_alias_is_reported_for_each_named_step(
    problems: Problems,
) -> None:
    text = "x-p: &p {a: .inf}\nx-n: &n [1]\n" + steps(
        "{name: a, type: python, module: m, class: C, params: *p, needs: *n}",
        "{name: b, type: python, module: m, class: C, params: *p, needs: *n}",
    )
    assert problems(text) == [
        "1:13 .inf is no number of JSON; use null, or quote it: '.inf'",
        "2:10 'needs[0]' in python step 'a' is a number, should be text (quote it: '1')",
        "2:10 'needs[0]' in python step 'b' is a number, should be text (quote it: '1')",
    ]


def measured(limits: str) -> str:
    keys = "name: a, type: shell, cmd: x, parse: text"
    return f"steps:\n- {{{keys}, measurements: {{m: {{value: 1, {limits}}}}}}}\n"


def test_limits_that_cross_are_reported(problems: Problems) -> None:
    message = "2:81 'measurements.m.low' in shell step 'a' is above 'high'"
    assert problems(measured("low: 5, high: 1")) == [message]


@pytest.mark.parametrize(
    "limits", ["low: 1, high: 1", "low: -1, high: 1.5", "low: '${{ env.LOW }}', high: 1", "low: 5"]
)
def test_limits_that_do_not_cross_are_accepted(limits: str, read: Read) -> None:
    assert "m" in read(measured(limits)).steps[0].measurements
