"""No output of a run contains a secret: every channel is searched for a canary value."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Project

CANARY = "kA9/+x'w\"Q7\\zé sticks&out"
FRESH = "bench-key-5f0d77c1"
_PYTHON = f"{sys.executable} -S"  # the programs import only the standard library
REPORTS = ("--json-report", "--json-report-file=out/report.json", "--junitxml=out/junit.xml")

_LEAKY = """
import base64, html, json, logging, os, re, sys, urllib.parse, warnings, xml.sax.saxutils

log = logging.getLogger("leaky")


def forms(value):
    yield value
    for before in ("", "u", "u:", "me:"):
        yield base64.b64encode(f"{before}{value}".encode()).decode()
        yield base64.urlsafe_b64encode(f"{before}{value}.".encode()).decode()
    yield "https://bench/?k=" + urllib.parse.quote(value)
    yield "https://bench/?k=" + urllib.parse.quote_plus(value, safe="")
    yield re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(value, safe=""))
    yield html.escape(value)
    yield html.escape(value, quote=False)
    yield xml.sax.saxutils.quoteattr(value, {"'": "&apos;"})
    yield value.encode().hex()
    yield value.encode().hex().upper()
    yield json.dumps({"k": value})
    yield json.dumps({"k": value}, ensure_ascii=False)
    yield repr([value])


def spill(value):
    for form in forms(value):
        print(form)
        print(form, file=sys.stderr, flush=True)
        log.warning("used %s", form, extra={"detail": {"form": form}})
        warnings.warn(f"used {form}")


def passes(ctx, params):
    spill(os.environ["BENCH_TOKEN"])
    ctx.set("used", {"key": os.environ["BENCH_TOKEN"]})
    ctx.set("all", list(forms(os.environ["BENCH_TOKEN"])))
    token = os.environ["BENCH_TOKEN"]
    ctx.set("as_key", {token: [{f"a {token}": 1}]}, who=token)
    ctx.set("by_name", 1, who=f"the {token}")
    return {"status": "ok", "note": token, "keys": {token: {token: 1}}, token: 2}


def fails(ctx, params):
    spill(os.environ["BENCH_TOKEN"])
    assert {"key": os.environ["BENCH_TOKEN"]} == {"key": "x"}, os.environ["BENCH_TOKEN"]


def raises(ctx, params):
    given = os.environ["BENCH_TOKEN"]
    try:
        raise KeyError(given)
    except KeyError as error:
        raise RuntimeError(f"cannot use {given}") from error


def refuses(ctx, params):
    return {"status": "off", "reason": f"bad {os.environ['BENCH_TOKEN']}"}


def skips(ctx, params):
    return {"status": "skip", "reason": f"bad {os.environ['BENCH_TOKEN']}"}


def fetches(ctx, params):
    value = "bench-key-" + "5f0d77c1"
    ctx.set("session", {"key": value})
    spill(value)
    return {"status": "ok", "key": value}


def uses(ctx, params):
    spill(ctx["session.key"])
    assert ctx["session.key"] == "x"


if __name__ == "__main__":
    spill(os.environ["BENCH_TOKEN"])
    print(json.dumps({"status": sys.argv[1], "reason": os.environ["BENCH_TOKEN"]}))
"""

_HAND = """
import json, sys
value = "bench-key-" + "5f0d77c1"
print(value, file=sys.stderr)
print(json.dumps({"status": "ok", "key": value, "much": [value] * 5000}))
"""


def spellings(value: str) -> list[str]:
    """Return the encoded forms of a value; of base64 the middle, which all alignments share."""
    found = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    found += [quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1]]
    found += [html.escape(value), html.escape(value, quote=False)]
    found.append(re.sub("%..", lambda one: one[0].lower(), quote(value, safe="")))
    found += [value.encode().hex(), value.encode().hex().upper()]
    for before in ("", "u", "u:"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.append(encode(f"{before}{value}".encode()).decode()[4:-4])
    # The first and last characters alone reveal much of a value.
    return [*found, value[:8], value[-8:]]


def leaks(folder: Path, shown: str, value: str) -> list[str]:
    """Return the outputs and files of a run that contain a value."""
    texts = {"terminal": shown}
    for top in ("out", ".orchestrator"):
        for path in (folder / top).rglob("*"):
            if path.is_file() and not path.is_symlink():
                texts[str(path.relative_to(folder))] = path.read_text(errors="replace")
    assert {"out/report.json", "out/junit.xml"} < set(texts)
    return sorted(
        f"{name}: {spelling}"
        for name, text in texts.items()
        for spelling in spellings(value)
        if spelling in text
    )


@pytest.fixture
def bench(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose steps print and write secrets."""
    monkeypatch.setenv("BENCH_TOKEN", CANARY)
    project.write("leaky.py", _LEAKY)
    project.write("hand.py", _HAND)
    return project


