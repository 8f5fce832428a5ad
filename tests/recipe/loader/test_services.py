"""Keys that a service may have and may not have, with the cure in the message."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe, ShellStep
from pytest_orchestrator.recipe.model.options import Ready

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

SHELL = "type: shell, cmd: ls, background: true"
PYTHON = "type: python, module: m, class: C, background: true"


def steps(*items: str, head: str = "") -> str:
    return f"{head}steps:\n" + "".join(f"  - {{{item}}}\n" for item in items)


def test_a_service_has_its_keys(read: Read) -> None:
    ready = "{file: out/pid, port: 80, stdout_matches: ^up, timeout: 2m}"
    step = read(steps(f"name: a, {SHELL}, ready: {ready}, stop_signal: SIGINT")).steps[0]

    assert step.background
    assert step.ready == Ready(file="out/pid", port=80, stdout_matches="^up", timeout=120.0)
    assert (step.stop_signal, step.stop_number) == ("INT", 2)


def test_the_output_of_a_service_is_text_by_default(read: Read) -> None:
    given, other = read(steps(f"name: a, {SHELL}", "name: b, type: shell, cmd: ls")).steps

    assert isinstance(given, ShellStep)
    assert isinstance(other, ShellStep)
    assert (given.parse, other.parse) == ("text", "json")
    assert (given.ready, given.stop_signal, Ready().timeout) == (None, "TERM", 30.0)


def test_a_service_may_have_a_timeout(read: Read) -> None:
    assert read(steps(f"name: a, {SHELL}, timeout: 1")).steps[0].timeout == 1.0


ON = "and a service keeps running"
OWN = "and a service has a process of its own"
NO_PATTERN = "no regular expression: nothing to repeat, at character 1"
TYPED = "in python step 'a'"
WITHIN = f"'fixtures' {{}} has 'bench', so the step would run inside pytest, {OWN}"


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        (
            "ready: {}",
            "7 'ready' {} names nothing to wait for",
            "give 'file', 'port', 'http' or 'stdout_matches'",
        ),
        ("ready: 80", "7 'ready' {} is a number, should be a mapping", "write ready: {port: 8080}"),
        ("ready: {ports: 80}", "8 unknown key 'ports' in 'ready' {}", "did you mean 'port'?"),
        (
            "ready: {http: localhost}",
            (
                "14 'ready.http' {} is 'localhost', "
                "should be an address such as http://127.0.0.1:8080/health"
            ),
            "",
        ),
        (
            "ready: {http: {code: 200}}",
            (
                "14 'ready.http' {} is a mapping, should have a 'url' and at most a 'code', "
                "such as {{url: http://127.0.0.1:8080/health, code: 401}}"
            ),
            "",
        ),
        (
            "ready: {http: {url: http://x/, code: 6xx}}",
            (
                "14 'ready.http' {} is a mapping, "
                "should have a 'code' from 100 to 599, such as 401 or 4xx, or a list"
            ),
            "",
        ),
        (
            "ready: {http: {url: 3}}",
            (
                "14 'ready.http' {} is a mapping, "
                "should have a 'url' such as http://127.0.0.1:8080/health"
            ),
            "",
        ),
        ("ready: {http: [x]}", "14 'ready.http' {} is a list, should be text, or a mapping", ""),
        ("ready: {port: 65536}", "14 'ready.port' {} is 65536, should be 1 to 65535", ""),
        (
            "ready: {stdout_matches: '+'}",
            f"24 'ready.stdout_matches' {{}} is '+', {NO_PATTERN}",
            "",
        ),
        (
            "stop_signal: TREM",
            "13 'stop_signal' {} is 'TREM', should be the name of a signal",
            "did you mean 'TERM'?",
        ),
        (
            "parse: json",
            f"7 'parse' {{}} reads what was printed to the end, {ON}",
            "leave it out; 'ready' has 'stdout_matches'",
        ),
        (
            "success: {exit_code: 3}",
            f"21 'exit_code' {{}} is known at the end of a step, {ON}",
            "leave it out",
        ),
    ],
)
def test_keys_that_a_shell_service_cannot_have_are_reported(
    keys: str, message: str, hint: str, problems: Problems
) -> None:
    column, _, sentence = message.format("in shell step 'a'").partition(" ")
    wanted = f"2:{55 + int(column)} {sentence}" + (f" ({hint})" if hint else "")

    assert problems(steps(f"name: a, {SHELL}, {keys}")) == [wanted]


@pytest.mark.parametrize(
    ("head", "keys", "message", "hint"),
    [
        ("", "isolation: inline", f"2:79 'isolation' {{}} is 'inline', {OWN}", "leave it out"),
        (
            "",
            "heap: true",
            "2:74 'heap' {} is measured when a step returns, and a service is ended",
            "leave it out",
        ),
        ("", "fixtures: [bench]", f"2:78 {WITHIN}", "hand over by the Context what it needs"),
        (
            "fixtures: [bench]\n",
            "xfail: x",
            f"3:5 {WITHIN}",
            "hand over by the Context what it needs",
        ),
    ],
)
def test_keys_that_a_python_service_cannot_have_are_reported(
    head: str, keys: str, message: str, hint: str, problems: Problems
) -> None:
    wanted = f"{message.format(TYPED)} ({hint})"

    assert problems(steps(f"name: a, {PYTHON}, {keys}", head=head)) == [wanted]


@pytest.mark.parametrize("key", ["ready: {port: 80}", "stop_signal: INT"])
def test_keys_of_services_belong_to_services(key: str, problems: Problems) -> None:
    name = key.partition(":")[0]
    message = f"2:{39 + len(name)} '{name}' in shell step 'a' belongs to services"

    assert problems(steps(f"name: a, type: shell, cmd: ls, {key}")) == [
        f"{message} (say background: true, or leave it out)"
    ]


def test_a_step_that_would_wait_for_the_lock_of_a_service_is_reported(problems: Problems) -> None:
    text = steps(
        "name: before, type: shell, cmd: ls, locks: [psu]",
        f"name: a, {SHELL}, locks: [psu]",
        "name: after, type: shell, cmd: ls, locks: [dmm, psu]",
        "name: beside, type: shell, cmd: ls, locks: [psu], needs: []",
        "name: free, type: shell, cmd: ls, locks: [dmm]",
    )

    message = "'locks' in shell step '{}' has 'psu', which service 'a' holds to the end"
    assert problems(text) == [
        f"4:48 {message.format('after')} (leave it to the service)",
        f"5:49 {message.format('beside')} (leave it to the service)",
    ]


@pytest.mark.parametrize(
    ("kind", "keys"), [("prompt", "message: ready?"), ("http", "url: http://127.0.0.1/")]
)
def test_a_step_of_a_type_that_ends_by_itself_is_no_service(
    kind: str, keys: str, problems: Problems, read: Read
) -> None:
    step = f"name: a, type: {kind}, {keys}"
    (problem,) = problems(steps(f"{step}, background: true, ready: {{port: 80}}"))

    assert problem == (
        f"2:{20 + len(step)} 'background' in {kind} step 'a' is for services, which run until they "
        "are ended; this type ends by itself (leave it out)"
    )
    assert not read(steps(f"{step}, background: false")).steps[0].background
