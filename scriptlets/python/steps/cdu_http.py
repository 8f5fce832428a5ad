"""NAME
    cdu_http - simulated coolant distribution unit with an HTTP interface, and its client

DESCRIPTION
    `serve` answers GET /reading with one reading as JSON until its process is
    ended: it is a service. `ask` appends readings from it to the Context.

USAGE
    In a recipe, see recipes/cdu_http.yaml:
        type: python
        module: scriptlets.python.steps.cdu_http
        function: serve
        params: {port: 8123}
        background: true
        ready: {port: 8123}
    Alone, the unit without its client:
        python scriptlets/python/steps/cdu_http.py --params '{"port": 8123}'

RETURNS
    serve: nothing, since it runs until its process is ended.
    ask: {"status": "ok", "polls": 3}; the Context then has the list cdu_http.readings_v1.
    {"status": "error", "reason": ...} if the unit does not answer.

LIMITATIONS
    Listens on 127.0.0.1 only.
"""

import itertools
import json
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pytest_orchestrator import Context, get_logger, main

HOST = "127.0.0.1"
TIMEOUT = 5  # seconds for one answer

log = get_logger(__name__)


def serve(params: dict[str, Any]) -> dict[str, Any]:
    """Answer on a port until the process is ended.

    Args:
        params: `port`: the port to listen on.

    Returns:
        The status; never reached.
    """
    polls = itertools.count(1)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/reading":
                self.send_error(404)
                return
            poll = next(polls)
            body = json.dumps({"poll": poll, "supply_pressure_kpa": 320.0 + poll / 10}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, text: str, *args: object) -> None:
            log.info(text, *args)

    with ThreadingHTTPServer((HOST, params["port"]), Answer) as server:
        sys.stdout.write(f"listening on {HOST}:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
    return {"status": "ok"}


def ask(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Append readings of the unit to cdu_http.readings_v1.

    Args:
        ctx: The Context of the run.
        params: `port`: the port of the unit; `polls`: number of readings (default 3).

    Returns:
        The status and the number of readings.
    """
    polls = int(params.get("polls", 3))
    for _ in range(polls):
        try:
            with urllib.request.urlopen(
                f"http://{HOST}:{params['port']}/reading", timeout=TIMEOUT
            ) as answer:
                ctx.append("cdu_http.readings_v1", json.load(answer), who="cdu_http")
        except (urllib.error.URLError, OSError) as error:
            return {"status": "error", "reason": f"the unit does not answer: {error}"}
    return {"status": "ok", "polls": polls}


if __name__ == "__main__":
    main(serve)
