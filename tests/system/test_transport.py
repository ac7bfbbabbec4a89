"""The real server hands mail to servers of domains that ask something of connections, by DNS of the test's own."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from posthouse.auth.passwords import hash_password
from posthouse.model import TlsSession
from posthouse.store import accounts, transport
from posthouse.store.db import open_for_tool
from posthouse.tlspolicy.mtasts import parse_policy
from tests.support.authority import Pair, issue
from tests.support.daemon import environment, twistd
from tests.support.nameserver import NameServer
from tests.support.tlspeer import MailPeer, PolicyHost
from tests.system.house import letter

IDA, PASSWORD = "ida@here.test", "correct horse battery"
NETWORK = "127.0.9"
STS = ("good", "clear", "self", "other", "testing", "down")


class House:
    """A configured server, and the world around it."""

    def __init__(self) -> None:
        self.sent = 0
        self.server: subprocess.Popen[bytes] | None = None
        try:
            with socket.socket() as probe:
                probe.bind((f"{NETWORK}.1", 0))
                self.port = probe.getsockname()[1]
        except OSError:
            raise SkipTest("this machine has one loopback address only") from None
        now = datetime.now(UTC)
        self.root = issue(ca=True, common="root of the test", now=now)
        self.now = now
        self.dns = NameServer()
        self.web = PolicyHost(
            f"{NETWORK}.250", (self.issue(*(f"mta-sts.{name}.sts.test" for name in STS)), self.root)
        )
        self.peers: dict[str, MailPeer] = {}
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-"))
        self.data = self.directory / "data"
        self.data.mkdir(mode=0o700)
        (self.directory / "root.pem").write_bytes(self.root.pem)
        self.log = self.directory / "log"
        self.config = self.directory / "mailserver.toml"
        listen = "\n".join(
            f'{name} = ["127.0.0.1:0"]' for name in ("smtp", "submission", "submissions", "https")
        )
        self.config.write_text(
            f'[server]\nhostname = "mail.here.test"\ndirectory = "{self.data}"\n[listen]\n{listen}\n'
            f'[log]\nfile = "{self.log}"\n[auth]\nbcrypt_cost = 4\n[mailauth]\nverify = false\n'
            f'[dns]\nservers = ["{self.dns.address}"]\n'
            f'[delivery]\nport = {self.port}\ninside = ["{NETWORK}.0/24"]\nmta_sts_port = {self.web.port}\n'
            'tls_reports = "tls@here.test"\n'
        )
        database = open_for_tool(self.data / "posthouse.db")

        def fill(tx: Any) -> None:
            accounts.add_domain(tx, "here.test", 0)
            accounts.add_account(tx, IDA, "Ida", hash_password(PASSWORD.encode(), 4), True, 0)

        self._wait(database.write(fill))
        self._wait(database.stop())

    @staticmethod
    def _wait(deferred: Any) -> Any:
        found: list[Any] = []
        if deferred is not None:
            deferred.addBoth(found.append)
            if found and hasattr(found[0], "raiseException"):
                found[0].raiseException()
            return found[0]

    def issue(self, *names: str) -> Pair:
        return issue(*names, by=self.root, now=self.now)

    def domain(self, name: str, *chain: Pair, **more: Any) -> MailPeer:
        """A domain with one mail host, which shows this chain."""
        host = f"{NETWORK}.{len(self.peers) + 1}"
        peer = self.peers[name] = MailPeer(host, self.port, chain, **more)
        self.dns.add(name, "MX", f"10 mx.{name}.")
        self.dns.add(f"mx.{name}", "A", host)
        return peer

    def tlsa(self, name: str, usage: int, content: bytes, selector: int = 1) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.dns.add(f"_{self.port}._tcp.mx.{name}", "TLSA", f"{usage} {selector} 1 {digest}")

    def sts(self, name: str, mode: str, mx: str = "", version: str = "1") -> None:
        self.dns.zone[f"_mta-sts.{name}", "TXT"] = [f'"v=STSv1; id={version}"']
        self.dns.zone[f"mta-sts.{name}", "A"] = [f"{NETWORK}.250"]
        policy = f"version: STSv1\nmode: {mode}\nmx: {mx or f'mx.{name}'}\nmax_age: 86400\n"
        self.web.pages[f"mta-sts.{name}"] = (200, "text/plain", policy.encode())

    def start(self, *delivery: str) -> None:
        """Start. :param delivery: more lines of the configuration's last section."""
        if delivery:
            with self.config.open("a") as stream:
                stream.write("\n".join(delivery) + "\n")
        self.log.unlink(missing_ok=True)
        environ = environment() | {
            "SSL_CERT_FILE": str(self.directory / "root.pem"),
            "SSL_CERT_DIR": "/nonexistent",
        }
        self.server = subprocess.Popen(
            twistd("--config", str(self.config), cwd=self.directory),
            cwd=self.directory,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not (self.log.exists() and '"message": "ready:' in self.log.read_text()):
            assert self.server.poll() is None, self.log.read_text() if self.log.exists() else "no log"
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        ready = next(line for line in self.log.read_text().splitlines() if '"message": "ready:' in line)
        words = json.loads(ready)["listening"].replace(",", "").split()
        self.ports = dict(zip(words[::2], map(int, words[1::2]), strict=True))

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(30)
            self.server = None

    def clean(self) -> None:
        self.stop()
        self.dns.close()
        self.web.close()
        for peer in self.peers.values():
            peer.close()
        shutil.rmtree(self.directory)

    def post(self, to: str, *options: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", self.ports["submissions"], timeout=30, context=context) as client:
            client.login(IDA, PASSWORD)
            self.sent += 1  # the same message again would be recognised as a repeat
            data = letter(IDA, to, f"To {to}", number=f"{self.sent}")
            client.sendmail(IDA, [to], data, list(options))

    def queue(self, to: str) -> dict[str, Any]:
        """The row of that recipient, {} when it is not in the queue (any more)."""
        return next((row for row in self.run("queue", "list") if row["recipient"] == to), {})

    def run(self, *words: str) -> Any:
        """What the command says, as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "posthouse.cli", "--config", str(self.config), "--json", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, self.log.read_text()[-6000:]
            time.sleep(0.05)
        return found


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.addCleanup(self.house.clean)

    def arrives(self, domain: str, *options: str, tls: bool = True) -> str:
        """Mail gets there; the MAIL command."""
        peer, to = self.house.peers[domain], f"x@{domain}"
        before = len(peer.messages)
        self.house.post(to, *options)
        mail, message, secure = self.house.until(lambda: peer.messages[before:])[0]
        self.assertIn(f"Subject: To {to}".encode(), message)
        self.assertEqual(secure, tls, domain)
        return str(mail)

    def waits(self, domain: str, *words: str) -> None:
        """Mail does not get there, and stays in the queue; nothing of it was said."""
        peer, to = self.house.peers[domain], f"x@{domain}"
        self.house.post(to)
        row = self.house.until(lambda: (found := self.house.queue(to)).get("last_reply") and found)
        for word in words:
            self.assertIn(word, row["last_reply"], domain)
        self.assertEqual([line for line in peer.heard if line.startswith("MAIL")], [], domain)

    def test_dane(self) -> None:
        house = self.house
        own = issue("whatever.example", now=house.now)
        peer = house.domain("key.test", own)
        house.tlsa("key.test", 3, own.spki)
        house.domain("wrong.test", issue("mx.wrong.test", now=house.now))
        house.tlsa("wrong.test", 3, own.spki)
        house.domain("clear.test")
        house.tlsa("clear.test", 3, own.spki)
        anchor = issue(ca=True, common="their own authority", now=house.now)
        house.domain("anchor.test", issue("mx.anchor.test", by=anchor, now=house.now), anchor)
        house.tlsa("anchor.test", 2, anchor.der, selector=0)
        house.domain("bogus.test", own)
        house.dns.manner[f"_{house.port}._tcp.mx.bogus.test", "TLSA"] = "servfail"
        house.domain("unsigned.test", issue("mx.unsigned.test", now=house.now))
        house.tlsa("unsigned.test", 3, own.spki)
        house.dns.unsigned.add("unsigned.test")
        house.start()
        self.arrives("key.test")
        self.assertEqual(peer.names, ["mx.key.test"])
        self.arrives("anchor.test")
        self.arrives("unsigned.test")
        self.waits("wrong.test", "4.7.5", "not the one")
        self.waits("clear.test", "TLS is required")
        # dane_bogus_is_temporary
        self.waits("bogus.test", "451 4.7.5", "cannot be told")
        house.stop()
        self.assertEqual(
            self.results("key.test", "wrong.test", "bogus.test"), {"", "validation-failure", "dnssec-invalid"}
        )

    def results(self, *domains: str) -> set[str]:
        """What was counted for TLS reports."""
        database = open_for_tool(self.house.data / "posthouse.db")
        day = transport.day_of(int(time.time() * 1000))
        found: set[str] = set()

        def read(tx: Any) -> None:
            for domain in domains:
                found.update(session.result for session, _ in transport.counts_of(tx, day, domain))

        House._wait(database.read(read))
        House._wait(database.stop())
        return found

    def test_mta_sts(self) -> None:
        house = self.house
        house.dns.authentic = False
        for short in STS:
            name = f"{short}.sts.test"
            known = short in ("good", "other", "down")
            leaf = house.issue(f"mx.{name}") if known else issue(f"mx.{name}", now=house.now)
            house.domain(name, *(() if short == "clear" else (leaf, house.root)))
            house.sts(name, "testing" if short == "testing" else "enforce")
        house.sts("other.sts.test", "enforce", mx="mx.elsewhere.test")
        # The web server has no certificate for this one.
        house.domain("fraud.sts.test", issue("mx.fraud.sts.test", now=house.now))
        house.sts("fraud.sts.test", "enforce")
        house.web.pages["mta-sts.down.sts.test"] = (500, "text/plain", b"")
        house.start()
        self.arrives("good.sts.test")
        self.waits("self.sts.test", "4.7.5", "not trusted")
        self.waits("clear.sts.test", "TLS is required")
        self.waits("other.sts.test", "451 4.7.5", "does not name")
        # mtasts_testing_not_enforced; and a policy that cannot be had stops nothing.
        self.arrives("testing.sts.test")
        self.arrives("down.sts.test")
        self.arrives("fraud.sts.test")
        # After a restart, with record and web server gone, the policy holds.
        house.stop()
        self.assertIn("certificate-not-trusted", self.results("testing.sts.test"))
        self.assertIn("sts-policy-fetch-error", self.results("down.sts.test"))
        self.assertIn("sts-webpki-invalid", self.results("fraud.sts.test"))
        self.assertNotIn("mta-sts.fraud.sts.test", house.web.asked)
        house.web.pages.clear()
        house.dns.zone["_mta-sts.good.sts.test", "TXT"] = []
        house.peers["good.sts.test"].chain = ()
        house.peers["good.sts.test"].heard.clear()
        house.start()
        self.waits("good.sts.test", "TLS is required")
        self.assertEqual(house.web.asked.count("mta-sts.good.sts.test"), 1)

    def test_requiretls_and_mail_to_which_tls_does_not_matter(self) -> None:
        house = self.house
        for name in ("takes.test", "lacks.test"):
            inside = ("REQUIRETLS",) if name == "takes.test" else ()
            house.domain(name, house.issue(f"mx.{name}"), house.root, inside=inside)
        house.domain("open.test", issue("x.example", now=house.now))
        house.tlsa("open.test", 3, b"another key")
        house.start()
        self.assertIn("REQUIRETLS", self.arrives("takes.test", "REQUIRETLS"))
        self.assertNotIn("REQUIRETLS", self.arrives("lacks.test"))
        lacking = house.peers["lacks.test"]
        mails = len([line for line in lacking.heard if line.startswith("MAIL")])
        house.post("y@lacks.test", "REQUIRETLS")
        house.until(lambda: "5.7.30" in house.log.read_text())
        house.until(lambda: not house.queue("y@lacks.test"))
        self.assertEqual(len([line for line in lacking.heard if line.startswith("MAIL")]), mails)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context) as client:
            client.login(IDA, PASSWORD)
            client.sendmail(
                IDA, ["x@open.test"], b"TLS-Required: No\r\n" + letter(IDA, "x@open.test", "Open")
            )
        house.until(lambda: house.peers["open.test"].messages)

    def test_a_smarthost_has_to_prove_itself_before_it_hears_the_password(self) -> None:
        house = self.house
        peers = {}
        for name, known in (("smart.test", True), ("fraud.test", False)):
            leaf = house.issue(f"mx.{name}") if known else issue(f"mx.{name}", now=house.now)
            peers[name] = house.domain(name, leaf, house.root, inside=("AUTH PLAIN",))
        login = ('smarthost_user = "ida"', 'smarthost_password = "secret"')
        house.start(f'smarthost = "mx.smart.test:{house.port}"', *login)
        house.post("x@far.test")
        house.until(lambda: peers["smart.test"].messages)
        self.assertTrue(any(line.startswith("AUTH PLAIN") for line in peers["smart.test"].heard))
        house.stop()
        house.config.write_text(house.config.read_text().replace("mx.smart.test", "mx.fraud.test"))
        house.start()
        house.post("y@far.test")
        row = house.until(lambda: (found := house.queue("y@far.test")).get("last_reply") and found)
        self.assertIn("not trusted", row["last_reply"])
        said = [line[:4] for line in peers["fraud.test"].heard]
        self.assertEqual([word for word in said if word in ("AUTH", "MAIL")], [])

    def test_a_report_of_yesterday_is_sent_and_our_own_policy_is_served(self) -> None:
        house = self.house
        peer = house.domain("reader.test", house.issue("mx.reader.test"), house.root)
        house.dns.add("_smtp._tls.seen.test", "TXT", '"v=TLSRPTv1; rua=mailto:reports@reader.test"')
        yesterday = int(time.time() * 1000) - transport.DAY
        sessions = [TlsSession("seen.test"), TlsSession("seen.test", result="starttls-not-supported")]
        database = open_for_tool(house.data / "posthouse.db")
        House._wait(database.write(lambda tx: transport.count_sessions(tx, sessions, yesterday, 0)))
        House._wait(database.stop())
        house.start()
        mail, message, secure = house.until(lambda: peer.messages)[0]
        self.assertEqual((mail.split()[1], secure), ("FROM:<>", True))
        parsed = message_from_bytes(message)
        self.assertEqual((parsed["TLS-Report-Domain"], parsed["From"]), ("seen.test", "<tls@here.test>"))
        document = json.loads(gzip.decompress(parsed.get_payload()[1].get_payload(decode=True)))
        self.assertEqual(
            document["policies"][0]["summary"],
            {"total-successful-session-count": 1, "total-failure-session-count": 1},
        )
        self.assertEqual(house.run("domain", "sts", "here.test", "enforce")["mode"], "enforce")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"https://127.0.0.1:{house.ports['https']}/.well-known/mta-sts.txt",
            headers={"Host": "mta-sts.here.test"},
        )
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            policy = parse_policy(answer.read())
        self.assertEqual((policy.mode, policy.mx), ("enforce", ("mail.here.test",)))
        records = "\n".join(house.run("domain", "dns", "here.test", "--tlsa"))
        self.assertIn("_25._tcp.mail.here.test. IN TLSA 3 1 1 ", records)
        self.assertIn("_mta-sts.here.test. IN TXT", records)
