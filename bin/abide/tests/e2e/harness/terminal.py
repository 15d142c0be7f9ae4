"""Runs a demo in a terminal and presses its keys.

    python3 terminal.py ABIDE

1 stops server a, 1 again starts it, q ends the demo and leaves the terminal as it was.
"""

import os
import pty
import select
import sys
import termios
import time

PATIENCE_S = int(os.environ.get("PATIENCE_MS", "30000")) / 1000

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], "demo", "--listen", "127.0.0.1:0", "--servers", "2"])

shown = b""


def wait_for(text):
    global shown
    deadline = time.monotonic() + PATIENCE_S
    while text not in shown:
        if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            sys.exit(f"never saw {text!r} in:\n{shown.decode(errors='replace')}")
        shown += os.read(terminal, 65536)
    shown = shown.split(text, 1)[1]


def edits_lines():
    return bool(termios.tcgetattr(terminal)[3] & termios.ICANON)


assert edits_lines(), "a new terminal edits lines"
wait_for(b"1 to 2 stop or start a server, q ends the demo")
assert not edits_lines(), "keys are read one by one"
os.write(terminal, b"1")
wait_for(b"Server a was killed.")
os.write(terminal, b"x1")
wait_for(b"Server a was started again")
os.write(terminal, b"q")
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert edits_lines(), "the terminal is as it was"
