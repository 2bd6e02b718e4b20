#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver of the conformance suite (../conformance/README.md): conformance.py sync|asyncio."""

import asyncio
import base64
import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "src"))

import jobmill  # noqa: E402


def tell(n, **what):
    sys.stdout.write(json.dumps({"n": n, **what}) + "\n")
    sys.stdout.flush()


def tell_error(n, e):
    parameters = {"parameters": e.parameters, "message": e.message} if isinstance(e, jobmill.MethodError) else {"message": str(e)}
    name = e.name if isinstance(e, jobmill.MethodError) else "Cancelled" if isinstance(e, asyncio.CancelledError) else type(e).__name__
    tell(n, error=name, **parameters)


def orders_of(job):
    """What the payload says is to be done."""
    try:
        orders = json.loads(job.payload)
    except ValueError:
        orders = {}
    return orders if isinstance(orders, dict) else {}


def verdict(job, orders):
    if "raise" in orders:
        raise RuntimeError(orders["raise"])
    if "return" in orders:
        return orders["return"]
    if "echo" in orders:
        return {"success": True, "id": job.id, "attempt": job.attempt, "queue": job.queue, "name": job.name, "argv": job.argv,
                "payload_base64": base64.b64encode(job.payload).decode(), "inputs": job.inputs}
    return None


CALLS = {
    "submit": lambda c, spec, **k: c.submit(spec, **k),
    "submit_many": lambda c, specs, **k: c.submit_many(specs, **k),
    "submit_flow": lambda c, document, **k: c.submit_flow(document, **k),
    "get": lambda c, id, **k: c.get(id, **k),
    "wait": lambda c, id, **k: c.wait(id, **k),
    "cancel": lambda c, id, **k: c.cancel(id, **k),
    "hold": lambda c, id, **k: c.hold(id, **k),
    "release": lambda c, id, **k: c.release(id, **k),
    "retry": lambda c, id, **k: c.retry(id, **k),
    "call": lambda c, method, parameters=None, **k: c.call(method, parameters, **k),
}


def value_of(result):
    return result._asdict() if hasattr(result, "_asdict") else result


# ---- threads ----

class Sync:
    def __init__(self):
        self.client = jobmill.Client()
        self.worker = None

    def do(self, n, op, args):
        try:
            if op == "list":
                value = list(self.client.list(**args))
            elif op == "events":
                count = args.pop("count")
                with self.client.events(**args) as events:
                    tell(n, ready=True)
                    value = [next(events) for _ in range(count)]
            elif op == "work":
                value = {"jobs": self.work(**args)}
            elif op == "stop":
                value = self.worker.stop()
            elif op == "abandon":
                raise NotImplementedError
            else:
                value = value_of(CALLS[op](self.client, **args))
            tell(n, value=value)
        except NotImplementedError:
            tell(n, error="Unsupported")
        except Exception as e:
            tell_error(n, e)

    def work(self, queues, **options):
        self.begun, lock = 0, threading.Lock()

        def handler(job):
            with lock:
                self.begun += 1
            orders = orders_of(job)
            if "progress" in orders:
                job.progress(orders["progress"])
            time.sleep(orders.get("sleep", 0))
            until = time.monotonic() + 30 * ("until_cancelled" in orders)
            while time.monotonic() < until:
                job.check()
                time.sleep(0.01)
            return verdict(job, orders)

        self.worker = jobmill.Worker(queues, **options)
        self.worker.run(handler)
        return self.begun

    def run(self):
        for line in sys.stdin:
            request = json.loads(line)
            threading.Thread(target=self.do, args=(request["n"], request["op"], request.get("args", {})), daemon=True).start()


# ---- asyncio ----

class Async:
    def __init__(self):
        self.client = jobmill.AsyncClient()
        self.worker = None
        self.tasks = {}

    async def do(self, n, op, args):
        try:
            if op == "list":
                value = [job async for job in self.client.list(**args)]
            elif op == "events":
                value = await self.events(n, **args)
            elif op == "work":
                value = {"jobs": await self.work(**args)}
            elif op == "stop":
                value = self.worker.stop()
            elif op == "abandon":
                value = self.tasks[args["n"]].cancel() and None
            else:
                value = value_of(await CALLS[op](self.client, **args))
            tell(n, value=value)
        except BaseException as e:
            tell_error(n, e)

    async def events(self, n, count, after=None):
        async with await self.client.events(after) as events:
            tell(n, ready=True)
            return [await events.__anext__() for _ in range(count)]

    async def work(self, queues, **options):
        self.begun = 0

        async def handler(job):
            self.begun += 1
            orders = orders_of(job)
            if "progress" in orders:
                job.progress(orders["progress"])
            await asyncio.sleep(orders.get("sleep", 0) + 30 * ("until_cancelled" in orders))
            return verdict(job, orders)

        self.worker = jobmill.AsyncWorker(queues, **options)
        await self.worker.run(handler)
        return self.begun

    async def main(self):
        lines = asyncio.StreamReader(limit=1 << 26)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            request = json.loads(line)
            self.tasks[request["n"]] = asyncio.create_task(self.do(request["n"], request["op"], request.get("args", {})))
        sys.stdout.flush()
        # Tasks that are under way go with the process, as threads do.

    def run(self):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self.main())


if __name__ == "__main__":
    {"sync": Sync, "asyncio": Async}[sys.argv[1]]().run()
