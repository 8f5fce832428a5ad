"""HTML page of certificates: nothing in it is loaded or run, and all texts are only texts."""

import base64
from pathlib import Path

import pytest

from pytest_orchestrator.addons.certificate.write import html
from pytest_orchestrator.reports.head.look import Look, LookError, look_of
from tests.addons.certificate.recorded import Recorded, certificate
from tests.reports.html.test_render import HOSTILE, Read


def hostile_run(folder: Path) -> Recorded:
    """Write a run in which each text is hostile."""
    names = dict.fromkeys(("name", "description", "cell"), HOSTILE)
    meta = {HOSTILE: HOSTILE, "dut": {HOSTILE: [HOSTILE]}}
    given = {HOSTILE: {"value": HOSTILE, "origin": HOSTILE}}
    run = Recorded(folder, **names, test_meta=meta, vars=given, matrix={HOSTILE: HOSTILE})
    run.about["path"] = run.about["sha256"] = HOSTILE
    run.begin(HOSTILE, "b")
    measured = {"name": HOSTILE, "value": HOSTILE, "unit": HOSTILE, "matches": HOSTILE}
    element = {"index": 0, "item": HOSTILE, "state": "failed", "reason": HOSTILE}
    run.step(
        HOSTILE,
        "failed",
        step={"reason": HOSTILE},
        measurements=[measured | {"verdict": "fail"}],
        elements=[element | {"measurements": [measured | {"verdict": "unset", "line": 1}]}],
    )
    run.step("b", "skipped", step={"reason": f"if: {HOSTILE}"})
    run.info({HOSTILE: HOSTILE}, {HOSTILE: "https://a.test/" + HOSTILE, "x": "javascript:hit()"})
    return run


def test_hostile_texts_are_escaped_everywhere(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "run")
    look = Look(title=HOSTILE, logo="data:image/png;base64,AA==")

    text = html([certificate(run.seal(1, HOSTILE))] * 2, look)

    read = Read(text)
    assert not [
        tag for tag, _ in read.tags if tag in ("script", "link", "iframe", "object", "base")
    ]
    assert not [keys for _, keys in read.tags for key in keys if key.startswith("on")]
    assert read.all("img", "src") == ["data:image/png;base64,AA=="] * 2
    assert {link[:8] for link in read.all("a", "href")} == {"https://"}
    assert not {"\x1b", "\u202e"} & set(text)
    assert text.count("</style>") == 1
    assert read.text.count("window.hit") > 20
    assert "default-src 'none'" in str(read.all("meta", "content"))


def test_a_page_has_a_certificate_for_each_recipe_with_ids_of_its_own(tmp_path: Path) -> None:
    run = Recorded(tmp_path / "run")
    run.begin("a")
    run.step("a")
    made = certificate(run.seal())

    one, two = html([made], Look()), html([made, made], Look())

    ids = Read(two).all("h1", "id")
    assert ids == ["title-1", "title-2"]
    assert (one.count("<article"), two.count("<article")) == (1, 2)
    assert "<title>Test certificate: PASSED, psu, run run</title>" in one
    assert "<title>Test certificate: 2 recipes</title>" in two
    assert Read(one).all("article", "aria-labelledby") == ["title-1"]


def test_title_and_logo_of_a_project_are_read(tmp_path: Path) -> None:
    (tmp_path / "logo.SVG").write_bytes(b"<svg/>")

    look = look_of(tmp_path, " Acceptance ", "logo.SVG")

    assert look.title == "Acceptance"
    assert look.logo == f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}"
    assert look_of(tmp_path, "", "") == Look("Test certificate", "")


@pytest.mark.parametrize(
    ("logo", "said"),
    [
        ("no.png", "report_logo: no.png: No such file or directory; the path is relative to "),
        (
            "a.pdf",
            "report_logo: a.pdf is no picture; use one of svg, png, jpg, jpeg, webp, gif",
        ),
        ("a.png", "report_logo: a.png has 2,000,001 bytes; the most are 2,000,000"),
    ],
)
def test_a_file_of_the_look_that_cannot_be_used_is_named(
    tmp_path: Path, logo: str, said: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 2_000_001)

    with pytest.raises(LookError) as error:
        look_of(tmp_path, "", logo)

    assert str(error.value) == f"ini key {said}" + f"{tmp_path}" * said.endswith("to ")
