# SPDX-License-Identifier: LGPL-2.1-or-later
"""Worker: a process that is given jobs and runs a function for each, in threads. One thread, that of run(), speaks with the daemon: it waits
for orders, for answers, and for what the others have done; what they share are two queues."""

import collections
import contextlib
import queue
import select
import signal
import socket
import threading
import time

from . import _wire
from ._client import Connection
from ._error import MethodError
from ._work import DRAIN, Drain, State

CONNECT_SEC = 10


class Link:
    """A connection that is polled: what is to be sent is kept until there is room."""

    def __init__(self, path):
        self.connection = Connection(path, _wire.Deadline(CONNECT_SEC))
        self.socket = self.connection.socket
        self.socket.setblocking(False)
        self.close = self.connection.close
        self.out = bytearray()

    def flush(self):
        with contextlib.suppress(BlockingIOError):
            while self.out:
                del self.out[:self.socket.send(self.out)]

    def receive(self):
        """All messages that have come."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(1 << 18)
                if not data:
                    raise ConnectionResetError("the daemon has closed the connection")
                messages += self.connection.buffer.feed(data)
        return messages


class Session:
    """From one registration until a connection breaks (OSError), or all is done. The connections go together: then it is clear what was
    answered. The worker's results wait in its state, and are sent anew by the next one."""

    def __init__(self, worker, orders, reports):
        self.worker, self.state = worker, worker._state
        self.orders, self.reports = orders, reports
        self.asked = collections.deque()  # what the next answers are to: an attempt's token, DRAIN, or None
        self.drain = Drain(self.state)
        orders.out += self.state.register()
        for token in self.state.done:
            self.ask(token, self.state.completion(token))

    def ask(self, token, message):
        self.asked.append(token)
        self.reports.out += message

    def serve(self):
        while not self.drain.over:
            if self.worker._stop and self.drain.due():
                self.ask(DRAIN, self.state.drain())
            for link in self.orders, self.reports:
                link.flush()
            self.wait()
            for reply in self.orders.receive():
                self.worker._order(reply)
            for done in self.worker._come():
                self.note(*done)
            for reply in self.reports.receive():
                if not self.state.answered(self.asked.popleft(), reply):
                    raise ConnectionAbortedError("a result could not be recorded yet")

    def wait(self):
        poll = select.poll()
        poll.register(self.worker._wake, select.POLLIN)
        for link in self.orders, self.reports:
            poll.register(link.socket, select.POLLIN | (select.POLLOUT if link.out else 0))
        poll.poll()

    def note(self, what, job, *more):
        if what == "status":
            self.ask(None, self.state.status(job, *more))
        elif token := self.state.complete(job, *more):
            self.ask(token, self.state.completion(token))


class Worker:
    """queues: a name, or several, whose files say Executor=worker. slots: how many at once.

        jobmill.Worker("thumbnails", slots=4).run(work)

    work(job) returns a verdict (a dict), or None for success; what it raises is the error that people see. A job that is cancelled, or takes
    too long, has job.cancelled set: who does not return within the stop time-out is killed, with the process."""

    def __init__(self, queues, slots=1, name=None, metadata=None, path=None):
        self.path = path or _wire.default_path()
        self._state = State(queues, slots, name, metadata)
        self._backoff = _wire.Backoff()
        self._handed = collections.deque()   # to the threads: jobs
        self._calls = queue.SimpleQueue()    # to one of them: there are some (True), or it is over
        self._called = False                 # and it has not come yet
        self._noted = collections.deque()    # from them: ("done", job, value, error), ("status", job, status)
        self._threads = self._running = 0
        self._stop = self._woken = False
        self._wake, self._waker = socket.socketpair()
        for s in self._wake, self._waker:
            s.setblocking(False)

    def stop(self):
        """It is given nothing more, and run() returns when all that it has is done and recorded. From any thread or signal handler."""
        self._stop = True
        self._awake()

    def run(self, work):
        """Until stop(), or a drain; in the main thread SIGTERM is stop(). Raises what the daemon says who does not take this worker."""
        self._work = work
        try:
            with self._on_sigterm():
                while not self._session():
                    time.sleep(self._backoff.next())
        finally:
            for _ in range(self._threads):
                self._calls.put(False)

    # -- in the thread of run() --

    @contextlib.contextmanager
    def _on_sigterm(self):
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, lambda *_: self.stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _session(self):
        """Whether it was the last one."""
        try:
            with contextlib.closing(Link(self.path)) as orders, contextlib.closing(Link(self.path)) as reports:
                Session(self, orders, reports).serve()
                return True
        except OSError:
            return self._stop and not self._state.token  # nobody has ever heard of it
        except MethodError as e:
            if e.name != "NoSuchWorker" or not self._state.token:
                raise
            self._state.forgotten()
            return False

    def _order(self, reply):
        what, job = self._state.order(self, reply)
        self._backoff = _wire.Backoff()
        if what == "stop":
            self._stop = True
        elif what == "start":
            self._running += 1
            if self._threads < self._running:
                self._threads += 1
                threading.Thread(target=self._thread, daemon=True).start()
            self._handed.append(job)
            self._call()

    def _come(self):
        """What the threads have noted since."""
        self._woken = False
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        while self._noted:
            noted = self._noted.popleft()
            self._running -= noted[0] == "done"
            yield noted

    # -- in any --

    def _awake(self):
        if not self._woken:
            self._woken = True
            with contextlib.suppress(BlockingIOError):  # there is enough in it
                self._waker.send(b"!")

    def _note(self, *what):
        self._noted.append(what)
        self._awake()

    def _status(self, job, status):
        self._note("status", job, status)

    def _call(self):
        """A thread, unless one is on its way. Short jobs are so done by few, one after another; whoever takes one of several calls the next
        thread first, so that a long one holds up nobody."""
        if not self._called:
            self._called = True
            self._calls.put(True)

    def _thread(self):
        while self._calls.get():
            self._called = False
            while True:
                try:
                    job = self._handed.popleft()
                except IndexError:
                    break
                if self._handed:
                    self._call()
                self._perform(job)

    def _perform(self, job):
        value = error = None
        try:
            value = self._work(job)
        except BaseException as e:  # also SystemExit: it is the job that has failed
            error = e
        self._note("done", job, value, error)
