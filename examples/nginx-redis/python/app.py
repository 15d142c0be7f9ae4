#!/usr/bin/env python3
"""A small web app that keeps its sessions in Redis by its own means: Python's standard library only.

    NAME=a PORT=3001 REDIS=127.0.0.1:6379 python3 app.py

Nothing here knows of abide. A session is a JSON text under the key `shop:ID` that Redis forgets when
it was unused for an hour; the browser holds the ID in the cookie `sid`. Two of these behind
`abide balance` share their sessions through Redis, and the balancer keeps each visitor at one of them
as long as that one lives.
"""

import json
import os
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

NAME = os.environ.get("NAME", "a")
IDLE_SECONDS = 3600
BODY_BYTES_MAX = 4096


class Redis:
    """One command on a connection of its own: enough for an example, too slow for a shop."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))

    def __call__(self, *words):
        command = b"*%d\r\n" % len(words)
        for word in words:
            data = str(word).encode()
            command += b"$%d\r\n%s\r\n" % (len(data), data)
        with socket.create_connection(self.address, timeout=2) as connection:
            connection.sendall(command)
            with connection.makefile("rb") as answers:
                return self.answer(answers)

    @staticmethod
    def answer(answers):
        line = answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind in (b"+", b":"):
            return rest
        if kind == b"$":
            return None if rest == b"-1" else answers.read(int(rest) + 2)[:-2]
        raise ConnectionError(f"Redis says {rest.decode(errors='replace')}")


redis = Redis(os.environ.get("REDIS", "127.0.0.1:6379"))


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.guarded(self.show)

    def do_POST(self):
        self.guarded(self.change)

    def guarded(self, work):
        """Without its Redis the app says so: nobody is signed out by an outage."""
        try:
            work()
        except (OSError, ValueError) as error:
            self.close_connection = True
            self.answer(503, f"sessions can not be had right now ({error})")

    def show(self):
        if self.path == "/health":
            return self.answer(200, "ok")
        key, session = self.session()
        if session is None:
            return self.answer(200, "nobody")
        session["visits"] = session.get("visits", 0) + 1
        # XX: only if it is still there, or a logout meanwhile would be undone.
        redis("SET", key, json.dumps(session), "EX", IDLE_SECONDS, "XX")
        self.answer(200, f"{session['user']}, visit {session['visits']}")

    def change(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            raise ValueError("that is a long form")
        form = parse_qs(self.rfile.read(length).decode(errors="replace"))
        key, _ = self.session()
        if key is not None:
            # A sign-in gets a new id too: whoever knew the old one must not be signed in by it.
            redis("DEL", key)
        if self.path != "/sign-in" or form.get("password") != ["secret"]:
            return self.answer(200, "signed out", "sid=; Path=/; HttpOnly; Max-Age=0")
        sid = secrets.token_urlsafe(24)
        session = {"user": form.get("user", ["somebody"])[0][:40]}
        redis("SET", f"shop:{sid}", json.dumps(session), "EX", IDLE_SECONDS)
        self.answer(200, "signed in", f"sid={sid}; Path=/; HttpOnly; SameSite=Lax")

    def session(self):
        """The key of the visitor's session and what it holds, if there is one."""
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get("sid")
        except CookieError:
            cookie = None
        if cookie is None or not cookie.value:
            return None, None
        key = f"shop:{cookie.value[:64]}"
        stored = redis("GET", key)
        return key, None if stored is None else json.loads(stored)

    def answer(self, status, text, cookie=None):
        body = f"server {NAME}: {text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3001"))), App)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
