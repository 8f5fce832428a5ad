"""`pytest-orchestrator schema`."""

from pytest_orchestrator.recipe import editor_schema, station_schema
from pytest_orchestrator.reports import block_schema
from tests.cli.conftest import Project


def test_schema_prints_the_schema_of_recipes(project: Project) -> None:
    assert project.call("schema") == (0, editor_schema.text(), "")
    assert project.call("schema", "recipe").out == editor_schema.text()


def test_mistyped_schema_suggests_the_nearest(project: Project) -> None:
    assert project.call("schema", "recip").err.endswith(
        "error: argument NAME: no schema 'recip' (did you mean 'recipe'?)\n"
    )


def test_schema_prints_the_schemas_of_reports(project: Project) -> None:
    assert project.call("schema", "report") == (0, block_schema.text(), "")
    assert project.call("schema", "run") == (0, block_schema.summary_text(), "")


def test_schema_prints_the_schema_of_station_files(project: Project) -> None:
    assert project.call("schema", "station") == (0, station_schema.text(), "")
