"""Compiled templates: the files are current, and a mistake in a template is an error."""

from pathlib import Path
from types import ModuleType

import jinja2
import pytest

from pytest_orchestrator.reports import templating
from scripts import templates


@pytest.mark.parametrize("path", [path for path, _ in templates.modules()], ids=lambda at: at.stem)
def test_a_compiled_module_is_that_of_its_template(path: Path) -> None:
    head, _, text = path.read_text(encoding="utf-8").partition("\n")
    if jinja2.__version__ not in head:
        pytest.skip(f"compiled by another version of Jinja2: {head}")

    current = dict(templates.modules())[path].partition("\n")[2]

    assert text == current, "run `python -m scripts.templates`"


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> str:
    """The output of a template with each construct that the templates use, without Jinja2."""
    source = """\
{%- macro twice(one, other) %}[{{ one }}{{ other }}]{% endmacro -%}
{{ twice(text) }} {{ twice(1, 2) }}
{%- for one in all %} {{ loop.index }}/{{ loop.index0 }}={{ one }}{% else %}none{% endfor %}
{{ mapping.key }} {{ mapping["other"] }} {{ "x" if mapping.nothing }}
{{ mapping.nothing is defined }}
{{ all | join(", ") }} {{ all | reverse | list }} {{ "%.2f" | format(3) }} {{ 1.25 | round(1) }}
{{ "<b>" | safe ~ text }} {{ data | tojson }} {{ mapping.nothing | default("d") }}
{% set block %}<i>{{ text }}</i>{% endset %}{{ block }} {{ "a_b" | replace("_", " ") }}
{{ rows | selectattr("x") | list | length }}{{ rows | selectattr("x", "ne", 1) | list | length }}
"""
    values = {
        "text": "<&'\">\x1b",
        "all": [1, "b<"],
        "mapping": {"key": None, "other": 2},
        "data": {"b": "</script>&'", "a": [1.5, None]},
        "rows": [{"x": 1}, {"x": 0}, {"y": 2}],
    }
    jinja = templates.environment()
    module = ModuleType("probe")
    code = jinja.compile(source, "probe", raw=True)
    exec(templates.module_text(code, "probe"), module.__dict__)
    monkeypatch.setattr(templating, "import_module", lambda _: module)
    real = jinja2.Environment(
        autoescape=True,
        finalize=templating.Environment.finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    ours, theirs = (
        templating.Template("probe").render(values),
        real.from_string(source).render(values),
    )

    assert ours == theirs
    return ours


def test_a_compiled_template_renders_as_in_jinja(rendered: str) -> None:
    assert "[&lt;&amp;&#39;&#34;&gt;\\x1b]" in rendered


def test_an_attribute_of_an_undefined_value_is_an_error_that_names_it() -> None:
    with pytest.raises(
        templating.TemplateRuntimeError, match="'x' is undefined, and has no attribute 'y'"
    ):
        _ = templating.Undefined(name="x").y
