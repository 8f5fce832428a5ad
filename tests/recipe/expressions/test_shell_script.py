"""Shell script parser: simple commands and pipelines, or no result at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core import extras
from pytest_orchestrator.recipe.expressions.command_line import commands_of


def shown(text: str) -> str | None:
    """Return the commands of a script; `?` marks a guarded failure, `|` a piped command."""
    found = commands_of(text.replace("@", "\0"))
    if found is None:
        return None
    return " ".join(
        f"{one.program}:{one.line}{'?' * one.guarded}{'|' * one.piped}" for one in found.commands
    )


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("flash -D fw.bin", "flash:1"),
        ("a\n\n  b # c; d\n# e\nf", "a:1 b:3 f:5"),
        ("a; b & c\nwait", "a:1 b:1 c:1 wait:2"),
        ("a && b", "a:1 b:1"),
        ("a || b", "a:1? b:1"),
        ("a && b || c; d", "a:1? b:1? c:1 d:1"),
        ("a | b |& c", "a:1| b:1| c:1"),
        ("a | b && c | d", "a:1| b:1 c:1| d:1"),
        ("{ a; b; } | c; d", "a:1| b:1| c:1 d:1"),
        ("a | b || true", "a:1?| b:1? true:1"),
        ("! a | b; c", "a:1?| b:1? c:1"),
        ("if a; then b; elif c; then d; else e; fi; f", "a:1? b:1 c:1? d:1 e:1 f:1"),
        ("while a; do b; done < x\nuntil c\ndo d\ndone", "a:1? b:1 c:2? d:3"),
        ("for i in 1 2; do a; done; for j\ndo b; done", "a:1 b:2"),
        ("case $x in\n  a | b) c ;;\n  (*) d;; esac\ne", "c:2 d:3 e:4"),
        ("case x in esac; a", "a:1"),
        ("(a; b) || c", "a:1? b:1? c:1"),
        ("f() { a; }\ng()\n{\n b\n}\nfunction h { c; }\nf", "a:1 b:4 c:6 f:7"),
        ("A=1 B='x y' a; C=2; D=(1 2); e", "a:1 e:1"),
        ("a >x 2>&1 <y; 2>/dev/null b", "a:1 b:1"),
        ("cat <<E\nnot\nE\nb", "cat:1 b:4"),
        ("cat <<-'E'\n\t$(not\n\tE\nb", "cat:1 b:4"),
        ("a \\\n  b\nc", "a:1 c:3"),
        ("echo 'a\nb' \"c\nd\"\ne", "echo:1 e:4"),
        ("x=$(a | b)\n`c` d\ne \"$(f 'g)')\"", "None:2 e:3"),
        ("$A b; @; a@; ~/b; *.sh", "None:1 None:1 None:1 None:1 None:1"),
        ('\'a b\' c; "d"; "d"e; \\f', "a b:1 d:1 None:1 None:1"),
        ("[[ a && b ]] || c", "None:1? c:1"),
        ("[ -f x ] && a", "None:1 a:1"),
        ("a <(b; c) >(d)", "a:1"),
        ("echo $((1 + (2))) ${x:-y}; a", "echo:1 a:1"),
        ("((x)); a $'b' \"${b:-'c'}\"", "None:1 a:1"),
        ("for ((;;)); do a; done; x=$(case a in a) b;; esac)", "None:1 a:1"),
        ("( " * 9_000 + "a" + " )" * 9_000, "a:1"),
    ],
)
def test_commands_have_their_lines(text: str, commands: str) -> None:
    assert shown(text) == commands


@pytest.mark.parametrize(
    "text",
    [
        *("a 'b", 'a "b', "a `b", "a $(b", "a ${b", "a $((b"),
        *(
            "if a; then b",
            "a; fi",
            "a )",
            "( a",
            "{ a",
            "a; }",
            "done",
            "a; ;",
            "a | ; b",
            "a |",
            "a &&",
            "!",
        ),
        *("time a", "coproc a", "cat <<E; a\nE\n", "a (b)", "case a in b", "a <<$B\nB\n", "[[ a"),
        "a" * 70_000,
    ],
)
def test_a_script_with_uncertain_syntax_is_not_parsed(text: str) -> None:
    assert commands_of(text) is None


def test_names_of_functions_and_variables_are_found() -> None:
    found = commands_of("f() { A=1; }\nfunction g { :; }\nB+=2 C[1]=3 d")
    assert found is not None
    assert found.functions == {"f", "g"}
    assert found.variables == {"A", "B", "C"}


def test_without_the_extra_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "validate", ("no_such_module",))

    assert commands_of("a") is None


@given(st.text("ab \n;|&(){}$`'\"<E#\\!\ud800\0", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    found = commands_of(text)

    assert found is None or all(1 <= one.line <= text.count("\n") + 1 for one in found.commands)
