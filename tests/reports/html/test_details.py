"""Details of a page: links between steps, previews of files, keys of a recipe, title and logo."""

import re
from pathlib import Path

import pytest

from pytest_orchestrator.reports.head.look import brand_of
from pytest_orchestrator.reports.html.budget import preview
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.html.test_render import Read
from tests.reports.sample_run import RECIPE, SampleRun
from tests.runs.built import Built


def page_of(folder: Path, **more: object) -> str:
    return html(load_record(folder), folder, **more)  # type: ignore[arg-type]


def words(page: str) -> str:
    return " ".join(Read(page).text.split())


def test_a_blocked_step_links_to_its_cause_and_a_skipped_one_has_the_values(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.about["vars"] = {"volts": {"value": 12, "origin": "recipe"}}
    run.begin({"a": [], "b": ["a"], "c": []})
    run.step("a", "failed", (0, 1))
    run.step("b", "blocked", step={"blocked_by": f"{RECIPE}::a", "reason": "blocked by a"})
    run.step("c", "skipped", step={"reason": "if: vars.volts > 24 and vars.gone"})
    run.write(f"sources/{RECIPE}", b"steps: []\n")
    run.seal()

    page = page_of(run.folder)

    assert f'blocked by <a href="#{RECIPE}::a">{RECIPE}::a</a>' in page
    assert "if: vars.volts > 24 and vars.gone (volts = 12)" in words(page)
    assert f'<a href="sources/{RECIPE}">Recipe as it ran</a>' in page


def test_the_context_of_a_recipe_has_only_the_keys_that_it_changed(tmp_path: Path) -> None:
    run = Built(tmp_path, "20261126T000000Z-0001").begin("a")
    run.start("a")
    run.change("a", "of.session", 1)
    run.change("a", "of.recipe", 2, scope=run.recipe)
    run.finish("a")
    run.seal()

    context = words(page_of(run.folder)).partition("Final Context")[2].partition("Environment")[0]

    session, _, recipe = context.partition("Context of recipes/psu.yaml")
    assert ("of.session" in session, "of.session" in recipe, "of.recipe" in recipe) == (
        True,
        False,
        True,
    )


def test_the_environment_has_no_json_and_files_of_a_matrix_are_listed_once(tmp_path: Path) -> None:
    run = Built(tmp_path, "20261126T000000Z-0001")
    for cell in ("gain:1", "gain:2"):
        run.recipe = f"recipes/sweep.yaml[{cell}]"
        run.about = {
            "name": "sweep",
            "path": "recipes/sweep.yaml",
            "sha256": "1" * 64,
            "cell": cell,
        }
        run.begin("a", digests={"bin/measure": "2" * 64}).step("a")
    run.seal()

    text = words(page_of(run.folder))

    assert text.count("SHA-256 of recipes/sweep.yaml") == text.count("2" * 64) == 1


def test_an_environment_of_names_and_values_is_text(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "passed", (0, 1))
    run.seal()

    text = words(page_of(run.folder))

    assert "git c0ffeec0ffee (main)" in text
    assert "revision" not in text.partition("Environment and digests")[2]


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("a;b\n1;2\n", "text/csv", (["a", "b"], [["1", "2"]], "", True)),
        ("a,b\n1\n", "text/csv", (["a", "b"], [["1", ""]], "", True)),
        ('{"a": [1]}', "application/json", ([], [], '{\n  "a": [\n    1\n  ]\n}', True)),
        ("{broken", "application/json", ([], [], "{broken", True)),
        ("x\x1b[2J", "text/plain", ([], [], "x\\x1b[2J", True)),
        ("x" * 5_000, "text/plain", ([], [], "x" * 3_999 + "…", False)),
    ],
)
def test_a_text_file_has_a_preview(
    tmp_path: Path, text: str, kind: str, shown: tuple[object, ...]
) -> None:
    path = tmp_path / "x"
    path.write_text(text)

    found = preview(path, kind)

    assert found is not None
    assert (found.head, found.rows, found.text, found.is_whole) == shown


def test_a_preview_has_twenty_rows_and_other_files_have_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("".join(f"{at},{at}\n" for at in range(100)))

    found = preview(path, "text/csv")

    assert found is not None
    assert (found.head, len(found.rows), found.is_whole) == (["0", "0"], 20, False)
    assert preview(path, "image/png") is None
    assert preview(tmp_path / "missing", "text/csv") is None
    path.write_bytes(b" " * 300_000)
    assert preview(path, "text/csv") is None


def test_an_artifact_is_previewed_on_the_page_and_inert(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    data = "name,<img src=x>\n1,</td><script>\n"
    path = run.write("artifacts/psu/x.csv", data.encode())
    files = [{"path": path, "type": "text/csv", "bytes": len(data)}]
    run.step("a", "passed", (0, 1), artifacts=files)
    run.seal()

    page = page_of(run.folder)

    assert '<th scope="col">&lt;img src=x&gt;</th>' in page
    assert "<td>&lt;/td&gt;&lt;script&gt;</td>" in page


def test_an_artifact_with_a_secret_is_not_previewed(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    files = []
    for name in ("open", "secret"):
        path = run.write(f"artifacts/psu/{name}.txt", f"text of {name}".encode())
        files.append({"path": path, "type": "text/plain", "bytes": 20})
    files[1]["has_secret"] = True
    run.step("a", "passed", (0, 1), artifacts=files)
    run.seal()

    page = page_of(run.folder)

    assert "text of open" in page
    assert "text of secret" not in page
    assert "A secret is in this file, so it is not shown here." in page


def test_title_and_logo_of_the_project_are_on_the_page_and_the_icon_has_the_verdict(
    tmp_path: Path,
) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "failed", (0, 1))
    run.seal()
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    page = page_of(run.folder, brand=brand_of(tmp_path, "ACME <PSU>", "logo.svg"))

    assert "<title>✘ failed: ACME &lt;PSU&gt;, run run</title>" in page
    assert '<img src="data:image/svg+xml;base64,' in page
    assert re.findall(r"fill='%23(\w+)'", page) == ["a40e26"]
    assert brand_of(tmp_path, " ", "") is None
    assert 'class="brand"' not in page_of(run.folder)
