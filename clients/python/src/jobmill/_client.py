# SPDX-License-Identifier: LGPL-2.1-or-later
"""Client: calls that wait for their answers. Any thread may call at any time; each call under way has a connection of its own, and those
that are not needed are kept for the next ones."""

import collections
import contextlib
import socket
import time

from . import _wire
from ._error import DeadlineExceeded, Disconnected

Flow = collections.namedtuple("Flow", "flow jobs")              # its id; ids of its jobs by name
Outcome = collections.namedtuple("Outcome", "state result outcome")  # outcome: the last attempt (Attempt)


class Connection:
    def __init__(self, path, deadline):
        self.buffer = _wire.Buffer()
        self.messages = collections.deque()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(deadline.left())
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes who reads in another thread
        self.socket.close()

    def send(self, data, deadline):
        self.socket.settimeout(deadline.left())
        self.socket.sendall(data)

    def read(self, deadline):
        while not self.messages:
            self.socket.settimeout(deadline.left())
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionResetError("the daemon has closed the connection")
            self.messages.extend(self.buffer.feed(data))
        return self.messages.popleft()


class Client:
    """path: of the daemon's socket; jobmill.user_path() for one's own instance. timeout: seconds for each call that is not given
    another, with all that it takes to connect again; None: for ever."""

    def __init__(self, path=None, timeout=60.0):
        self.path = path or _wire.default_path()
        self.timeout = timeout
        self._idle = collections.deque()
        self._closed = False

    def close(self):
        self._closed = True
        self._forget_idle()

    def _forget_idle(self):
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while True:
                self._idle.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- any method --

    def call(self, method, parameters=None, timeout=...):
        """The reply's parameters. A call that changes nothing by being made twice is made until it is answered; any other raises
        Disconnected where that is not known."""
        deadline = _wire.Deadline(self.timeout if timeout is ... else timeout)
        data, backoff = _wire.message(method, _wire.requested(method, parameters)), _wire.Backoff()
        while True:
            sent = False
            try:
                with self._connection(deadline, fresh=method not in _wire.REPEATABLE) as connection:
                    sent = True
                    connection.send(data, deadline)
                    reply = connection.read(deadline)
                break
            except TimeoutError as e:
                raise e if isinstance(e, DeadlineExceeded) else deadline.error() from None
            except OSError as e:
                self._forget_idle()  # they are of a daemon that is gone, too
                if self._closed or (sent and method not in _wire.REPEATABLE):
                    raise Disconnected("%s: %s" % (method, e)) from e
            time.sleep(backoff.next(deadline))
        error = _wire.error_of(reply)
        if error:
            raise error
        return reply.get("parameters") or {}

    @contextlib.contextmanager
    def _connection(self, deadline, fresh):
        """fresh: an old one may turn out to have been closed by the other side, only after something was sent."""
        try:
            connection = Connection(self.path, deadline) if fresh else self._idle.pop()
        except IndexError:
            connection = Connection(self.path, deadline)
        try:
            yield connection
        except BaseException:
            connection.close()  # an answer that nobody waits for must not be the next one's
            raise
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    # -- jobs --

    def submit(self, spec, timeout=...):
        """The job's id, once it is stored: exactly one job, whatever happens to the connection."""
        return self.call("Submit", {"job": _wire.spec_on_wire(spec)}, timeout)["id"]

    def submit_many(self, specs, timeout=...):
        """Ids; all or none of them."""
        return self.call("SubmitMany", {"jobs": [_wire.spec_on_wire(s) for s in specs]}, timeout)["ids"]

    def submit_flow(self, document, timeout=...):
        """Jobs that wait for one another: the document of "jobmill submit --flow"."""
        reply = self.call("SubmitFlow", {"flow": document}, timeout)
        return Flow(reply["flow"], reply["jobs"])

    def get(self, id, timeout=...):
        return self.call("Get", {"id": id}, timeout)["job"]

    def list(self, filter=None, timeout=...):
        """Each job that matches, a page at a time."""
        cursor = None
        while True:
            reply = self.call("List", _wire.given(filter=filter, cursor=cursor, limit=_wire.PAGE), timeout)
            yield from reply["jobs"]
            cursor = reply.get("next")
            if not cursor:
                return

    def wait(self, id, timeout=None):
        """Until the job has ended, over restarts of the daemon, too."""
        reply = self.call("Wait", {"id": id}, timeout)
        return Outcome(reply["state"], reply["result"], reply["outcome"])

    def cancel(self, id, timeout=...):
        self.call("Cancel", {"id": id}, timeout)

    def hold(self, id, timeout=...):
        self.call("Hold", {"id": id}, timeout)

    def release(self, id, timeout=...):
        self.call("Release", {"id": id}, timeout)

    def retry(self, id, max_attempts=None, delay=None, timeout=...):
        """delay: seconds. Not made twice by itself: Disconnected."""
        self.call("Retry", _wire.given(id=id, max_attempts=max_attempts, delay_usec=_wire.microseconds(delay)), timeout)

    def events(self, after=None):
        """What becomes of jobs, as it comes, behind the number after (None: from now on). Goes on over restarts of the daemon, and
        misses nothing: else EventsLost is raised, with parameters["last"] to go on after."""
        return Events(self, after)

    # -- the rest --

    def types(self, timeout=...):
        return self.call("ListTypes", None, timeout)["types"]

    def schedules(self, timeout=...):
        return self.call("ListSchedules", None, timeout)["schedules"]

    def workers(self, timeout=...):
        return self.call("ListWorkers", None, timeout)["workers"]

    def statistics(self, timeout=...):
        return self.call("Statistics", None, timeout)["statistics"]

    def report(self, filter=None, group_by=None, timeout=...):
        return self.call("Report", _wire.given(filter=filter, group_by=group_by), timeout)["rows"]


class Events:
    """An iterator that does not end, until close(), which any thread may call. last: the number to go on after."""

    def __init__(self, client, after):
        self.client, self.last = client, after
        self._connection = None
        self._closed = False
        self._come = collections.deque()
        self._connect()

    def __iter__(self):
        return self

    def __next__(self):
        while not self._come:
            if self._closed:
                raise StopIteration
            try:
                self._read(_wire.Deadline(None))
            except OSError:
                if not self._closed:
                    self._connect()
        event = self._come.popleft()
        self.last = event["number"]
        return event

    def close(self):
        self._closed = True
        if self._connection:
            self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _connect(self):
        """Until it is answered, so that whatever is done from here on is seen."""
        backoff, deadline = _wire.Backoff(), _wire.Deadline(self.client.timeout if self._connection is None else None)
        while not self._closed:
            try:
                if self._connection:
                    self._connection.close()
                self._connection = Connection(self.client.path, deadline)
                self._connection.send(_wire.message("Events", _wire.given(after=self.last), more=True), deadline)
                self._read(deadline)
                return
            except TimeoutError as e:
                raise e if isinstance(e, DeadlineExceeded) else deadline.error() from None
            except OSError:
                time.sleep(backoff.next(deadline))

    def _read(self, deadline):
        reply = self._connection.read(deadline)
        error = _wire.error_of(reply)
        if error:
            self.close()
            raise error
        self._come.extend(reply["parameters"]["events"])
        if not self._come:
            self.last = reply["parameters"]["last"]
