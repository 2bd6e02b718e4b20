# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill-webhook as it is installed: started when a callback waits, with its key as a credential, in its sandbox, a user without rights."""

import base64
import hashlib
import http.server
import hmac
import os
import pathlib
import pwd
import re
import threading

import pytest

from mill import SOURCE, run, systemctl, unit_properties, until

UNIT = "jobmill-webhook.service"
pytestmark = [pytest.mark.system_only, pytest.mark.skipif(not pathlib.Path("/usr/lib/systemd/system", UNIT).exists(), reason="built without libcurl or OpenSSL")]
exec(re.search(r"```python\n(.*?)```", (SOURCE / "docs/callbacks.md").read_text(), re.S)[1])  # verify()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_installed(mill):
    run("systemd-sysusers", "jobmill-webhook.conf")  # as its package does
    run("systemd-tmpfiles", "--create", "jobmill-webhook.conf")
    keys, drop_in = pathlib.Path("/etc/jobmill/webhook-keys"), pathlib.Path("/etc/jobmill/webhook.conf.d/test.conf")
    assert keys.stat().st_mode & 0o777 == 0o700
    key = base64.b64encode(os.urandom(32)).decode()
    (keys / "default").write_text(key + "\n")
    (keys / "default").chmod(0o600)
    drop_in.parent.mkdir()
    drop_in.write_text("[Webhook]\nAllowHTTP=yes\nAllowAddresses=127.0.0.1\n")
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.got = []
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    systemctl("stop", UNIT)  # it reads keys when it starts
    try:
        alice = mill.user("alice")
        id_ = alice.submit("exit 0", callback_url="http://127.0.0.1:%d/" % receiver.server_port)
        until(lambda: receiver.got, 60, lambda: (mill.jobs(queue="callbacks"), run("systemctl", "status", "--no-pager", UNIT, check=False).stdout))
        headers, body = receiver.got[0]
        assert verify(key, headers, body) and b'"id":%d,' % id_ in body
        until(lambda: [j["result"] for j in mill.jobs(queue="callbacks", state="done")] == ["success"], 20)
        pid = unit_properties(UNIT, "MainPID")["MainPID"]
        assert os.stat("/proc/" + pid).st_uid == pwd.getpwnam("jobmill-webhook").pw_uid != 0
    finally:
        receiver.shutdown()
        mill.call("PauseQueue", "callbacks")
        systemctl("stop", UNIT)
        mill.call("ResumeQueue", "callbacks")
        drop_in.unlink()
        drop_in.parent.rmdir()
        (keys / "default").unlink()


def test_units(mill):
    """The recipe for mails, as it stands there: once, after the last attempt."""
    unit = pathlib.Path("/etc/systemd/system/jobmill-mail@.service")
    unit.write_text(re.search(r"```ini\n(# \S+mail@.*?)```", (SOURCE / "docs/callbacks.md").read_text(), re.S)[1])
    mails, sendmail = pathlib.Path("/run/test-mails"), pathlib.Path("/usr/local/sbin/sendmail")
    sendmail.parent.mkdir(parents=True, exist_ok=True)
    sendmail.write_text("#!/bin/sh\ncat >>%s\necho END >>%s\n" % (mails, mails))
    sendmail.chmod(0o755)
    systemctl("daemon-reload")
    try:
        id_ = mill.submit("exit 1", max_attempts=2, backoff_base_usec=1000, on_failure=["jobmill-mail@.service"], on_success=["never.service"])
        until(lambda: mails.exists() and mails.read_text().endswith("END\n"), 60, lambda: mill.jobs(queue="triggers"))
        text = mails.read_text()
        assert text.startswith("To: root\nSubject: Job %d failed\n\n" % id_) and "exit-code" in text
        until(lambda: [j.get("result") for j in mill.jobs(queue="triggers", tags={"job": str(id_)})] == ["success"], 60)
        assert mails.read_text() == text
    finally:
        unit.unlink()
        sendmail.unlink()
        mails.unlink(missing_ok=True)
        systemctl("daemon-reload")
