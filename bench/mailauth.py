"""What SPF, DKIM and DMARC cost for one message of 10 KB with warm DNS, and what signing one costs.

``python bench/mailauth.py [--messages N]`` takes messages into a store in memory, with and without verification, in
turns, and prints the CPU of each. The SMTP dialogue and the disk are not in it: put the difference beside the CPU that
``bench/smtp_in.py`` shows for a message.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import Clock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.store import make_account, make_database

from posthouse.delivery.authentication import Verifier
from posthouse.delivery.directory import Directory
from posthouse.delivery.intake import Intake
from posthouse.dns.codec import Answer, Question, Status
from posthouse.dns.files import ResolvConf
from posthouse.dns.resolver import Resolver
from posthouse.mailauth.dkim_sign import OutgoingBody, key_record, load_key, make_key, sign
from posthouse.mime.scan import Scanner
from posthouse.model import Envelope, Recipient
from posthouse.work.pool import InlinePool
from posthouse.work.spool import Spool

NOW = 1_790_000_000
PEER = "192.0.2.7"
HEAD = (
    b"Received: from a.there.example ([192.0.2.9])\r\n\tby b.there.example with ESMTPS id ABCDEF\r\n"
    b"\tfor <bob@here.example>; Thu, 01 Jan 2026 00:00:00 +0000 (UTC)\r\n"
    * 4
    + b"From: Far <far@there.example>\r\nTo: bob@here.example\r\nSubject: Hello there my friend\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@there.example>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nReferences: <a@b.example> <c@d.example>\r\n"
)
BODY = b"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod temp\r\n" * 120


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--messages", type=int, default=500)
    count = parser.parse_args().messages
    keys = [load_key("there.example", kind[0] + "1", make_key(kind)) for kind in ("rsa", "ed25519")]
    body = OutgoingBody()
    body.feed(BODY)
    signature = sign(HEAD, body.digest(), keys[:1], NOW)
    clock = Clock()
    clock.advance(NOW)
    resolver = Resolver(clock, lambda: ResolvConf(()), Random(1))
    records: dict[tuple[str, str], tuple[Any, ...]] = {
        ("there.example", "TXT"): (b"v=spf1 include:_spf.there.example mx ~all",),
        ("_spf.there.example", "TXT"): (b"v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 ~all",),
        ("_dmarc.there.example", "TXT"): (b"v=DMARC1; p=reject; rua=mailto:a@there.example",),
        ("r1._domainkey.there.example", "TXT"): (key_record(keys[0]).encode(),),
        ("a.there.example", "TXT"): (b"v=spf1 a -all",),
        ("a.there.example", "A"): (PEER,),
    }
    for (name, kind), found in records.items():
        resolver.cache.put(Question(name, kind), Answer(Status.FOUND, found, ttl=3600))
    pool, database = InlinePool(), make_database()
    bob = make_account(database, "bob@here.example")
    directory = Path(tempfile.mkdtemp())
    intake = Intake(
        database,
        Directory(database, clock.seconds),
        pool,
        lambda: Spool(directory, pool, scanner=Scanner(), reserve=0),
        "mx.here.example",
        clock.seconds,
        Random(7),
        lambda: None,
        lambda: 10**12,
    )
    verifier = Verifier(resolver.lookup, clock, pool, "mx.here.example", known=resolver.known)
    to = (Recipient("bob@here.example", (bob.mailbox_id,)),)
    envelope = Envelope("far@there.example", to, peer=PEER, helo="a.there.example", protocol="ESMTPS")

    def take(number: int) -> None:
        spool = intake.spool()
        spool.write(b"X-Number: %d\r\n" % number + signature + HEAD + b"\r\n" + BODY)
        done: list[Any] = []
        spool.finish().addCallback(lambda spooled: intake.accept(envelope, spooled)).addBoth(done.append)
        assert isinstance(done[0], str), done

    figures: dict[str, list[float]] = {"plain": [], "verified": []}
    number = 0
    for _ in range(5):
        for name, chosen in (("plain", None), ("verified", verifier)):
            intake.verifier = chosen
            before = time.process_time()
            for _ in range(count):
                number += 1
                take(number)
            figures[name].append((time.process_time() - before) / count * 1e6)
    plain, verified = (statistics.median(figures[name]) for name in ("plain", "verified"))
    print(f"intake of 10 KB: {plain:.0f} us; verified: {verified:.0f} us; added: {verified - plain:.0f} us")
    for key in keys:
        before = time.process_time()
        for _ in range(count):
            outgoing = OutgoingBody()
            outgoing.feed(BODY)
            sign(HEAD, outgoing.digest(), [key], NOW)
        print(f"signing with {key.algorithm}: {(time.process_time() - before) / count * 1e6:.0f} us")


main()
