# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages, without sockets: what the sync and the asyncio client have in common."""

import base64
import binascii
import json
import os
import time
import uuid

from ._error import DeadlineExceeded, MethodError
from ._types import ERRORS

PROTOCOL = 1
PAGE = 1000  # jobs that List is asked for at once

# What may be sent again when its answer did not come: it changes nothing, or the same thing once (request_id).
REPEATABLE = frozenset("Submit SubmitMany SubmitFlow Get List Wait Cancel Hold Release ListTypes Statistics ListSchedules GetSchedule "
                       "ListFirings ListWorkers Metrics Report".split())

BACKOFF_FIRST, BACKOFF_MAX = 0.05, 1.0  # seconds, between attempts to connect


def default_path():
    """Where the daemon listens: $JOBMILL_RUNTIME_PATH, or /run/jobmill."""
    return os.path.join(os.environ.get("JOBMILL_RUNTIME_PATH", "/run/jobmill"), "org.jobmill")


def user_path():
    """Where "jobmilld --user" does."""
    return os.path.join(os.environ["XDG_RUNTIME_DIR"], "jobmill", "org.jobmill")


def message(method, parameters, more=False):
    call = {"method": method if "." in method else "org.jobmill." + method, "parameters": parameters}
    if more:
        call["more"] = True
    return json.dumps(call, separators=(",", ":")).encode() + b"\0"


def error_of(reply):
    """The exception of a reply, or None."""
    if "error" not in reply:
        return None
    name = reply["error"].rpartition(".")[2]
    parameters = reply.get("parameters") or {}
    return ERRORS.get(name, MethodError)(name, parameters)


class Buffer:
    """Bytes that come, messages that go. A list of parts: a long message is not copied each time some of it comes."""

    def __init__(self):
        self.parts = []

    def feed(self, data):
        """The messages that are whole by now."""
        if b"\0" not in data:
            self.parts.append(data)
            return []
        self.parts.append(data)
        *messages, rest = b"".join(self.parts).split(b"\0")
        self.parts = [rest]
        return [json.loads(m) for m in messages]


class Deadline:
    """timeout: seconds, or None."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.at = None if timeout is None else time.monotonic() + timeout

    def left(self):
        """Seconds, or None; raises once there are none."""
        if self.at is None:
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self):
        return DeadlineExceeded("no answer within %g s" % self.timeout)


class Backoff:
    def __init__(self):
        self.seconds = BACKOFF_FIRST

    def next(self, deadline=None):
        """How long to sleep before the next attempt."""
        seconds, self.seconds = self.seconds, min(self.seconds * 2, BACKOFF_MAX)
        left = deadline.left() if deadline else None
        return seconds if left is None else min(seconds, left)


# ---- specs ----

def spec_on_wire(spec):
    """Of a Spec whose payload and credentials may be bytes."""
    wire = dict(spec)
    if isinstance(wire.get("payload"), (bytes, bytearray)):
        wire["payload_base64"] = base64.b64encode(wire.pop("payload")).decode()
    secret = {k: v for k, v in wire.get("credentials", {}).items() if isinstance(v, (bytes, bytearray))}
    if secret:
        wire["credentials"] = {k: v for k, v in wire["credentials"].items() if k not in secret}
        wire["credentials_base64"] = {**wire.get("credentials_base64", {}), **{k: base64.b64encode(v).decode() for k, v in secret.items()}}
    return wire


def requested(method, parameters):
    """What makes jobs has a request_id, so that it makes the same ones when it is sent again. It stands in the first of several."""
    key = {"Submit": "job", "SubmitMany": "jobs", "SubmitFlow": "flow"}.get(method)
    made = (parameters or {}).get(key)
    first = made[0] if isinstance(made, (list, tuple)) and made else made
    if not isinstance(first, dict) or first.get("request_id") is not None:
        return parameters or {}
    first = {**first, "request_id": uuid.uuid4().hex}
    return {**parameters, key: first if isinstance(made, dict) else [first, *made[1:]]}


def payload_of(spec):
    if "payload_base64" in spec:
        try:
            return base64.b64decode(spec["payload_base64"], validate=True)
        except binascii.Error:
            return b""
    return spec.get("payload", "").encode()


def given(**parameters):
    """Those that are not None."""
    return {k: v for k, v in parameters.items() if v is not None}


def microseconds(seconds):
    return None if seconds is None else max(0, int(seconds * 1_000_000))
