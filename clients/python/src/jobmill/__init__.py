# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill, a job queue for machines that run systemd: its clients, for threads (Client, Worker) and for asyncio (AsyncClient, AsyncWorker)."""

from ._aio import AsyncClient, AsyncWorker
from ._client import Client, Events, Flow, Outcome
from ._error import DeadlineExceeded, Disconnected, JobmillError, MethodError
from ._types import *  # noqa: F401,F403
from ._wire import default_path, user_path
from ._work import Cancelled, Task
from ._worker import Worker

__version__ = "0.1.0"