def step(function: str, more: str = "") -> str:
    return f"type: python, module: leaky, function: {function}, needs: []{more}"


def shell(status: str, more: str = "") -> str:
    return f"type: shell, cmd: {_PYTHON} leaky.py {status}, parse: last-line, needs: []{more}"


@pytest.mark.parametrize("workers", [(), ("-n", "2"), ("--recipe-jobs", "2")], ids=" ".join)
def test_a_variable_with_a_secret_name_is_masked_everywhere(
    bench: Project, workers: tuple[str, ...]
) -> None:
    steps = {
        "py_passes": step("passes", ", measurements: {note: {value: result.note, matches: .*}}"),
        "py_fails": step("fails"),
        "py_raises": step("raises"),
        "py_refuses": step("refuses"),
        "py_skips": step("skips"),
        "py_inline": step("fails", ", isolation: inline"),
        "sh_passes": shell("ok"),
        "sh_fails": shell("off"),
        "sh_skips": shell("skip"),
        "sh_retries": shell("off", ", retry: {attempts: 2}"),
        "sh_exits": "type: shell, cmd: 'echo $BENCH_TOKEN >&2; exit 3', needs: [], parse: text",
        "sh_broken": "type: shell, cmd: 'echo $BENCH_TOKEN', needs: []",
    }
    if "--recipe-jobs" in workers:
        del steps["py_inline"]
    bench.recipe("bench", steps, {"off": shell("ok")})
    bench.write(
        "test_hand.py",
        "import leaky\ndef test_it(ctx): leaky.fails(ctx, {})\n",
    )

    measured = "--recipe-measurements=out/measured.csv"
    result = bench.spawn(*REPORTS, *workers, measured, "-rA", "--showlocals", "-vv")

    result.assert_outcomes(passed=3, failed=8 + ("py_inline" in steps), skipped=2)
    shown = result.stdout.str() + result.stderr.str()
    assert leaks(bench.path, shown, CANARY) == []
    assert "***" in shown
    assert ",note,,***,text," in (bench.path / "out" / "measured.csv").read_text()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=" ".join)
def test_a_value_written_to_a_declared_secret_key_is_masked_everywhere(
    bench: Project, workers: tuple[str, ...]
) -> None:
    bench.recipe(
        "bench",
        {
            "log_in": step("fetches"),
            "use": step("uses").replace("needs: []", "needs: [log_in]"),
            "send": "type: shell, cmd: 'echo $KEY; echo $KEY >&2; false', parse: text, "
            "args: {KEY: '${{ ctx.session.key }}'}, needs: [log_in]",
            "out": f"type: shell, cmd: {_PYTHON} hand.py, needs: [], "
            "outputs: {handed: '${{ result.key }}', printed: '${{ stderr }}'}",
        },
        head="secrets: [ctx.session, ctx.handed]",
    )

    result = bench.spawn(*REPORTS, *workers, "-rA", "--showlocals", "-vv")

    shown = result.stdout.str() + result.stderr.str()
    assert leaks(bench.path, shown, FRESH) == []
    result.assert_outcomes(passed=2, failed=2)


