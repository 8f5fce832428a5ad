"""Resume plan: which steps are restored, run again or are refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from pytest_orchestrator.core.events import ContextChanged, StepFinished, StepStarted
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.resume.plan import changed, plan
from tests.blocks import whole
from tests.runs.recipes import KEY, SAME, recipe, today

if TYPE_CHECKING:
    from tests.runs.conftest import WrittenRun


def fates(
    past: WrittenRun, steps: dict[str, dict[str, Any]], rerun: tuple[str, ...] = (), **now: Any
) -> dict[str, str]:
    one = recipe(steps, now.pop("final", ()))
    decisions = plan(
        load_record(past.killed()), [today(one, **now)], [(KEY, name) for name in rerun]
    )
    return {
        name: f"{fate.kind}: {fate.why}" if fate.why else fate.kind
        for name, fate in decisions.decisions[KEY].items()
    }


def passed(past: WrittenRun, *names: str) -> None:
    for name in names:
        past.step(name, digests=SAME)


def test_passed_steps_are_restored_and_the_others_run(past: WrittenRun) -> None:
    past.recipe("a", "b", "c", "d")
    passed(past, "a")
    past.add(StepStarted(recipe=KEY, step="b"))

    assert fates(past, {"a": {}, "b": {"idempotent": True}, "c": {}}, final=("d",)) == {
        "a": "restored",
        "b": "again: it was interrupted",
        "c": "first",
        "d": "first",
    }


@pytest.mark.parametrize("how", ["killed", "cut off", "left before"])
def test_an_interrupted_step_that_is_not_idempotent_is_refused(how: str, past: WrittenRun) -> None:
    past.recipe("a", "b")
    if how == "left before":
        past.add(StepStarted(recipe=KEY, step="a", cut_off_in="older"))
    else:
        past.add(StepStarted(recipe=KEY, step="a"))
    if how == "cut off":
        block = whole({"step": {"state": "failed", "kind": "interrupted"}})
        end = StepFinished(recipe=KEY, step="a", outcome="failed", meets=False, block=block)
        past.add(end)
    if how == "left before":  # the resumed run refused the step, which is an error
        past.add(StepFinished(recipe=KEY, step="a", outcome="failed", meets=False, block={}))

    why = "it was interrupted and is not marked `idempotent: true`"
    assert fates(past, {"a": {}, "b": {}}) == {"a": f"refused: {why}", "b": "first"}


def test_a_step_that_the_user_selects_for_rerun_runs_again(past: WrittenRun) -> None:
    past.recipe("a", "b", "c")
    passed(past, "a", "b")
    past.add(StepStarted(recipe=KEY, step="c"))

    assert fates(past, {"a": {}, "b": {}, "c": {}}, rerun=("b", "c")) == {
        "a": "restored",
        "b": "again: --recipe-rerun asks for it",
        "c": "again: --recipe-rerun asks for it",
    }


def test_failed_steps_run_again_and_blocked_ones_for_the_first_time(past: WrittenRun) -> None:
    past.recipe("a", "b", "c")
    passed(past, "a")
    past.step("b", "failed", digests=SAME)
    past.step("c", "blocked")

    steps: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}
    assert fates(past, steps) == {"a": "restored", "b": "again: it failed there", "c": "first"}


def test_a_step_that_skipped_itself_is_restored(past: WrittenRun) -> None:
    past.recipe("a", "b")
    end = StepFinished(recipe=KEY, step="a", outcome="skipped", meets=True, block={}, digests=SAME)
    past.add(end)
    passed(past, "b")

    assert fates(past, {"a": {}, "b": {}}) == {"a": "restored", "b": "restored"}


def test_steps_that_depend_on_a_changed_step_run_again(past: WrittenRun) -> None:
    past.recipe("a", "b", "c", "d", "e")
    passed(past, "a", "b", "c", "d", "e")
    steps: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {},
        "c": {"needs": (), "after": ("b",)},
        "d": {"needs": ("c",)},
        "e": {"needs": ("a",)},
    }

    assert fates(past, steps, changed={"b": {"step": "other"}}) == {
        "a": "restored",
        "b": "again: the recipe says something else of it",
        "c": "again: it comes after b",
        "d": "again: it comes after c",
        "e": "restored",
    }


def test_services_and_finally_steps_run_again_and_users_of_a_service_do_not(
    past: WrittenRun,
) -> None:
    past.recipe("serve", "use", "off")
    passed(past, "serve", "use", "off")

    assert fates(past, {"serve": {"background": True}, "use": {}}, final=("off",)) == {
        "serve": "again: a service",
        "use": "restored",
        "off": "again: a step of finally",
    }


def test_a_step_that_changes_a_key_of_a_service_runs_again(past: WrittenRun) -> None:
    past.recipe("serve", "use", "more")
    past.change("port", 1, by="serve")
    past.change("port", 2, by="more")
    passed(past, "serve", "use", "more")

    assert fates(past, {"serve": {"background": True}, "use": {}, "more": {}}) == {
        "serve": "again: a service",
        "use": "restored",
        "more": "again: it changes 'port', which serve writes again",
    }


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_step_that_wrote_a_secret_runs_again_or_is_refused(
    idempotent: bool, past: WrittenRun
) -> None:
    past.recipe("login", "use")
    node = f"{KEY}::login"
    past.add(ContextChanged(key="token", op="set", who="x", new="***", by=node, masked=True))
    passed(past, "login", "use")
    found = fates(past, {"login": {"idempotent": idempotent}, "use": {}})

    if idempotent:
        assert found == {"login": "again: what it wrote to 'token' is secret", "use": "restored"}
    else:
        assert found == {
            "login": "refused: what it wrote to 'token' is secret and in no journal, "
            "and the step is not marked `idempotent: true`",
            "use": "again: it comes after login",
        }


def test_a_step_with_a_masked_result_that_another_step_reads_is_refused(past: WrittenRun) -> None:
    past.recipe("login", "use")
    past.step("login", digests=SAME, result={"token": "***"})
    passed(past, "use")
    record = load_record(past.killed())
    one = recipe({"login": {}, "use": {}})
    reads = replace(one, text="args: {TOKEN: '${{ steps.login.result.token }}'}")

    assert plan(record, [today(one)]).of(KEY, "login").kind == "restored"
    assert plan(record, [today(reads)]).of(KEY, "login").why == (
        "its result, which others read, is secret and in no journal, "
        "and the step is not marked `idempotent: true`"
    )


@pytest.mark.parametrize("reading", ["steps.login[0].result", "steps['login[n:1]'].result"])
def test_a_cell_with_a_masked_result_that_another_step_reads_is_refused(
    past: WrittenRun, reading: str
) -> None:
    past.recipe("login[n:1]", "use")
    past.step("login[n:1]", digests=SAME, result={"token": "***"})
    one = replace(recipe({"login[n:1]": {}, "use": {}}), text=f'if: "{reading}.token"')

    assert plan(load_record(past.killed()), [today(one)]).of(KEY, "login[n:1]").kind == "refused"


def test_recipes_that_need_a_recipe_that_runs_again_run_again(past: WrittenRun) -> None:
    for key in ("recipes/power.yaml", KEY):
        past.recipe("a", key=key)
        past.step("a", key=key, digests=SAME)
    power, one = recipe({"a": {}}, key="recipes/power.yaml"), recipe({"a": {}})
    record = load_record(past.seal())

    same = plan(record, [today(power), today(one, needs=(power.key,))])
    other = plan(record, [today(power, {"a": {}}), today(one, needs=(power.key,))])
    assert same.of(KEY, "a").kind == "restored"
    assert other.of(KEY, "a").why == "recipes/power.yaml does not stay as it was"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({}, ""),
        ({"step": "2"}, "the recipe says something else of it"),
        ({"file a.py": "2"}, "a.py was changed"),
        ({"vars.gain": "2"}, "vars.gain has another value"),
    ],
)
def test_the_first_change_of_a_step_is_the_reason(now: dict[str, str], reason: str) -> None:
    before = {"step": "1", "file a.py": "1", "vars.gain": "1"}

    assert changed(before, before | now) == reason
    assert changed({}, before) == "its earlier work is not recorded"
