"""Options about what follows a run: exports and the notification."""

import os
from collections.abc import Iterable
from typing import Any, Final

import pytest

from pytest_orchestrator.plugin.options.declared import REMOVED
from pytest_orchestrator.plugin.options.values import list_of, text_of

VARIABLE: Final = "ORCHESTRATOR_NOTIFY"
"""Environment variable with the address of the notification, which may contain a secret."""


def refuse_removed(args: Iterable[str]) -> None:
    """Raise a UsageError that names the cure for an option of an earlier version."""
    for name in (one.partition("=")[0] for one in args):
        if name in REMOVED:
            instead = f"write --recipe-export={REMOVED[name]}"
            raise pytest.UsageError(f"there is no option {name} any more; {instead}")


def targets(config: pytest.Config) -> list[tuple[str, str]]:
    """Return format and target of each export; paths of the ini key are relative to the rootdir.

    Raises:
        pytest.UsageError: A value names no format or no target of it, or an extra is missing.
    """
    given, base = config.getoption("recipe_export"), config.invocation_params.dir
    name = "--recipe-export"
    if not given:
        given, base = list_of(config, "recipe_export") or (), config.rootpath
        name = "ini key recipe_export"
    return [_checked(name, "formats.parsed", one, base) for one in given]


def notify_address(config: pytest.Config) -> str:
    """Return the address of the notification; empty without one."""
    option = config.getoption("recipe_notify")
    if option is not None:
        return str(option).strip()
    return os.environ.get(VARIABLE, "").strip() or text_of(config, "recipe_notify")


def check(config: pytest.Config) -> list[str]:
    """Check the exports and the address of the notification.

    Returns:
        The parts of the addresses that are secret.

    Raises:
        pytest.UsageError: A path is empty, an address is wrong, or an extra is not installed.
    """
    addresses = [target for name, target in targets(config) if name == "otel" and target]
    if address := notify_address(config):
        _checked(_name_of_notify(config), "network.check_address", address)
        addresses.append(address)
    if not addresses:
        return []
    from pytest_orchestrator.core.extras import addon

    return [secret for one in addresses for secret in addon("exports.network").secrets_of(one)]


def _checked(name: str, check: str, *values: Any) -> Any:
    """Return what a function of the exports returns for a value of a setting.

    Raises:
        pytest.UsageError: The value is wrong; the text begins with the name of the setting.
    """
    from pytest_orchestrator.core.extras import addon

    module, _, function = check.partition(".")
    try:
        return getattr(addon(f"exports.{module}"), function)(*values)
    except addon("exports").ExportError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _name_of_notify(config: pytest.Config) -> str:
    if config.getoption("recipe_notify") is not None:
        return "--recipe-notify"
    return VARIABLE if os.environ.get(VARIABLE, "").strip() else "ini key recipe_notify"
