"""Times of changes by the process of a step: when it asked, within the step, in their order."""

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import moment_of
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Conversation
from pytest_orchestrator.execution.steps.python_process import StepConversation


def now() -> int:
    return time.time_ns() // 1000


def step(context: Context) -> StepConversation:
    return StepConversation(context, None, None, lambda: None)  # type: ignore[arg-type, return-value]


def line(**request: Any) -> bytes:
    return json.dumps({"op": "set", "path": "k", "value": 1} | request).encode() + b"\n"


def times(context: Context) -> list[int]:
    return [moment_of(one["ts"]) for one in context.get_history("k")]


def wait_until(moment: int) -> None:
    while now() <= moment:
        pass


def test_a_change_has_the_time_at_which_the_step_asked_for_it() -> None:
    context = Context()
    conversation = step(context)
    asked = now() + 50
    wait_until(asked + 500)

    conversation.receive(line(at=asked))

    assert times(context) == [asked]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=5))
def test_a_wrong_clock_cannot_leave_the_step_nor_change_the_order(claimed: list[int]) -> None:
    context = Context()
    begun = now()
    conversation = step(context)

    for moment in claimed:
        conversation.receive(line(at=moment))

    found = times(context)
    assert len(found) == len(claimed)
    assert found == sorted({*found})
    assert begun <= found[0]
    assert found[-1] <= now() + len(claimed)


def test_a_change_is_not_before_one_that_was_made_earlier() -> None:
    context = Context()
    conversation = step(context)
    asked = now() + 50
    wait_until(asked)
    context.set("k", "of another step")

    conversation.receive(line(at=asked))

    first, second = times(context)
    assert second == first + 1


def test_other_servers_ignore_the_clocks_of_their_clients() -> None:
    context = Context()
    before = now()

    Conversation(context).receive(line(at=5))

    assert times(context)[0] >= before


def test_a_request_without_a_time_gets_that_of_the_server() -> None:
    context = Context()
    conversation = step(context)
    conversation.receive(line(at=now()))
    before = now()

    conversation.receive(line())

    assert times(context)[1] >= before


class Sent:
    """A connection that answers each request with success."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def send(self, data: bytes | memoryview, /) -> int:
        self.requests.append(json.loads(bytes(data)))
        return len(data)

    def recv(self, size: int, /) -> bytes:
        return json.dumps({"ok": True, "id": self.requests[-1]["id"]}).encode() + b"\n"


def test_only_the_process_of_a_step_sends_its_times() -> None:
    other, own = Sent(), Sent()
    before = now()

    RemoteContext(other).set("k", 1)
    RemoteContext(own, sends_times=True).set("k", 1)

    assert "at" not in other.requests[0]
    assert before <= own.requests[0]["at"] <= now()
