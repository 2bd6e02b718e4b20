# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus lets a connection have 128 calls unanswered, the daemon's too: what it asks on behalf of some must not keep it from asking
for others. And answers that nobody reads (tests/system/test_bus_abuse.py does more of that, with a bus as systems have it)."""

import pytest

import client
from conftest import until


@pytest.mark.root
def test_polkit_that_never_answers_one_user(running, polkit, remotes, address):
    """He can have an agent of his own that asks nobody."""
    polkit.do("mode", mode="hang")
    id_ = running.submit("true", hold=True)
    remotes("daemon").call("start", 100, "CancelJob", id_)
    until(lambda: len(polkit.do("asked")) == 16, 5, "polkit is asked, by another connection than the one that tells")
    c = client.Client(address)  # the bus has to be asked who that is
    assert c.call("GetStatistics", timeout=10)["held"] == 1
    c.close()
    remotes("bin").call("start", 1, "CancelJob", id_)
    until(lambda: len(polkit.do("asked")) == 17, 5, "polkit is asked for the other one")


@pytest.mark.root
def test_calls_wait_for_their_place_at_polkit(running, polkit, remotes):
    """More than may be asked about at a time: all are asked, in the end."""
    ids = running.submit_many(["true"] * 60, hold=True)
    polkit.do("mode", mode="hang")
    for i in ids:
        remotes("daemon").call("start", 1, "CancelJob", i)
    until(lambda: len(polkit.do("asked")) == 16, 5)
    polkit.do("mode", mode="allow")
    assert set(running.all_done(ids).values()) == {"cancelled"}
