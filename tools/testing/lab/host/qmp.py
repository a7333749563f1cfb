#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A small QMP client; Debian packages none.

As a program: qmp.py SOCKET COMMAND [NAME=VALUE...] sends one command and prints
QEMU's answer, for use beside `make guest`.
"""

import json
import socket
import sys
import threading
import time


class QMPError(Exception):
    """QEMU answered a command with an error."""


class Disconnected(Exception):
    """QEMU closed the connection: it ended, or was killed."""


class QMP:
    """One connection to QEMU's monitor.  Usable from several threads."""

    def __init__(self, connection):
        self._socket = connection
        self._send_lock = threading.Lock()
        self._changed = threading.Condition()
        self._answers = {}
        self._next_id = 0
        self._greeted = False
        self._closed = False
        self.events = []  # every event since the start, oldest first
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._changed:
            self._changed.wait_for(lambda: self._greeted or self._closed)
        self.execute("qmp_capabilities")

    def _read(self):
        try:
            with self._socket.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    self._dispatch(json.loads(line))
        except (OSError, ValueError):
            pass  # the connection broke in the middle of a line: same as its end
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _dispatch(self, message):
        with self._changed:
            if "event" in message:
                self.events.append(message)
            elif "QMP" in message:
                self._greeted = True
            else:
                self._answers[message.get("id")] = message
            self._changed.notify_all()

    def execute(self, command, **arguments):
        """Send a command; return the content of the answer."""
        with self._send_lock:
            self._next_id += 1
            number = self._next_id
            request = {"execute": command, "id": number}
            if arguments:
                request["arguments"] = arguments
            try:
                self._socket.sendall(json.dumps(request).encode())
            except OSError as error:
                raise Disconnected("QEMU is gone") from error
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._closed)
            if number not in self._answers:
                raise Disconnected("QEMU is gone")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise QMPError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def wait_event(self, name, since=0, timeout=None, matching=lambda data: True):
        """Wait for an event of this name, or of one of these names, after the first `since` ones.

        Returns (event, position after it), or (None, since) after `timeout`
        seconds.  The position is where the next wait may start.
        """
        names = (name,) if isinstance(name, str) else name
        deadline = None if timeout is None else time.monotonic() + timeout
        position = since
        with self._changed:
            while True:
                while position < len(self.events):
                    event = self.events[position]
                    position += 1
                    if event["event"] in names and matching(event.get("data", {})):
                        return event, position
                if self._closed:
                    raise Disconnected("QEMU is gone")
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None, since
                self._changed.wait(left)

    def pause(self, name, seconds=0.1):
        """A function that returns at the next event of this name, or after `seconds`.

        QEMU delays an event that comes within a second of the last one.
        """
        position = len(self.events)

        def wait():
            nonlocal position
            _, position = self.wait_event(name, position, seconds)
        return wait

    def close(self):
        """Close this side; QEMU goes on."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # QEMU closed its side first
        self._reader.join()
        self._socket.close()


def main(path, command, *assignments):
    """Send one command over a monitor's socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    qmp = QMP(connection)
    arguments = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    try:
        print(json.dumps(qmp.execute(command, **arguments)))
    finally:
        qmp.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: qmp.py SOCKET COMMAND [NAME=VALUE...]")
    try:
        main(*sys.argv[1:])
    except (OSError, QMPError, Disconnected) as failure:
        sys.exit(f"error: {failure}")
