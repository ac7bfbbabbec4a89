"""The resolver against a real server on loopback that drops, truncates, lies, fails and takes its time."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import TestCase

from posthouse.dns.codec import Status
from posthouse.dns.files import ResolvConf
from posthouse.dns.resolver import Resolver
from posthouse.errors import AcceptsNoMail, NoSuchDomain, TryLater
from tests.support.nameserver import NameServer


class ResolverTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.server = NameServer()
        self.addCleanup(self.server.close)
        self.server.add("there.test", "MX", "10 a.there.test.", "10 b.there.test.", "5 c.there.test.")
        self.server.add("c.there.test", "A", "192.0.2.1")
        self.server.add("c.there.test", "AAAA", "2001:db8::1")
        self.resolver = self.make()

    def make(self, *servers: str, spell: bool | None = True, timeout: float = 0.4) -> Resolver:
        from twisted.internet import reactor

        settings = ResolvConf(servers or (self.server.address,), timeout, 2)
        return Resolver(reactor, lambda: settings, Random(), spell=spell)

    async def hosts(self) -> set[tuple[int, str]]:
        return set(await self.resolver.mail_hosts("there.test"))

    ALL = {(5, "c.there.test"), (10, "a.there.test"), (10, "b.there.test")}

    async def test_equal_pref_mx(self) -> None:
        seen = set()
        for _ in range(40):
            found = await self.make().mail_hosts("there.test")
            self.assertEqual(found[0], (5, "c.there.test"))
            seen.add(tuple(found))
            if len(seen) == 2:
                break
        self.assertEqual(len(seen), 2)

    async def test_null_mx(self) -> None:
        self.server.add("null.test", "MX", "0 .")
        await self.assertFailure(self.resolver.mail_hosts("null.test"), AcceptsNoMail)

    async def test_nodata_vs_nxdomain(self) -> None:
        self.server.add("bare.test", "A", "192.0.2.7")
        self.assertEqual(await self.resolver.mail_hosts("bare.test"), [(0, "bare.test")])
        await self.assertFailure(self.resolver.mail_hosts("gone.example"), NoSuchDomain)
        self.server.add("x.empty.test", "A", "192.0.2.7")
        await self.assertFailure(self.resolver.addresses("empty.test"), NoSuchDomain)

    async def test_servfail_is_temporary(self) -> None:
        for manner in ("servfail", "refused"):
            self.server.manner["there.test"] = manner
            self.resolver = self.make()
            await self.assertFailure(self.resolver.mail_hosts("there.test"), TryLater)

    async def test_both_families(self) -> None:
        self.assertEqual(await self.resolver.addresses("c.there.test"), ["192.0.2.1", "2001:db8::1"])

    async def test_a_dropped_question_is_asked_again_and_then_is_temporary(self) -> None:
        self.server.manner["there.test"] = "drop"
        await self.assertFailure(self.resolver.mail_hosts("there.test"), TryLater)
        self.assertEqual(len(self.server.asked), 2)

    async def test_the_next_server_answers(self) -> None:
        other = NameServer()
        self.addCleanup(other.close)
        other.manner["there.test"] = "drop"
        self.resolver = self.make(other.address, self.server.address)
        self.assertEqual(await self.hosts(), self.ALL)

    async def test_a_server_that_is_not_there_is_no_answer(self) -> None:
        gone = NameServer()
        gone.close()
        self.resolver = self.make(gone.address)
        await self.assertFailure(self.resolver.mail_hosts("there.test"), TryLater)
        self.resolver = self.make(gone.address, self.server.address)
        self.assertEqual(await self.hosts(), self.ALL)

    async def test_what_is_truncated_comes_by_tcp(self) -> None:
        self.server.manner["there.test"] = "truncate"
        self.assertEqual(await self.hosts(), self.ALL)
        self.assertEqual([protocol for _, _, protocol in self.server.asked], ["udp", "tcp"])
        self.server.manner["there.test"] = "garbled-tcp"
        self.resolver = self.make()
        await self.assertFailure(self.resolver.mail_hosts("there.test"), TryLater)

    async def test_a_large_answer_by_tcp(self) -> None:
        self.server.add("many.test", "TXT", *(f'"{number:0200d}"' for number in range(100)))
        self.server.manner["many.test"] = "truncate"
        self.assertEqual(len(await self.resolver.texts("many.test")), 100)

    async def test_lies_are_not_believed(self) -> None:
        for manner in ("wrong-id", "wrong-name", "nonsense"):
            self.server.manner["there.test"] = manner
            self.resolver = self.make()
            await self.assertFailure(self.resolver.mail_hosts("there.test"), TryLater)
        # And the truth still counts when it comes behind them.
        self.server.manner["there.test"] = "forge"
        self.resolver = self.make()
        self.assertEqual(await self.hosts(), self.ALL)

    async def test_an_answer_in_another_spelling_is_asked_for_by_tcp(self) -> None:
        self.server.manner["there.test"] = "case"
        name = "there.test"
        self.assertEqual(await self.hosts(), self.ALL)
        protocols = [protocol for asked, _, protocol in self.server.asked if asked == name]
        # One in a thousand names is spelled in lower case by chance.
        self.assertIn(protocols, (["udp", "tcp"], ["udp"]))
        self.resolver = self.make(spell=False)
        self.server.asked.clear()
        self.assertEqual(await self.hosts(), self.ALL)
        self.assertEqual([protocol for _, _, protocol in self.server.asked], ["udp"])

    async def test_a_server_from_before_edns(self) -> None:
        self.server.manner["there.test"] = "formerr"
        self.assertEqual(await self.hosts(), self.ALL)

    async def test_a_slow_server_is_waited_for_and_asked_once(self) -> None:
        self.server.manner["there.test"] = "slow"
        self.resolver = self.make(timeout=5.0)
        asked: list[Any] = [self.resolver.mail_hosts("there.test") for _ in range(5)]
        for one in asked:
            self.assertEqual(set(await one), self.ALL)
        self.assertEqual(len(self.server.asked), 1)

    async def test_signed_answers_and_the_end_of_aliases(self) -> None:
        self.server.add("_25._tcp.c.there.test", "TLSA", "3 1 1 " + "ab" * 32)
        answer = await self.resolver.lookup("_25._tcp.c.there.test", "TLSA")
        self.assertEqual((answer.status, answer.authentic), (Status.FOUND, True))
        self.assertEqual(answer.records, (bytes((3, 1, 1)) + b"\xab" * 32,))
        self.server.add("alias.test", "CNAME", "c.there.test.")
        self.assertEqual((await self.resolver.lookup("alias.test", "A")).owner, "c.there.test")
        self.server.authentic = False
        self.assertFalse((await self.make().lookup("there.test", "MX")).authentic)
