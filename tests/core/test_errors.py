"""Every error class has its own slug, and shows its text unchanged."""

import importlib
import pickle
import pkgutil
from typing import Any

import pytest

import pytest_orchestrator.core
from pytest_orchestrator.core.errors import (
    ContextKeyError,
    ContextTypeError,
    JournalError,
    LockError,
    OrchestratorError,
)
from pytest_orchestrator.core.json_values import NotJson
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.scriptlets.call import ParameterError, SignatureError, ValidationFailed

KINDS: list[Any] = [
    ContextKeyError,
    ContextTypeError,
    JournalDamaged,
    JournalError,
    LockError,
    NotJson,
    ParameterError,
    SignatureError,
    ValidationFailed,
]


def test_the_list_of_error_classes_of_core_is_complete() -> None:
    for module in pkgutil.iter_modules(pytest_orchestrator.core.__path__):
        importlib.import_module(f"pytest_orchestrator.core.{module.name}")
    of_core = {kind for kind in OrchestratorError.__subclasses__() if is_of_the_core(kind)}

    assert of_core == {kind for kind in KINDS if is_of_the_core(kind)}


def is_of_the_core(kind: type) -> bool:
    home = kind.__module__
    return home == "pytest_orchestrator" or home.startswith("pytest_orchestrator.core")


def test_slugs_are_unique() -> None:
    slugs = {kind.slug for kind in [OrchestratorError, *KINDS]}

    assert len(slugs) == len(KINDS) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_shows_its_text_and_crosses_processes(kind: type[OrchestratorError]) -> None:
    error = kind("no key 'a'")

    assert str(error) == "no key 'a'"
    assert str(pickle.loads(pickle.dumps(error))) == "no key 'a'"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ContextKeyError, KeyError),
        (ContextTypeError, TypeError),
        (NotJson, ValueError),
        (ParameterError, SignatureError),
        (SignatureError, TypeError),
        (ValidationFailed, ValueError),
    ],
)
def test_an_error_is_a_subclass_of_the_builtin_one(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)
