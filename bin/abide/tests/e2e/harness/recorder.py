"""A server that notes every request in a file before it answers, 30 ms later.

    python3 recorder.py PORT NAME FILE

The file outlives the server, so it shows what a killed server had read. Each line is the method and
the target, written with one call, so that lines of several servers do not mix.
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, NAME, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
RECORD = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        os.write(RECORD, f"{self.command} {self.path}\n".encode())
        time.sleep(0.03)
        body = b'{"server":"%s"}' % NAME.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", PORT), Recorder).serve_forever()