_USED = """
secrets: [vars.pin, vars.own, env.STATION_PIN, ctx.session]
required: [pin, handed]
vars: {own: own-pin-4711}
steps:
  - {name: fetch, type: python, module: leaky, function: fetches}
  - name: say
    type: shell
    parse: text
    cmd: "for out in 1 2; do printenv STATION_PIN A B C >&$out; done; false"
    args: {A: "${{ vars.pin }}", B: "${{ vars.own }}", C: "${{ vars.handed }}"}
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=" ".join)
def test_a_secret_of_a_used_file_is_masked_everywhere(
    bench: Project, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STATION_PIN", "station-pin-31")
    bench.write("recipes/_station.yaml", _USED)
    bench.write(
        "recipes/_outer.yaml",
        """
        required: [pin, handed]
        steps:
          - name: in
            use: recipes/_station.yaml
            with: {pin: "${{ vars.pin }}", handed: "x-${{ vars.handed }}"}
    """,
    )
    use = "use: recipes/_outer.yaml, with: {pin: '${{ env.PIN_OF }}1', handed: '${{ vars.mine }}'}"
    head = "secrets: [vars.mine]\nvars: {mine: '${{ env.PIN_OF }}2'}\n"
    bench.write("recipes/main.yaml", f"{head}steps: [{{name: s, {use}}}]\n")
    monkeypatch.setenv("PIN_OF", "given-pin-")

    result = bench.spawn(*REPORTS, *workers, "-rA", "--showlocals", "-vv")

    result.assert_outcomes(passed=1, failed=1)
    shown = result.stdout.str() + result.stderr.str()
    assert "***" in shown
    found = [
        leaks(bench.path, shown, value)
        for value in (FRESH, "own-pin-4711", "station-pin-31", "given-pin-1", "given-pin-2")
    ]
    assert found == [[]] * 5


@pytest.mark.counted
def test_the_report_block_of_a_step_is_masked(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "abcdef-12345")
    bench.recipe(
        "token",
        {
            "passes": step("passes"),
            "calls": "type: shell, cmd: sh -c 'exit 3', parse: text, needs: [], "
            "args: {STATION_TOKEN: abcdef-67890, GAIN: 1}, description: of abcdef-12345",
        },
        head="test_meta: {dut: {id: abcdef-12345}}",
    )

    blocks = bench.blocks("-rA")

    writes = {one["key"]: one for one in blocks["passes"]["context"]["writes"]}
    assert writes["used"]["new"] == {"key": "***"}
    assert writes["used"]["masked"] is True
    assert blocks["calls"]["process"]["masked"] == ["STATION_TOKEN"]
    assert blocks["calls"]["step"]["description"] == "of ***"
    assert blocks["calls"]["recipe"]["test_meta"] == {"dut": {"id": "***"}}
    # Names and paths are not masked, although they contain the secret.
    assert blocks["calls"]["recipe"]["path"] == "recipes/token.yaml"


def test_the_command_that_repeats_a_step_contains_no_secret(bench: Project) -> None:
    bench.recipe(
        "bench",
        {"calls": "type: shell, cmd: bin/no, args: {STATION_TOKEN: abcdef-67890}"},
    )

    result = bench.run()

    result.stdout.fnmatch_lines(["command    env STATION_TOKEN=[*][*][*] bin/no"])
    assert "abcdef-67890" not in result.stdout.str()


def test_source_lines_of_an_invalid_recipe_are_masked(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "abcdef-12345")
    bench.recipe("bench", {"calls": "type: shell, cmd: echo, arg: abcdef-12345"})

    result = bench.run(*REPORTS)

    result.stdout.fnmatch_lines(["*unknown key 'arg'*", "*arg: [*][*][*]}*"])
    assert leaks(bench.path, result.stdout.str(), "abcdef-12345") == []


@pytest.mark.parametrize("capture", ["-s", "--capture=tee-sys"])
def test_live_output_is_masked(bench: Project, capture: str) -> None:
    bench.recipe("bench", {"spills": shell("off"), "spills_too": step("fails")})

    result = bench.spawn(*REPORTS, capture)

    assert leaks(bench.path, result.stdout.str() + result.stderr.str(), CANARY) == []
    assert result.stdout.str().count("https://bench/?k=***") >= 4


def test_a_recipe_that_ends_early_prints_no_secret(bench: Project) -> None:
    bench.write(
        "stops.py",
        """
        import os, pytest

        def step(ctx, params):
            pytest.exit(f"no {os.environ['BENCH_TOKEN']}")
        """,
    )
    bench.recipe(
        "bench",
        {"stops": "type: python, module: stops, function: step"},
        {"off": shell("off")},
    )

    result = bench.spawn(*REPORTS)

    shown = result.stdout.str() + result.stderr.str()
    assert leaks(bench.path, shown, CANARY) == []
    assert "no ***" in shown


def test_a_declared_var_is_masked(bench: Project) -> None:
    bench.recipe(
        "bench",
        {"says": "type: shell, cmd: 'echo $A; echo $A >&2; false', args: {A: '${{ vars.pin }}'}"},
        head="vars: {pin: none}\nsecrets: [vars.pin]",
    )

    result = bench.spawn(*REPORTS, "--recipe-var", f"pin={FRESH}", "-vv")

    assert leaks(bench.path, result.stdout.str() + result.stderr.str(), FRESH) == []


_HANDED = """
vars: {token: VARS, login: {name: bench-7, token: LOGIN}, host: station-12, raw: none, of: none}
inputs: {key: {type: string}}
env: {DB_PASSWORD: "${{ vars.login.token }}"}
steps:
  - {name: first, type: shell, cmd: "echo ${{ vars.host }} ${{ vars.login.name }}", parse: text,
      env: {OTHER: "${{ vars.of }}"}}
  - {name: one, type: shell, cmd: 'echo "$API_TOKEN"; echo $DB_PASSWORD >&2; exit 3', needs: [],
      env: {API_TOKEN: "${{ vars.token }}", MY_SECRET: "${{ inputs_key }}"}}
  - {name: part, use: recipes/_part.yaml, needs: [], with: {raw: "${{ vars.raw }}", given: WITH}}
