"""The proxies that are compared, as data: how each is started, and with which features.

Every one of them runs on one core with one thread, keeps connections open on both sides, keeps a visitor
on one server by a cookie, checks its servers, adds X-Forwarded-For and -Proto, and writes an access log
to a file. Where one of them can not do one of these, its `note` says so.
"""

import dataclasses
import os
import pathlib
import subprocess

ORIGIN_NAMES = ("a", "b")


@dataclasses.dataclass(frozen=True)
class Peer:
    """One proxy. `files` and `command` get {dir}, {port}, {origins} and the like filled in by `plan`."""

    name: str
    program: str
    version: tuple
    note: str
    tuned: bool = False
    log: bool = True

    def plan(self, folder: pathlib.Path, port: int, origins: list, abide: str):
        """Writes the configuration into `folder`, and returns the command that runs in the foreground."""
        if self.program == "haproxy":
            (folder / "haproxy.cfg").write_text(haproxy_config(self, port, origins))
            return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
        if self.program == "nginx":
            (folder / "nginx.conf").write_text(nginx_config(self, folder, port, origins))
            return nginx_command(folder)
        servers = [f"--server={name}=127.0.0.1:{origin}" for name, origin in zip(ORIGIN_NAMES, origins)]
        return [abide, "balance", f"--listen=127.0.0.1:{port}", *servers, "--threads=1", "--check-path=/health",
                f"--access-log={folder / 'access.log'}", "--admin=127.0.0.1:0"]


ABIDE = Peer("abide", "abide", ("abide", "--version"), "sealed cookie, active and passive checks, metrics, log")
PEERS = [
    ABIDE,
    Peer("haproxy", "haproxy", ("haproxy", "-v"), "plain cookie, active checks, counters, log"),
    Peer("haproxy-no-log", "haproxy", ("haproxy", "-v"), "the same without its access log", log=False),
    Peer("haproxy-tuned", "haproxy", ("haproxy", "-v"), "the same with buffers of 64 KiB, which measured best of 32 to 1024", tuned=True),
    Peer("nginx", "nginx", ("nginx", "-v"), "hash of a cookie, passive checks only, log in batches"),
    Peer("nginx-tuned", "nginx", ("nginx", "-v"), "the same with 8 buffers of 128 KiB", tuned=True),
]


def haproxy_config(peer: Peer, port: int, origins: list) -> str:
    servers = "\n".join(
        f"    server {name} 127.0.0.1:{origin} check inter 2s cookie {name}"
        for name, origin in zip(ORIGIN_NAMES, origins)
    )
    return f"""global
    nbthread 1
    maxconn 4096
    {"log stdout format raw local0 info" if peer.log else ""}
    {"tune.bufsize 65536" if peer.tuned else ""}

defaults
    mode http
    {"log global" if peer.log else ""}
    {"option httplog" if peer.log else ""}
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s

frontend front
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto http
    default_backend servers

backend servers
    balance roundrobin
    option httpchk GET /health
    cookie SRV insert indirect nocache
{servers}
"""


def nginx_config(peer: Peer, folder: pathlib.Path, port: int, origins: list) -> str:
    servers = "\n".join(f"    server 127.0.0.1:{origin} max_fails=3 fail_timeout=10s;" for origin in origins)
    tuned = "proxy_buffer_size 16k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k;" if peer.tuned else ""
    return nginx_frame(folder) + f"""
  access_log {folder}/access.log combined buffer=64k flush=1s;
  userid on;
  userid_name SRV;
  upstream servers {{
    hash $cookie_SRV consistent;
{servers}
    keepalive 64;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_max_temp_file_size 0;
      {tuned}
    }}
  }}
}}
"""


def origin_config(folder: pathlib.Path, origins: list) -> str:
    """Two servers in one worker, so that one core of load serves every proxy alike."""
    servers = "\n".join(
        f"""  server {{
    listen 127.0.0.1:{origin} backlog=1024;
    root {folder}/files;
    add_header X-Served-By {name};
    location = /health {{ return 200 "ok"; }}
  }}"""
        for name, origin in zip(ORIGIN_NAMES, origins)
    )
    return nginx_frame(folder) + f"  access_log off;\n{servers}\n}}\n"


def nginx_frame(folder: pathlib.Path) -> str:
    """What any nginx needs to run in the foreground out of one folder; the http block is left open."""
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 60s;
  keepalive_requests 10000000;
  default_type application/octet-stream;
{temporary}"""


def nginx_command(folder: pathlib.Path) -> list:
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def version_of(peer: Peer, abide: str) -> str:
    command = [abide if word == "abide" else word for word in peer.version]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return (answer.stdout + answer.stderr).strip().split("\n")[0]
