# SPDX-License-Identifier: LGPL-2.1-or-later
"""AsyncClient and AsyncWorker: the same for asyncio. A task that is cancelled closes the connection of its call, and nothing else."""

import asyncio
import collections
import contextlib

from . import _wire
from ._client import Flow, Outcome
from ._error import DeadlineExceeded, Disconnected, MethodError
from ._work import DRAIN, Drain, State


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.buffer = _wire.Buffer()
        self.messages = collections.deque()

    @classmethod
    async def open(cls, path):
        return cls(*await asyncio.open_unix_connection(path, limit=1 << 20))

    def close(self):
        self.writer.close()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self):
        """All messages that have come, at least one."""
        while not self.messages:
            data = await self.reader.read(1 << 18)
            if not data:
                raise ConnectionResetError("the daemon has closed the connection")
            self.messages.extend(self.buffer.feed(data))
        messages, self.messages = self.messages, collections.deque()
        return messages


@contextlib.asynccontextmanager
async def within(deadline):
    """Of the whole, by the deadline."""
    try:
        async with asyncio.timeout(deadline.left()):
            yield
    except TimeoutError as e:
        raise e if isinstance(e, DeadlineExceeded) else deadline.error() from None


class AsyncClient:
    """As Client, with coroutines."""

    def __init__(self, path=None, timeout=60.0):
        self.path = path or _wire.default_path()
        self.timeout = timeout
        self._idle = collections.deque()
        self._closed = False

    async def close(self):
        self._closed = True
        self._forget_idle()

    def _forget_idle(self):
        while self._idle:
            self._idle.pop().close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    # -- any method --

    async def call(self, method, parameters=None, timeout=...):
        deadline = _wire.Deadline(self.timeout if timeout is ... else timeout)
        async with within(deadline):
            reply = await self._answered(method, _wire.message(method, _wire.requested(method, parameters)), deadline)
        error = _wire.error_of(reply)
        if error:
            raise error
        return reply.get("parameters") or {}

    async def _answered(self, method, data, deadline):
        backoff = _wire.Backoff()
        while True:
            sent = False
            try:
                async with self._connection(fresh=method not in _wire.REPEATABLE) as connection:
                    sent = True
                    await connection.send(data)
                    return (await connection.receive())[0]
            except OSError as e:
                self._forget_idle()  # they are of a daemon that is gone, too
                if self._closed or (sent and method not in _wire.REPEATABLE):
                    raise Disconnected("%s: %s" % (method, e)) from e
            await asyncio.sleep(backoff.next(deadline))

    @contextlib.asynccontextmanager
    async def _connection(self, fresh):
        connection = self._idle.pop() if self._idle and not fresh else await Connection.open(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    # -- jobs --

    async def submit(self, spec, timeout=...):
        return (await self.call("Submit", {"job": _wire.spec_on_wire(spec)}, timeout))["id"]

    async def submit_many(self, specs, timeout=...):
        return (await self.call("SubmitMany", {"jobs": [_wire.spec_on_wire(s) for s in specs]}, timeout))["ids"]

    async def submit_flow(self, document, timeout=...):
        reply = await self.call("SubmitFlow", {"flow": document}, timeout)
        return Flow(reply["flow"], reply["jobs"])

    async def get(self, id, timeout=...):
        return (await self.call("Get", {"id": id}, timeout))["job"]

    async def list(self, filter=None, timeout=...):
        cursor = None
        while True:
            reply = await self.call("List", _wire.given(filter=filter, cursor=cursor, limit=_wire.PAGE), timeout)
            for job in reply["jobs"]:
                yield job
            cursor = reply.get("next")
            if not cursor:
                return

    async def wait(self, id, timeout=None):
        reply = await self.call("Wait", {"id": id}, timeout)
        return Outcome(reply["state"], reply["result"], reply["outcome"])

    async def cancel(self, id, timeout=...):
        await self.call("Cancel", {"id": id}, timeout)

    async def hold(self, id, timeout=...):
        await self.call("Hold", {"id": id}, timeout)

    async def release(self, id, timeout=...):
        await self.call("Release", {"id": id}, timeout)

    async def retry(self, id, max_attempts=None, delay=None, timeout=...):
        await self.call("Retry", _wire.given(id=id, max_attempts=max_attempts, delay_usec=_wire.microseconds(delay)), timeout)

    async def events(self, after=None):
        """Connected when it is there: whatever is done from then on is seen. An asynchronous iterator, as Events."""
        events = AsyncEvents(self, after)
        async with within(_wire.Deadline(self.timeout)):
            await events._connect()
        return events

    # -- the rest --

    async def types(self, timeout=...):
        return (await self.call("ListTypes", None, timeout))["types"]

    async def schedules(self, timeout=...):
        return (await self.call("ListSchedules", None, timeout))["schedules"]

    async def workers(self, timeout=...):
        return (await self.call("ListWorkers", None, timeout))["workers"]

    async def statistics(self, timeout=...):
        return (await self.call("Statistics", None, timeout))["statistics"]

    async def report(self, filter=None, group_by=None, timeout=...):
        return (await self.call("Report", _wire.given(filter=filter, group_by=group_by), timeout))["rows"]


class AsyncEvents:
    """Does not end, until close(). last: the number to go on after."""

    def __init__(self, client, after):
        self.client, self.last = client, after
        self._connection = None
        self._come = collections.deque()
        self._closed = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._come:
            if self._closed:
                raise StopAsyncIteration
            try:
                await self._read()
            except OSError:
                await self._connect()
        event = self._come.popleft()
        self.last = event["number"]
        return event

    async def close(self):
        self._closed = True
        if self._connection:
            self._connection.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def _connect(self):
        """Until it is answered."""
        backoff = _wire.Backoff()
        while not self._closed:
            try:
                if self._connection:
                    self._connection.close()
                self._connection = await Connection.open(self.client.path)
                await self._connection.send(_wire.message("Events", _wire.given(after=self.last), more=True))
                return await self._read()
            except OSError:
                await asyncio.sleep(backoff.next())

    async def _read(self):
        for reply in await self._connection.receive():
            error = _wire.error_of(reply)
            if error:
                await self.close()
                raise error
            self._come.extend(reply["parameters"]["events"])
            if not self._come:
                self.last = reply["parameters"]["last"]


class Session:
    """As that of _worker.py: from one registration until a connection breaks, or all is done."""

    def __init__(self, worker, orders, reports):
        self.worker, self.state = worker, worker._state
        self.orders, self.reports = orders, reports
        self.asked = collections.deque()
        self.drain = Drain(self.state)

    def ask(self, token, message):
        self.asked.append(token)
        self.reports.writer.write(message)

    async def serve(self):
        self.orders.writer.write(self.state.register())
        for token in self.state.done:
            self.ask(token, self.state.completion(token))
        self.worker._session = self
        readers = {asyncio.create_task(self.read_orders()), asyncio.create_task(self.read_answers()), asyncio.create_task(self.worker._over.wait())}
        try:
            done, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what it raised
        finally:
            self.worker._session = None
            for task in readers:
                task.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def read_orders(self):
        while True:
            for reply in await self.orders.receive():
                self.worker._order(reply)
            self.look()

    def look(self):
        """Whether it is over, or how it stands is to be asked."""
        if self.worker._stop and self.drain.due():
            self.ask(DRAIN, self.state.drain())
        if self.drain.over:
            self.worker._over.set()

    async def read_answers(self):
        while True:
            for reply in await self.reports.receive():
                if not self.state.answered(self.asked.popleft(), reply):
                    raise ConnectionAbortedError("a result could not be recorded yet")
            self.look()


class AsyncWorker:
    """As Worker; work is a coroutine function, and its jobs are tasks. A job that is to end has its task cancelled."""

    def __init__(self, queues, slots=1, name=None, metadata=None, path=None):
        self.path = path or _wire.default_path()
        self._state = State(queues, slots, name, metadata)
        self._backoff = _wire.Backoff()
        self._tasks = {}  # Task: the asyncio one
        self._session = None
        self._stop = False
        self._over = asyncio.Event()

    def stop(self):
        """It is given nothing more, and run() returns when all that it has is done and recorded. From the loop's thread."""
        self._stop = True
        if self._session:
            self._session.look()

    async def run(self, work):
        """Until stop(), or a drain. Who cancels it cancels its jobs, and waits until that is recorded."""
        self._work, cancelled = work, None
        while not self._over.is_set():
            try:
                await self._connected()
            except asyncio.CancelledError as e:
                cancelled = e
                self._stop = True
                for task in self._tasks.values():
                    task.cancel()
        if cancelled:
            raise cancelled

    async def _connected(self):
        try:
            async with contextlib.AsyncExitStack() as stack:
                links = []
                for _ in range(2):
                    links.append(await Connection.open(self.path))
                    stack.callback(links[-1].close)
                return await Session(self, *links).serve()
        except OSError:
            if self._stop and not self._state.token:
                self._over.set()
                return
        except MethodError as e:
            if e.name != "NoSuchWorker" or not self._state.token:
                raise
            for job in self._state.forgotten():
                self._tasks[job].cancel()
        await asyncio.sleep(self._backoff.next())

    def _order(self, reply):
        what, job = self._state.order(self, reply)
        self._backoff = _wire.Backoff()
        if what == "stop":
            self._stop = True
        elif what == "start":
            self._tasks[job] = asyncio.create_task(self._run(job))
        elif what == "cancel":
            self._tasks[job].cancel()

    def _status(self, job, status):
        if self._session:
            self._session.ask(None, self._state.status(job, status))

    async def _run(self, job):
        value = error = None
        try:
            value = await self._work(job)
        except BaseException as e:
            error = e
        del self._tasks[job]
        token = self._state.complete(job, value, error)
        if token and self._session:
            self._session.ask(token, self._state.completion(token))
