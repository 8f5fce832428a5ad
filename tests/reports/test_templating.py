"""Compiled templates: the output is that of Jinja2, and a mistake is an error."""

from types import ModuleType, SimpleNamespace

import jinja2
import markupsafe
import pytest
from markupsafe import Markup

from pytest_orchestrator.reports import templating
from pytest_orchestrator.reports.text import shown
from scripts import templates


def template(monkeypatch: pytest.MonkeyPatch, source: str) -> templating.Template:
    """Return a compiled template with the source."""
    jinja = templates.environment()
    jinja.code_generator_class = templates.Generator
    module = ModuleType("probe")
    code = jinja.compile(source, "probe", raw=True)
    exec(templates.module_text(code, "probe"), module.__dict__)
    monkeypatch.setattr(templating, "import_module", lambda _: module)
    return templating.Template("probe")


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> str:
    """The output of a template with each construct that the templates use, without Jinja2."""
    source = """\
{%- macro twice(one, other) %}[{{ one }}{{ other }}]{% endmacro -%}
{{ twice(text, 0) }} {{ twice(1, 2) }}{% set kept = twice(3, text) %}{{ kept }}
{%- for one in all %} {{ loop.index }}/{{ loop.index0 }}={{ one }}{% else %}none{% endfor %}
{{ place.name }} {{ mapping["other"] }} {{ mapping["key"] }} {{ "x" if mapping["key"] }}
{{ mapping.get("nothing", text) }} {{ place.name }}{{ text }}{{ "{}" }} {{ all[1:] | length }}
{{ all | join(", ") }} {{ all | reverse | list }} {{ "%.2f" | format(3) }} {{ 1.25 | round(1) }}
{{ "<b>" | safe ~ text }} {{ data | tojson }} {{ "<i>" | safe }}{{ "y" if all else text }}
{% set block %}<i>{{ text }}</i>{% endset %}{{ block }} {{ "a_b" | replace("_", " ") }}
{{ rows | selectattr("x") | list | length }}{{ rows | selectattr("x", "ne", 1) | list | length }}
"""
    values = {
        "text": "<&'\">\x1b",
        "all": [1, "b<"],
        "mapping": {"key": None, "other": 2},
        "data": {"b": "</script>&'", "a": [1.5, None]},
        "rows": [SimpleNamespace(x=1), SimpleNamespace(x=0)],
        "place": SimpleNamespace(name="a & b"),
    }
    own = template(monkeypatch, source)
    real = jinja2.Environment(
        autoescape=True,
        finalize=templating.escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    ours, theirs = own.render(values), real.from_string(source).render(values)

    assert ours == theirs
    return ours


def test_a_compiled_template_renders_as_in_jinja(rendered: str) -> None:
    assert "[&lt;&amp;&#39;&#34;&gt;\\x1b0]" in rendered


@pytest.mark.parametrize("use", ["{{ nothing }}", "{% if nothing %}{% endif %}", "{{ nothing.x }}"])
def test_each_use_of_a_variable_that_is_not_set_is_an_error(
    monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    own = template(monkeypatch, use)

    with pytest.raises(
        templating.TemplateRuntimeError, match="a variable of a template is not set"
    ):
        own.render()


def test_an_attribute_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    own = template(monkeypatch, "{{ mapping.key }}")

    with pytest.raises(AttributeError, match="'dict' object has no attribute 'key'"):
        own.render(mapping={"key": 1})


@pytest.mark.parametrize(
    "text", ["<", ">", "&", '"', "'", "\x1b", "\u202e", "\udcff", "\r\n", "\xa0", "✔ é"]
)
def test_texts_are_escaped_together_as_one_by_one(text: str) -> None:
    values = ("plain", text, 7, 1.5, None, Markup("<b>"))

    assert templating.all_escaped(values) == tuple(map(templating.escaped, values))
    one, many = templating.escaped(text), templating.all_escaped((text, "b"))[0]
    assert one == many == markupsafe.escape(shown(text))