"""
_HANDED_PART = """
vars: {raw: none, pin: "${{ vars.raw }}", own: own_secret, given: none}
steps:
  - {name: a, type: shell, parse: text, cmd: 'exit 4',
      args: {API_KEY: "${{ vars.pin }}", OWN_TOKEN: "${{ vars.own }}",
        TOKEN: "${{ vars.given }}"}}
"""


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["serial", "xdist"])
def test_vars_and_inputs_that_a_secret_variable_takes_whole_are_masked(
    bench: Project, options: tuple[str, ...]
) -> None:
    names = ("vars", "login", "own", "with", "input", "raw")
    canaries = {name: f"{name}-5f0d77c1-{name}" for name in names}
    text = _HANDED.replace("VARS", canaries["vars"]).replace("LOGIN", canaries["login"])
    text = text.replace("WITH", canaries["with"])
    bench.write("recipes/x.yaml", text.replace("inputs_key", "vars.key"))
    bench.write("recipes/_part.yaml", _HANDED_PART.replace("own_secret", canaries["own"]))
    given = (f"--recipe-var=key={canaries['input']}", f"--recipe-var=raw={canaries['raw']}")

    result = bench.spawn(*REPORTS, *given, "-vv", "-orecipe_html=true", *options)

    shown = result.stdout.str() + result.stderr.str()
    assert {name: leaks(bench.path, shown, value) for name, value in canaries.items()} == {
        name: [] for name in canaries
    }
    report = (bench.path / "out/report.json").read_text()
    assert "station-12" in report, "a var that no secret variable takes"
    assert "bench-7" in report, "a part of a var that no secret variable takes"


def test_nothing_is_masked_without_secrets(bench: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "short")
    bench.ini("recipe_secret_names =")
    monkeypatch.setenv("OTHER_TOKEN", "abcdef-12345")
    bench.recipe("bench", {"fails": step("fails"), "calls": shell("off")})

    result = bench.spawn(*REPORTS, "-vv", "-rA", "--showlocals")

    texts = [path.read_text() for path in (bench.path / ".orchestrator").rglob("*.std*")]
    assert "***" not in "".join([result.stdout.str(), result.stderr.str(), *texts])
    assert any("https://bench/?k=short" in text for text in texts)
