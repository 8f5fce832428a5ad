"""NAME
    station_service - simulated web service of a test station

DESCRIPTION
    `serve` keeps units and their verdicts until its process is ended: it is a
    service. A unit gets its verdict at the second request for it.

USAGE
    In a recipe, see recipes/incoming_inspection.yaml:
        type: python
        module: scriptlets.python.steps.station_service
        function: serve
        params: {port: 8124}
        background: true
        ready: {http: "http://127.0.0.1:8124/health"}
    Alone:
        python scriptlets/python/steps/station_service.py --params '{"port": 8124}'

RETURNS
    Nothing, since it runs until its process is ended. The service answers
        GET /health         200
        POST /units         201, for a unit {"serial": "SN0042", "volts": 12.0}
        GET /units/SN0042   200 with the unit and its "verdict": accepted, or rejected
                            if the volts are not 11 to 13; 202 before the verdict

LIMITATIONS
    Listens on 127.0.0.1 only. Units are lost when the service ends.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pytest_orchestrator import get_logger, main

HOST = "127.0.0.1"
LOWEST, HIGHEST = 11.0, 13.0  # volts of a unit that is accepted

log = get_logger(__name__)


def serve(params: dict[str, Any]) -> dict[str, Any]:
    """Answer on a port until the process is ended.

    Args:
        params: `port`: the port to listen on.

    Returns:
        The status; never reached.
    """
    units: dict[str, dict[str, Any]] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._send(200, {"status": "ready"})
                return
            unit = units.get(self.path.removeprefix("/units/"))
            if unit is None:
                self._send(404, {"error": f"no unit at {self.path}"})
            elif "asked" not in unit:
                unit["asked"] = True
                self._send(202, unit)
            else:
                is_good = LOWEST <= unit["volts"] <= HIGHEST
                self._send(200, {**unit, "verdict": "accepted" if is_good else "rejected"})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            unit = json.loads(self.rfile.read(length))
            units[unit["serial"]] = unit
            self._send(201, unit)

        def _send(self, code: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, text: str, *args: object) -> None:
            log.info(text, *args)

    with ThreadingHTTPServer((HOST, params["port"]), Answer) as server:
        server.serve_forever()
    return {"status": "ok"}


if __name__ == "__main__":
    main(serve)
