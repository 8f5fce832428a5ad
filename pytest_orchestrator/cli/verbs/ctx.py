"""Read and write a Context that is served: that of a session, of a step, or of `serve`.

Address and token come from ORCHESTRATOR_ADDRESS and ORCHESTRATOR_TOKEN, which every step has, or
from .orchestrator/server.json in this folder or one above.
"""

import argparse
import json
import sys
from typing import Any

EXAMPLE = "ctx get metrics.mean_v1"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    from pytest_orchestrator.cli.context.questions import QUESTIONS

    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    for name, question in QUESTIONS.items():
        told = f"{question.about[0].upper()}{question.about[1:]}."
        one = words.add_parser(name, help=question.about, description=told, allow_abbrev=False)
        question.declare(one)
        one.add_argument("--json", action="store_true", help="print JSON, on one line")
        one.add_argument("--address", metavar="ADDRESS", help="host:port, or path of a Unix socket")
        one.add_argument(
            "--who", metavar="NAME", help="who changes it (default: whose token it is)"
        )


def run(args: argparse.Namespace) -> int:
    """Ask it."""
    from pytest_orchestrator.cli.context.questions import NOTHING, QUESTIONS
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.remote.client import ContextUnreachable, RemoteContext

    question = QUESTIONS[args.word]
    try:
        with RemoteContext.connect(args.address) as context:
            answer = question.ask(context, args)
    except OrchestratorError as error:
        print(f"pytest-orchestrator ctx: {error}", file=sys.stderr)
        return 2 if isinstance(error, ContextUnreachable) else 1
    if answer is not NOTHING:
        told = _json if args.json else question.told or _value
        shown = told(answer)
        if shown or not isinstance(answer, (list, dict)):
            print(shown)
    return 0


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _value(value: Any) -> str:
    """Write a value for people and scripts: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
