"""Texts, figures and files of reports, for programs that show recorded runs."""

from pytest_orchestrator.core.figures.decisions import (
    LEAST_RATIO,
    SIMPLE,
    STATEMENTS,
    uncertainty_ratio,
)
from pytest_orchestrator.core.figures.notation import Notation, is_number, notation
from pytest_orchestrator.core.files import output, refuse_folder, replacing
from pytest_orchestrator.core.secrets import LEAST
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import counted, element_label
from pytest_orchestrator.reports.head.look import Look
from pytest_orchestrator.reports.head.meta import FIXED, LABELS, Line, Row, meta_rows
from pytest_orchestrator.reports.pictures.chromium import BrowserError, browser_path, write_pdf
from pytest_orchestrator.reports.quantities import (
    VERDICT_SIGNS,
    Quantity,
    decimals_of,
    duration,
    has_limits,
    local_time,
    quantity,
    utc_time,
    verdict_of,
)
from pytest_orchestrator.reports.templating import FOLDER, template
from pytest_orchestrator.reports.text import cut, json_text, look, rerun, safe, shown, sign

__all__ = [
    "FIXED",
    "FOLDER",
    "LABELS",
    "LEAST",
    "LEAST_RATIO",
    "SIMPLE",
    "STATEMENTS",
    "VERDICT_SIGNS",
    "BrowserError",
    "Line",
    "Look",
    "Notation",
    "Quantity",
    "Row",
    "browser_path",
    "counted",
    "cut",
    "decimals_of",
    "duration",
    "element_label",
    "has_limits",
    "is_number",
    "json_text",
    "local_time",
    "look",
    "meta_rows",
    "nearest",
    "notation",
    "output",
    "quantity",
    "refuse_folder",
    "replacing",
    "rerun",
    "safe",
    "shown",
    "sign",
    "template",
    "uncertainty_ratio",
    "utc_time",
    "verdict_of",
    "write_pdf",
]
