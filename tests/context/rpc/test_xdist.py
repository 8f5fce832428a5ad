"""The shared Context behaves in each process of a session like a local one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import listen_unix
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.context.rpc.server import Limits, Server
from pytest_orchestrator.context.rpc.xdist import SharedContext, XdistContextServer
from pytest_orchestrator.core.errors import ContextKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_orchestrator.core.events import Change


class Session:
    """A session whose Context two processes share."""

    def __init__(self, server: Server) -> None:
        self.context = Context()
        self.recorded: list[Any] = []
        self.events: list[Any] = []
        self.context.set_callbacks(lambda change, _: self.recorded.append(change))
        self.server = server
        self.context_server = XdistContextServer(
            server, self.context, {"event": self.events.append, "known": self.known}
        )

    def known(self, value: Any) -> Any:
        if value != "recipes/x.yaml":
            raise ContextKeyError(f"no recipe {value!r}")
        return [1, {"a": None}]

    def join(self, name: str = "gw0") -> SharedContext:
        token = self.server.admit(name, self.context_server.join(name))
        return SharedContext.join(self.server.address, token)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    listener = listen_unix(tmp_path / "context_server")
    with Server(listener=listener, limits=Limits(idle=None)) as server:
        yield Session(server)


def test_two_processes_share_one_context(session: Session) -> None:
    with session.join("gw0") as one, session.join("gw1") as other:
        one.set("psu.state", {"on": True})
        other.append("readings", 1)
        one.append("readings", 2)

        assert other.get("psu.state.on") is True
        assert one.to_dict() == other.to_dict() == session.context.to_dict()
    assert [change.who for change in session.recorded] == ["user"] * 3


def test_a_handle_reports_only_its_own_changes(session: Session) -> None:
    reported: list[Change] = []
    with session.join() as shared:
        handle = shared.bound("flash", reported.append, by="recipes/x.yaml::flash")
        shared.set("a", 1)
        handle.increment("a", 2, who="me")
        handle.set("b", [1])

        assert [(change.key, change.who, change.old, change.new) for change in reported] == [
            ("a", "me", 1, 3),
            ("b", "flash", None, [1]),
        ]
        assert handle.get_history("b") == [reported[1].as_dict()]
    assert [(change.key, change.by) for change in session.recorded] == [
        ("a", ""),
        ("a", "recipes/x.yaml::flash"),
        ("b", "recipes/x.yaml::flash"),
    ]


def test_a_recipe_keeps_its_own_context_when_its_process_dies(session: Session) -> None:
    with session.join("gw0") as shared:
        shared.set("below", 1)
        layer = shared.layer("recipes/x.yaml").bound("a")
        layer.set("own", 2)
    with session.join("gw1") as shared:
        again = shared.layer("recipes/x.yaml")

        assert again.to_dict() == {"below": 1, "own": 2}
        assert shared.to_dict() == {"below": 1}
    assert [(change.key, change.scope) for change in session.recorded] == [
        ("below", ""),
        ("own", "recipes/x.yaml"),
    ]


def test_a_layer_without_recipe_is_private_and_not_recorded(session: Session) -> None:
    with session.join() as shared:
        staged = shared.bound("a").layer()
        staged.set("out", 1)

        assert (staged.get("out"), "out" in shared) == (1, False)
    assert session.recorded == []


def test_the_callback_receives_values_that_are_written_or_read(session: Session) -> None:
    seen: list[tuple[str, Any]] = []
    session.context.set("token", "s3cret")
    with session.join() as shared:
        shared.set_callbacks(written=lambda key, value: seen.append((key, value)))
        handle = shared.bound("a")
        handle.get("token")
        handle.get("nothing")
        handle.set("b", "x")
        handle.append("c", "y")

    assert seen == [("token", "s3cret"), ("b", "x"), ("c", "y")]


def test_a_process_of_the_session_may_use_the_additional_operations(session: Session) -> None:
    with session.join() as shared:
        shared.request("event", {"event": "step_started"})

        assert session.events == [{"event": "step_started"}]
        assert shared.request("known", "recipes/x.yaml") == [1, {"a": None}]
        with pytest.raises(ContextKeyError, match="no recipe 'other'"):
            shared.request("known", "other")
        with pytest.raises(RequestRefused, match="this opens nothing: Expected `str`"):
            shared.request("open", {"who": 1})


def test_a_step_may_not_use_the_additional_operations(session: Session) -> None:
    token = session.server.token_for("step", session.context.bound("step"))
    with SharedContext.join(session.server.address, token) as shared:
        for name in ("open", "layer", "event"):
            with pytest.raises(RequestRefused, match=f"unknown op '{name}'"):
                shared.request(name)


def test_the_token_of_a_released_handle_is_removed(session: Session) -> None:
    tokens = session.server._grants  # noqa: SLF001
    with session.join() as shared:
        for number in range(10):
            shared.bound(f"step{number}").set("a", number)
            gc.collect()  # of all objects of the worker: up to half a second

        assert len(tokens) < 6
