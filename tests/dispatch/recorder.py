"""An HTTP server that keeps the requests it gets, for tests that compare what two clients send."""

import http.server
import json
import threading
import typing


class Recorded(typing.NamedTuple):
    method: str
    path: str
    headers: dict  # names in lower case
    body: object  # parsed where it is JSON, bytes otherwise


class Recorder:
    """answer: (Recorded) -> (status, JSON text). Listens on `port` from its making to close()."""

    def __init__(self, answer):
        self.answer, self.requests, self.lock = answer, [], threading.Lock()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                if body and headers.get("content-type", "").startswith("application/json"):
                    body = json.loads(body)
                request = Recorded(self.command, self.path, headers, body)
                with recorder.lock:
                    recorder.requests.append(request)
                status, text = recorder.answer(request)
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        """The requests since the last call."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def close(self):
        self.server.shutdown()
        self.server.server_close()
