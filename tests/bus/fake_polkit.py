#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small polkit on a private bus: says yes, no, "ask somebody" or nothing at all, as the test wants it."""

import dbus

import busfake
from busfake import Error, NoReply, plain

NAME = "org.freedesktop.PolicyKit1"
AUTHORITY = NAME + ".Authority"


class Polkit:
    def __init__(self, address):
        self.address = address
        self.do_reset()
        self.handlers = {(AUTHORITY, "CheckAuthorization"): (self.check, "(bba{ss})"),
                         (AUTHORITY, "CancelCheckAuthorization"): (self.cancel, "")}
        self.authority = busfake.Endpoint(address, NAME, self.handlers)
        self.control = busfake.Control(address, "org.jobmill.Fake.polkit", self)

    def close(self):
        pass

    def check(self, message, subject, action, details, flags, cancellation):
        kind, what = plain(subject)
        self.asked.append({"subject": kind, "name": what.get("name"), "action": str(action), "details": plain(details),
                           "flags": int(flags)})
        if self.mode == "hang":
            self.hanging.append(message)
            raise NoReply()
        return self.answer(self.actions.get(str(action), self.mode))

    def answer(self, mode):
        if mode == "error":
            raise Error(NAME + ".Error.Failed", "polkit is out of order")
        return dbus.Struct((mode == "allow", mode == "challenge", dbus.Dictionary({}, signature="ss")), signature="bba{ss}")

    def cancel(self, message, cancellation):
        self.cancelled.append(str(cancellation))

    def do_mode(self, mode):
        """allow | deny | challenge | hang | error | absent. Leaving "hang" answers those who wait."""
        if (mode == "absent") != (self.mode == "absent"):
            if mode == "absent":
                self.authority.bus.release_name(NAME)
            else:
                self.authority.own(NAME)
        self.mode = mode
        if mode != "hang":
            for message in self.hanging:
                self.authority.reply(message, "(bba{ss})", self.answer(mode))
            self.hanging = []

    def do_action(self, action, mode):
        """The same for one action only, until the reset."""
        self.actions[action] = mode

    def do_asked(self):
        return self.asked

    def do_reset(self):
        if getattr(self, "mode", "deny") == "absent":
            self.do_mode("deny")
        self.mode = "deny"
        self.actions = {}
        self.asked = []
        self.cancelled = []
        self.hanging = []


if __name__ == "__main__":
    busfake.main(Polkit)
