"""Read and write a Context that is served; read that of a run, at its end or at a step.

It is served by a session, to a step, or by `serve`. Address and token come from
ORCHESTRATOR_ADDRESS and ORCHESTRATOR_TOKEN, which every step has, or from
.orchestrator/server.json in this folder or one above.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_orchestrator.cli.examples import with_example
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.reports.text import say, say_json, say_value

if TYPE_CHECKING:
    from pytest_orchestrator.cli.context.questions import Question
    from pytest_orchestrator.context.context import ContextLike

EXAMPLE = "ctx get metrics.mean_v1"

_SCRIPT = Path(__file__).parents[1] / "templates" / "update_state.sh"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    from pytest_orchestrator.cli.context import of_a_run
    from pytest_orchestrator.cli.context.questions import QUESTIONS

    of_a_run.declare(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, on one line")
    words = parser.add_subparsers(metavar="WORD", dest="word")
    for name, question in QUESTIONS.items():
        told = f"{question.about[0].upper()}{question.about[1:]}."
        example = with_example(f"ctx {name} {question.example}".rstrip())
        one = words.add_parser(name, help=question.about, description=told, **example)
        one.set_defaults(parser=one)
        question.declare(one)
        of_a_run.declare(one, default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        one.add_argument("--address", metavar="ADDRESS", help="host:port, or path of a Unix socket")
        one.add_argument(
            "--who", metavar="NAME", help="who changes it (default: whose token it is)"
        )
    words.add_parser(
        "script",
        help="print update_state.sh, which asks the same in plain bash",
        **with_example("ctx script"),
    )
    diff = words.add_parser(
        "diff",
        help="print how the Contexts of two runs differ",
        **with_example("ctx diff 20261125T101502Z-7f3a latest"),
    )
    of_a_run.declare_diff(diff)
    diff.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Ask it."""
    from pytest_orchestrator.cli.context import of_a_run
    from pytest_orchestrator.cli.context.questions import NOTHING, QUESTIONS
    from pytest_orchestrator.core.errors import OrchestratorError

    if args.word == "script":
        sys.stdout.write(_SCRIPT.read_text(encoding="utf-8"))
        return 0
    if args.word == "diff":
        found = of_a_run.difference(args)
        if args.json:
            say_json(found, None)
        else:
            say(*of_a_run.difference_told(found))
        return 1 if found else 0
    if args.word is None and args.run is None:
        raise Mistake(f"say what: {', '.join(QUESTIONS)}, diff, script")
    question = QUESTIONS[args.word or "full"]
    try:
        answer = _of_run(question, args) if args.run else _served(question, args)
    except OrchestratorError as error:
        say(f"pytest-orchestrator ctx: {error}", err=True)
        return 2 if error.slug == "context-unreachable" else 1
    if answer is not NOTHING:
        _print(question, answer, as_json=args.json)
    return 0


def _print(question: "Question", answer: Any, *, as_json: bool) -> None:
    if as_json:
        say_json(answer, None)
    elif question.told is not None:
        say(*question.told(answer))
    elif isinstance(answer, str):
        say_value(answer)
    else:
        say(json.dumps(answer, ensure_ascii=False))


def _served(question: "Question", args: argparse.Namespace) -> Any:
    from pytest_orchestrator.context.rpc.client import RemoteContext

    for name in ("before", "after", "recipe"):
        if getattr(args, name):
            raise Mistake(f"--{name} is about a run; name it by --run")
    with RemoteContext.connect(args.address) as context:
        return question.ask(context, args)


def _of_run(question: "Question", args: argparse.Namespace) -> Any:
    from pytest_orchestrator.cli.context import of_a_run

    if question.changes:
        raise Mistake(f"what was is not changed: '{args.word}' needs a Context that is served")
    return question.ask(cast("ContextLike", of_a_run.context_of(args)), args)
