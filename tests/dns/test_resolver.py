"""The resolver over fake exchanges: answers, failures and the cache."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from posthouse.dns.codec import Answer, Question, Status
from posthouse.dns.files import ResolvConf
from posthouse.dns.resolver import Resolver, system_resolver
from posthouse.errors import AcceptsNoMail, NoSuchDomain, TryLater
from posthouse.interfaces import IResolver

Script = Callable[[str, Question, dict[str, Any]], Any]


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, str, str]] = []
        self.zone: dict[tuple[str, str], Any] = {}
        self.settings = ResolvConf(("192.0.2.1", "192.0.2.2"), 5.0, 2)
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.spellings: list[str] = []
        self.resolver = Resolver(
            self.clock,
            lambda: self.settings,
            Random(1),
            lambda: self.hosts,
            udp=self.exchange,
            tcp=self.tcp,
        )

    def exchange(
        self,
        reactor: Any,
        server: str,
        question: Question,
        qid: int,
        timeout: float,
        edns: bool = True,
        spelling: str = "",
    ) -> Any:
        self.spellings.append(spelling)
        self.asked.append((server, question.name, question.type))
        found = self.zone.get((question.name, question.type), Answer(Status.NO_DATA, ttl=60))
        if callable(found):
            found = found(server, question, {"edns": edns, "tcp": False})
        if isinstance(found, Deferred):
            return found
        return fail(found) if isinstance(found, Exception) else succeed(found)

    def tcp(self, reactor: Any, server: str, question: Question, qid: int, timeout: float) -> Any:
        self.asked.append((server, question.name, question.type + "/tcp"))
        return succeed(self.zone[(question.name, question.type)](server, question, {"tcp": True}))

    def mx(self, *records: tuple[int, str]) -> Answer:
        return Answer(Status.FOUND, records, 60)

    def test_provides_the_interface(self) -> None:
        verifyObject(IResolver, self.resolver)

    def test_what_was_asked_once_is_known_without_asking(self) -> None:
        self.zone["example.org", "MX"] = self.mx((10, "a"))
        self.assertIsNone(self.resolver.known("example.org", "MX"))
        answer = self.successResultOf(self.resolver.lookup("example.org", "MX"))
        self.assertEqual(self.resolver.known("example.org", "MX"), answer)
        self.assertIsNone(self.resolver.known("example.org", "A"))

    def test_hosts_in_order_of_preference(self) -> None:
        self.zone["example.org", "MX"] = self.mx((20, "b"), (10, "a"), (10, "a"), (30, "c"))
        hosts = self.successResultOf(self.resolver.mail_hosts("Example.org"))
        self.assertEqual(hosts, [(10, "a"), (20, "b"), (30, "c")])

    def test_equal_pref_mx_are_spread(self) -> None:
        self.zone["example.org", "MX"] = self.mx((10, "a"), (10, "b"), (20, "z"))
        firsts = set()
        for _ in range(40):
            hosts = self.successResultOf(self.resolver.mail_hosts("example.org"))
            self.assertEqual(hosts[2], (20, "z"))
            firsts.add(hosts[0][1])
        self.assertEqual(firsts, {"a", "b"})

    def test_null_mx_is_permanent_and_named(self) -> None:
        self.zone["example.org", "MX"] = self.mx((0, ""))
        self.failureResultOf(self.resolver.mail_hosts("example.org"), AcceptsNoMail)

    def test_a_root_host_beside_others_is_skipped(self) -> None:
        self.zone["example.org", "MX"] = self.mx((0, ""), (5, "a"))
        self.assertEqual(self.successResultOf(self.resolver.mail_hosts("example.org")), [(5, "a")])

    def test_nodata_vs_nxdomain(self) -> None:
        self.zone["gone.example", "MX"] = Answer(Status.NO_DOMAIN, ttl=60)
        self.assertEqual(
            self.successResultOf(self.resolver.mail_hosts("here.example")), [(0, "here.example")]
        )
        failure = self.failureResultOf(self.resolver.mail_hosts("gone.example"), NoSuchDomain)
        self.assertNotIsInstance(failure.value, AcceptsNoMail)

    def test_servfail_is_temporary(self) -> None:
        self.zone["example.org", "MX"] = Answer(Status.FAILED, detail="SERVFAIL")
        self.failureResultOf(self.resolver.mail_hosts("example.org"), TryLater)
        self.assertEqual(len(self.asked), 4, "two servers, two rounds")

    def test_every_server_silent_is_temporary(self) -> None:
        self.zone["example.org", "MX"] = TryLater(cause="time-out")
        self.failureResultOf(self.resolver.mail_hosts("example.org"), TryLater)

    def test_the_second_server_answers_when_the_first_fails(self) -> None:
        self.zone["example.org", "MX"] = lambda server, question, how: (
            Answer(Status.FAILED, detail="SERVFAIL") if server == "192.0.2.1" else self.mx((1, "a"))
        )
        self.assertEqual(self.successResultOf(self.resolver.mail_hosts("example.org")), [(1, "a")])

    def test_truncated_answers_are_asked_again_over_tcp(self) -> None:
        self.zone["example.org", "MX"] = lambda server, question, how: (
            self.mx((1, "a")) if how["tcp"] else Answer(Status.FAILED, truncated=True)
        )
        self.assertEqual(self.successResultOf(self.resolver.mail_hosts("example.org")), [(1, "a")])
        self.assertEqual(self.asked[-1], ("192.0.2.1", "example.org", "MX/tcp"))

    def test_a_server_without_edns_is_asked_plainly(self) -> None:
        self.zone["example.org", "MX"] = lambda server, question, how: (
            Answer(Status.FAILED, detail="FORMERR") if how["edns"] else self.mx((1, "a"))
        )
        self.assertEqual(self.successResultOf(self.resolver.mail_hosts("example.org")), [(1, "a")])

    def test_literals_names_that_cannot_be_and_unicode(self) -> None:
        self.assertEqual(self.successResultOf(self.resolver.mail_hosts("[192.0.2.9]")), [(0, "192.0.2.9")])
        self.failureResultOf(self.resolver.mail_hosts("[nonsense]"), NoSuchDomain)
        self.failureResultOf(self.resolver.mail_hosts("a..b"), NoSuchDomain)
        self.assertEqual(self.asked, [])
        hosts = self.successResultOf(self.resolver.mail_hosts("bücher.example"))
        self.assertEqual(hosts, [(0, "xn--bcher-kva.example")])

    def test_addresses_of_both_families(self) -> None:
        self.zone["mx.example.org", "A"] = Answer(Status.FOUND, ("192.0.2.1",), 60)
        self.zone["mx.example.org", "AAAA"] = Answer(Status.FOUND, ("2001:db8::1",), 60)
        found = self.successResultOf(self.resolver.addresses("mx.example.org"))
        self.assertEqual(found, ["192.0.2.1", "2001:db8::1"])

    def test_one_family_is_enough_even_when_the_other_fails(self) -> None:
        self.zone["mx.example.org", "A"] = Answer(Status.FAILED, detail="SERVFAIL")
        self.zone["mx.example.org", "AAAA"] = Answer(Status.FOUND, ("2001:db8::1",), 60)
        self.assertEqual(self.successResultOf(self.resolver.addresses("mx.example.org")), ["2001:db8::1"])

    def test_no_address_is_permanent_only_when_both_families_said_so(self) -> None:
        self.failureResultOf(self.resolver.addresses("none.example.org"), NoSuchDomain)
        self.zone["half.example.org", "A"] = Answer(Status.FAILED, detail="SERVFAIL")
        self.failureResultOf(self.resolver.addresses("half.example.org"), TryLater)

    def test_literals_localhost_and_the_hosts_file_are_not_asked_for(self) -> None:
        self.hosts["relay"] = ("192.0.2.7",)
        self.assertEqual(self.successResultOf(self.resolver.addresses("192.0.2.1")), ["192.0.2.1"])
        self.assertEqual(self.successResultOf(self.resolver.addresses("localhost")), ["127.0.0.1", "::1"])
        self.assertEqual(self.successResultOf(self.resolver.addresses("RELAY")), ["192.0.2.7"])
        self.assertEqual(self.asked, [])

    def test_answers_are_kept_for_their_ttl_and_failures_for_ten_seconds(self) -> None:
        self.zone["example.org", "MX"] = self.mx((1, "a"))
        self.zone["down.example", "MX"] = Answer(Status.FAILED, detail="SERVFAIL")
        for _ in range(3):
            self.successResultOf(self.resolver.mail_hosts("example.org"))
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(60)
        self.successResultOf(self.resolver.mail_hosts("example.org"))
        self.assertEqual(len(self.asked), 2)
        self.failureResultOf(self.resolver.mail_hosts("down.example"), TryLater)
        self.failureResultOf(self.resolver.mail_hosts("down.example"), TryLater)
        self.assertEqual(len(self.asked), 6)
        self.zone["down.example", "MX"] = self.mx((1, "a"))
        self.clock.advance(10)
        self.successResultOf(self.resolver.mail_hosts("down.example"))

    def test_the_cache_is_bounded_in_number_and_time(self) -> None:
        self.resolver.cache.limit = 3
        self.zone["long.example", "MX"] = Answer(Status.FOUND, ((1, "a"),), 2**31)
        self.successResultOf(self.resolver.mail_hosts("long.example"))
        self.clock.advance(86_401)
        self.assertIsNone(self.resolver.cache.get(Question("long.example", "MX")))
        for number in range(9):
            self.successResultOf(self.resolver.mail_hosts(f"d{number}.example"))
        self.assertEqual(len(self.resolver.cache), 3)

    def test_equal_questions_that_wait_are_asked_once_and_one_may_leave(self) -> None:
        slow: Deferred[Answer] = Deferred()
        self.zone["example.org", "MX"] = slow
        first, second = (self.resolver.mail_hosts("example.org") for _ in range(2))
        first.cancel()
        self.failureResultOf(first)
        slow.callback(self.mx((1, "a")))
        self.assertEqual(self.successResultOf(second), [(1, "a")])
        self.assertEqual(len(self.asked), 1)

    def test_open_alias_chains_are_followed_but_not_for_ever(self) -> None:
        self.zone["www.example", "A"] = Answer(Status.NO_DATA, ttl=5, alias="a.example")
        self.zone["a.example", "A"] = Answer(Status.FOUND, ("192.0.2.1",), 60)
        self.assertEqual(self.successResultOf(self.resolver.addresses("www.example")), ["192.0.2.1"])
        self.zone["l1.example", "A"] = Answer(Status.NO_DATA, ttl=5, alias="l2.example")
        self.zone["l2.example", "A"] = Answer(Status.NO_DATA, ttl=5, alias="l1.example")
        self.failureResultOf(self.resolver.addresses("l1.example"), TryLater)

    def test_authentic_is_believed_of_a_loopback_resolver_only(self) -> None:
        self.zone["example.org", "MX"] = Answer(Status.FOUND, ((1, "a"),), 60, authentic=True)
        self.assertFalse(self.successResultOf(self.resolver.lookup("example.org", "MX")).authentic)
        self.resolver.cache.clear()
        self.settings = ResolvConf(("127.0.0.53",))
        self.assertTrue(self.successResultOf(self.resolver.lookup("example.org", "MX")).authentic)

    def test_texts(self) -> None:
        self.zone["example.org", "TXT"] = Answer(Status.FOUND, (b"v=spf1 -all",), 60)
        self.assertEqual(self.successResultOf(self.resolver.texts("example.org")), [b"v=spf1 -all"])
        self.assertEqual(self.successResultOf(self.resolver.texts("none.example")), [])

    def test_names_are_spelled_by_chance_to_servers_across_a_network(self) -> None:
        for name in ("one.example", "two.example", "three.example"):
            self.zone[name, "TXT"] = Answer(Status.FOUND, (b"x",), 60)
            self.successResultOf(self.resolver.texts(name))
        self.assertEqual(
            [text.lower() for text in self.spellings], ["one.example", "two.example", "three.example"]
        )
        self.assertNotEqual(self.spellings, [text.lower() for text in self.spellings])
        self.settings = ResolvConf(("127.0.0.1:5353",))
        self.successResultOf(self.resolver.texts("four.example"))
        self.assertEqual(self.spellings[-1], "")

    def test_the_servers_of_the_settings_take_the_place_of_those_in_the_file(self) -> None:
        path = self.mktemp()
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("nameserver 192.0.2.1\noptions trust-ad timeout:2\n")
        file = system_resolver(self.clock, Random(1), path, path)._settings()
        self.assertEqual((file.servers, file.trust_ad), (("192.0.2.1",), True))
        own = system_resolver(self.clock, Random(1), path, path, ("[::1]:5353",))._settings()
        self.assertEqual((own.servers, own.trust_ad, own.timeout), (("[::1]:5353",), False, 2.0))
        self.assertTrue(system_resolver(self.clock, Random(1), path, path, (), True)._settings().trust_ad)
