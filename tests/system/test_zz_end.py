# SPDX-License-Identifier: LGPL-2.1-or-later
"""After all other tests: the daemon ends well, and in all this time it never did what it must not."""

from mill import nothing_bad_in_the_journal, systemctl, unit_properties


def test_it_ends_in_order(mill):
    mill.settled()
    systemctl("stop", "jobmilld.service")
    p = unit_properties("jobmilld.service", "Result", "ExecMainCode", "ExecMainStatus")
    systemctl("start", "jobmilld.service")
    assert p == {"Result": "success", "ExecMainCode": "1", "ExecMainStatus": "0"}


def test_nothing_bad_in_the_journal():
    nothing_bad_in_the_journal()
