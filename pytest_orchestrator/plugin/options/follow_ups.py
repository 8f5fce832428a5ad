"""Options about what follows a run: exports and the notification."""

import os
from typing import Final

import pytest

from pytest_orchestrator.plugin.options.values import text_of

VARIABLE: Final = "ORCHESTRATOR_NOTIFY"
"""Environment variable with the address of the notification, which may contain a secret."""

_FORMATS: Final = ("ctrf", "otel", "allure")
FILES: Final = {"ctrf": "file", "allure": "folder"}
"""Formats whose target is a path, and what it is the path of; other targets are addresses."""


def targets(config: pytest.Config) -> dict[str, str]:
    """Return the target of each export that an option names, by the name of its format."""
    given = {name: config.getoption(f"recipe_{name}") for name in _FORMATS}
    folder = config.invocation_params.dir
    return {
        name: str(folder / target) if name in FILES else target
        for name, target in given.items()
        if target is not None
    }


def notify_address(config: pytest.Config) -> str:
    """Return the address of the notification; empty without one."""
    option = config.getoption("recipe_notify")
    if option is not None:
        return str(option).strip()
    return os.environ.get(VARIABLE, "").strip() or text_of(config, "recipe_notify")


def check(config: pytest.Config) -> list[str]:
    """Check the paths and addresses, and that the libraries of the exports are installed.

    Returns:
        The parts of the addresses that are secret.

    Raises:
        pytest.UsageError: A path is empty, an address is wrong, or an extra is not installed.
    """
    for name, kind in FILES.items():
        if config.getoption(f"recipe_{name}") == "":
            raise pytest.UsageError(f"--recipe-{name}: the path is empty; name a {kind}")
    endpoint, address = config.getoption("recipe_otel"), notify_address(config)
    if endpoint is None and not address:
        return []
    from pytest_orchestrator.addons.exports.formats import ExportError
    from pytest_orchestrator.addons.exports.network import check_address, secrets_of
    from pytest_orchestrator.core.extras import is_installed

    if endpoint is not None and not is_installed("otel"):
        raise pytest.UsageError(
            "--recipe-otel needs OpenTelemetry: python -m pip install 'pytest-orchestrator[otel]'"
        )
    named = {"--recipe-otel": endpoint, _name_of_notify(config): address}
    for name, one in named.items():
        try:
            if one:
                check_address(one)
        except ExportError as error:
            raise pytest.UsageError(f"{name}: {error}") from None
    return [secret for one in named.values() if one for secret in secrets_of(one)]


def _name_of_notify(config: pytest.Config) -> str:
    if config.getoption("recipe_notify") is not None:
        return "--recipe-notify"
    return VARIABLE if os.environ.get(VARIABLE, "").strip() else "ini key recipe_notify"
