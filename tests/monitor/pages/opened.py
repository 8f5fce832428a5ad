"""Pages of the monitor as a client without a browser gets them."""

from collections.abc import Callable
from pathlib import Path

from tests.monitor.live_monitor import TOKEN


def opened(base: Path) -> Callable[[str], str]:
    """Return a function that requests a URL of the monitor of a folder, and returns its text."""
    from pytest_orchestrator.monitor.app import application

    client = application(base, TOKEN, {"localhost"}).test_client()
    client.get(f"/?token={TOKEN}")

    def get(url: str) -> str:
        reply = client.get(url)
        assert reply.status_code == 200, url
        return str(reply.text)

    return get
