"""Exports of a run in the formats of other tools, one module each, made from its journal."""

from pytest_orchestrator import OrchestratorError


class ExportError(OrchestratorError):
    """Error: a run cannot be exported; the text has no secret."""

    slug = "export"
