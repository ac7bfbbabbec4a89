"""A real daemon signs what leaves it, with the keys whose public halves ``posthouse domain dns`` prints."""

from __future__ import annotations

import json
import re
import time

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.mailauth import dkim
from tests.mailauth.zone import Zone, run
from tests.support.daemon import Daemon
from tests.system.house import letter, login
from tests.system.test_smarthost import Sink


class SigningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = Sink()
        self.sink.open()
        self.addCleanup(self.sink.close)
        self.daemon = Daemon.demo(None, "--smarthost", f"127.0.0.1:{self.sink.port}")
        self.addCleanup(self.daemon.clean)
        self.ida = self.daemon.account()["address"]
        self.zone = Zone()
        domain = self.ida.partition("@")[2]
        for line in json.loads(self.daemon.posthouse("--json", "domain", "dns", domain).stdout):
            name, found, rest = line.partition(". IN TXT ")
            if found:
                self.zone.text(name, "".join(re.findall(r'"([^"]*)"', rest)))
        with login(self.daemon) as client:
            client.sendmail(self.ida, ["far@away.example"], letter(self.ida, "far@away.example", "Signed"))
        deadline = time.monotonic() + 30
        while not self.sink.envelopes and time.monotonic() < deadline:
            time.sleep(0.05)
        self.message = re.sub(rb"(?m)^\.\.", b".", self.sink.envelopes[0][2])

    def test_both_signatures_verify_at_the_other_end(self) -> None:
        head, _, body = self.message.partition(b"\r\n\r\n")
        signed = dkim.signatures(head + b"\r\n")
        hashes = dkim.BodyHashes(signed)
        hashes.feed(body)
        results = run(dkim.verify(signed, hashes, self.zone.lookup, int(time.time())))
        self.assertEqual([one.result for one in results], ["pass", "pass"], results)
        try:
            import dkim as dkimpy
        except ImportError:
            raise SkipTest("dkimpy is not installed") from None

        def dns(name: bytes, timeout: int = 5) -> bytes:
            return bytes(self.zone.records[name.decode().rstrip("."), "TXT"][0])

        rsa = next(index for index, one in enumerate(results) if one.algorithm == "rsa-sha256")
        self.assertTrue(dkimpy.DKIM(self.message).verify(idx=rsa, dnsfunc=dns))
