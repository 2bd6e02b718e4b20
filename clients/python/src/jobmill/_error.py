# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be raised. Errors of the daemon have classes of their own by name (_types.py)."""


class JobmillError(Exception):
    """All of them."""


class MethodError(JobmillError):
    """The daemon's answer. name: as on the wire, without the interface; parameters: with message, what is wrong, for people."""

    def __init__(self, name, parameters):
        self.name = name
        self.parameters = parameters
        self.message = parameters.get("message", "")
        super().__init__("%s: %s" % (name, self.message or parameters))


class DeadlineExceeded(JobmillError, TimeoutError):
    """There was no answer within the timeout. What was asked for may have been done, or yet be."""


class Disconnected(JobmillError, ConnectionError):
    """The connection broke while a call was under way that may not be made twice: whether it was heard is not known."""
