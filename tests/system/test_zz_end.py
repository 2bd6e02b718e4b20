# SPDX-License-Identifier: LGPL-2.1-or-later
"""After all other tests: the daemon ends well, and in all this time it never did what it must not."""

import re

from mill import journal, systemctl, unit_properties

# What a sanitizer, an assertion or systemd says about a daemon that did not survive.
BAD = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion|[Ww]atchdog timeout|code=dumped")


def test_it_ends_in_order(mill):
    mill.settled()
    systemctl("stop", "jobmilld.service")
    p = unit_properties("jobmilld.service", "Result", "ExecMainCode", "ExecMainStatus")
    systemctl("start", "jobmilld.service")
    assert p == {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"}


def test_nothing_bad_in_the_journal():
    lines = [str(e.get("MESSAGE")) for e in journal("_COMM=jobmilld") + journal("UNIT=jobmilld.service")
             + journal("USER_UNIT=jobmilld.service")]
    assert not [line for line in lines if BAD.search(line)]
