"""Comparison of each rendered page with Jinja2's output."""

from collections.abc import Mapping
from typing import Any

import jinja2
import pytest

from pytest_orchestrator.reports import templating
from scripts import templates


@pytest.fixture(scope="module", autouse=True)
def same_as_jinja() -> Any:
    """Compare each output of a compiled template with that of Jinja2 and its own filters."""
    own, compiled = templates.environment(), templating.Template.render
    own.filters = jinja2.Environment(autoescape=True).filters | {
        name: one for name, one in own.filters.items() if name not in jinja2.filters.FILTERS
    }
    own.tests = jinja2.Environment(autoescape=True).tests

    def render(self: templating.Template, *mappings: Mapping[str, Any], **values: Any) -> str:
        output = compiled(self, *mappings, **values)
        assert output == own.get_template(self.name).render(*mappings, **values)
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templating.Template, "render", render)
        yield
