"""The way out, with a real Postfix on the other side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon
from tests.support.postfix import Postfix
from tests.system.house import letter, login

FAR = "far@away.example"


class PostfixTests(SynchronousTestCase):
    postfix: Postfix
    daemon: Daemon

    def start(self, *settings: str) -> None:
        self.daemon = Daemon.demo()
        self.addCleanup(self.daemon.clean)
        self.postfix = Postfix("away.example", "far", self.daemon.facts["smtp"], *settings)
        self.addCleanup(self.postfix.clean)
        self.daemon.stop()
        self.daemon.arguments += ("--smarthost", f"127.0.0.1:{self.postfix.port}")
        ports = [f"--{name}-port={self.daemon.facts[name]}" for name in ("smtp", "submissions")]
        self.daemon.arguments += tuple(ports)
        self.daemon.start()
        self.ida = self.daemon.account()["address"]

    def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            self.assertLess(time.monotonic(), deadline, self.postfix.said() + self.daemon.said())
            time.sleep(0.1)

    def post(self, subject: str, to: str = FAR, text: str = "Hello.", *, rcpt: list[str] = []) -> None:  # noqa: B006
        with login(self.daemon) as client:
            data = letter(self.ida, to, subject, text)
            client.sendmail(self.ida, [to], data, ["BODY=8BITMIME"], rcpt)

    def queue(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.daemon.posthouse("--json", "queue", *words).stdout)
        return found

    def test_mail_goes_out_reports_come_back_and_what_bounced_is_left_alone(self) -> None:
        self.start()
        self.post("First", text="Grüße")
        self.until(lambda: "Subject: First" in self.postfix.mail())
        self.post("Second", rcpt=["NOTIFY=SUCCESS", f"ORCPT=rfc822;{FAR}"])
        self.until(lambda: "Subject: Second" in self.postfix.mail())
        self.assertIn("Grüße", self.postfix.mail())
        # Both by one connection, and the wish for a report went along.
        self.assertEqual(
            self.postfix.said().count(": connect from "), 2, self.postfix.said()
        )  # one is the probe
        self.until(lambda: "sender delivery status notification" in self.postfix.said())
        self.until(lambda: self.postfix.said().count("status=sent (250 2.0.0") >= 1)
        self.post("Third", "gone@away.example")
        self.until(lambda: self.queue("suppressed", "list"))
        (row,) = self.queue("suppressed", "list")
        self.assertEqual(row["address"], "gone@away.example")
        self.assertIn("5.1.1", row["reason"])
        self.assertEqual(self.queue("list"), [])

    def test_a_seven_bit_host_gets_seven_bits(self) -> None:
        self.start("smtpd_discard_ehlo_keywords = 8bitmime, smtputf8")
        self.post("Seven", text="Viele Grüße aus dem fernen Osten")
        self.until(lambda: "Subject: Seven" in self.postfix.mail())
        self.assertIn("Viele Gr=C3=BC=C3=9Fe", self.postfix.mail())

    def test_a_large_message_goes_in_chunks(self) -> None:
        self.start()
        lines = "".join(f".line {number} of many\r\n" for number in range(60_000))
        self.post("Large", text=lines)
        self.until(lambda: "line 59999 of many" in self.postfix.mail())
        mail = self.postfix.mail()
        for number in (0, 1, 30_000, 59_999):
            self.assertEqual(mail.count(f"\n.line {number} of many\n"), 1)
        self.assertNotIn("\n..line", mail)
