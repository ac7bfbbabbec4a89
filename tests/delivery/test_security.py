"""What connections have to be like, by what DNS and policies say."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.routes import Verdict
from posthouse.delivery.security import Security
from posthouse.delivery.sts import StsFound
from posthouse.dns.codec import Answer, Status
from posthouse.model import HopPolicy, NextHop, TlsSession
from posthouse.tlspolicy.mtasts import StsPolicy

DOMAIN, HOST, ADDRESS = "there.example", "mx.there.example", "192.0.2.1"
EE = bytes((3, 1, 1)) + hashlib.sha256(b"key").digest()
PKIX = bytes((1, 1, 1)) + hashlib.sha256(b"key").digest()


def found(*records: Any, authentic: bool = True, owner: str = "") -> Answer:
    return Answer(Status.FOUND, records, 60, authentic, owner=owner)


class SecurityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.zone: dict[tuple[str, str], Answer] = {
            (DOMAIN, "MX"): found((10, HOST)),
            (HOST, "A"): found(ADDRESS, owner=HOST),
        }
        self.asked: list[tuple[str, str]] = []
        self.sts = StsFound()
        self.noted: list[TlsSession] = []
        self.security = Security(self, self)  # type: ignore[arg-type]

    def lookup(self, name: str, kind: str) -> Deferred[Answer]:
        self.asked.append((name, kind))
        return succeed(self.zone.get((name, kind), Answer(Status.NO_DATA, ttl=60, authentic=True)))

    def find(self, domain: str) -> Deferred[StsFound]:
        return succeed(self.sts)

    def protect(self, *hops: NextHop, domain: str = DOMAIN, security: Security | None = None) -> Any:
        self.noted.clear()
        return self.successResultOf(
            ensureDeferred(
                (security or self.security).protect(
                    domain, hops or (NextHop(HOST, (ADDRESS,)),), self.noted.append
                )
            )
        )

    def policy(self, *hops: NextHop, **more: Any) -> HopPolicy:
        (hop,) = self.protect(*hops, **more)
        policy: HopPolicy = hop.policy
        return policy

    # -- DANE

    def test_tlsa_records_of_signed_names_have_to_be_met(self) -> None:
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE)
        policy = self.policy()
        self.assertEqual((policy.tls, policy.names), ("dane", (HOST, DOMAIN)))
        self.assertEqual(policy.tlsa, ((3, 1, 1, EE[3:]),))
        self.assertTrue(policy.trusted)
        assert policy.about is not None
        self.assertEqual((policy.about.policy, policy.about.strings), ("tlsa", (f"3 1 1 {EE[3:].hex()}",)))

    def test_records_that_prove_nothing_still_ask_for_encryption(self) -> None:
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(PKIX, b"xx")
        self.assertEqual(self.policy().tls, "required")

    def test_unsigned_answers_mean_no_dane(self) -> None:
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE)
        for place, answer in (
            ((DOMAIN, "MX"), found((10, HOST), authentic=False)),
            ((DOMAIN, "MX"), found((10, "other.example"))),
            ((HOST, "A"), found(ADDRESS, authentic=False, owner=HOST)),
            ((HOST, "A"), found("192.0.2.9", owner=HOST)),
        ):
            before, self.zone[place] = self.zone[place], answer
            self.asked.clear()
            self.assertEqual(self.policy().tls, "", place)
            # Servers of unsigned zones are not even asked: some never answer.
            self.assertNotIn("TLSA", [kind for _, kind in self.asked])
            self.zone[place] = before
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE, authentic=False)
        self.assertEqual(self.policy().tls, "")

    def test_dane_bogus_is_temporary(self) -> None:
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = Answer(Status.FAILED, detail="SERVFAIL")
        verdict = self.protect()
        self.assertIsInstance(verdict, Verdict)
        self.assertEqual((verdict.outcome, verdict.code, verdict.enhanced), ("retry", 451, "4.7.5"))
        self.assertIn("SERVFAIL", verdict.text)
        self.assertEqual([one.result for one in self.noted], ["dnssec-invalid"])
        # Another host is used in its place.
        self.zone[DOMAIN, "MX"] = found((10, HOST), (20, "b.there.example"))
        self.zone["b.there.example", "A"] = found("192.0.2.2", owner="b.there.example")
        hops = self.protect(NextHop(HOST, (ADDRESS,)), NextHop("b.there.example", ("192.0.2.2",)))
        self.assertEqual([hop.host for hop in hops], ["b.there.example"])

    def test_no_records_for_certain_mean_no_dane(self) -> None:
        for status in (Status.NO_DATA, Status.NO_DOMAIN):
            self.zone[f"_25._tcp.{HOST}", "TLSA"] = Answer(status, ttl=60, authentic=True)
            self.assertEqual(self.policy().tls, "")

    def test_the_end_of_an_alias_is_asked_first(self) -> None:
        self.zone[HOST, "A"] = found(ADDRESS, owner="real.example")
        self.zone["_25._tcp.real.example", "TLSA"] = found(EE)
        self.assertEqual(self.policy().names, ("real.example", HOST, DOMAIN))
        del self.zone["_25._tcp.real.example", "TLSA"]
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE)
        self.assertEqual(self.policy().names, (HOST, DOMAIN))

    def test_the_domain_itself_as_its_mail_host_and_another_port(self) -> None:
        self.zone[DOMAIN, "MX"] = Answer(Status.NO_DATA, ttl=60, authentic=True)
        self.zone[DOMAIN, "A"] = found(ADDRESS, owner=DOMAIN)
        self.zone[f"_2525._tcp.{DOMAIN}", "TLSA"] = found(EE)
        self.assertEqual(self.policy(NextHop(DOMAIN, (ADDRESS,), 2525)).tls, "dane")

    def test_it_can_be_switched_off(self) -> None:
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE)
        self.assertEqual(self.policy(security=Security(self, None, dane=False)).tls, "")

    def test_literals_and_impossible_names_are_left_alone(self) -> None:
        hop = NextHop("192.0.2.1", ("192.0.2.1",))
        for domain in ("[192.0.2.1]", "a..b"):
            self.assertEqual(self.protect(hop, domain=domain), (hop,))

    # -- MTA-STS

    def enforce(self, mode: str = "enforce", *mx: str) -> None:
        self.sts = StsFound(StsPolicy(mode, 86_400, mx or (HOST,), (f"mode: {mode}",)))

    def test_an_enforced_policy_asks_for_a_certificate(self) -> None:
        self.enforce()
        policy = self.policy()
        self.assertEqual((policy.tls, policy.names, policy.trusted), ("verified", (HOST,), True))
        assert policy.about is not None
        self.assertEqual(
            (policy.about.policy, policy.about.strings, policy.about.mx), ("sts", ("mode: enforce",), (HOST,))
        )

    def test_hosts_that_it_does_not_name_are_not_used(self) -> None:
        self.enforce("enforce", "*.other.example")
        hops = (NextHop("mx.other.example", ("192.0.2.2",)), NextHop(HOST, (ADDRESS,)))
        self.assertEqual([hop.host for hop in self.protect(*hops)], ["mx.other.example"])
        self.assertEqual([one.result for one in self.noted], ["validation-failure"])
        verdict = self.protect()
        self.assertEqual((verdict.outcome, verdict.enhanced), ("retry", "4.7.5"))
        self.assertIn("does not name", verdict.text)

    def test_mtasts_testing_not_enforced(self) -> None:
        self.enforce("testing")
        policy = self.policy()
        self.assertEqual((policy.tls, policy.watched), ("", True))
        self.enforce("testing", "other.example")
        policy = self.policy()
        self.assertEqual((policy.tls, policy.watched, policy.trusted), ("", False, False))
        self.assertEqual([one.result for one in self.noted], ["validation-failure"])

    def test_a_policy_that_cannot_be_fetched_is_noted_and_stops_nothing(self) -> None:
        self.sts = StsFound(None, "sts-policy-fetch-error", "404")
        self.assertEqual(self.policy().tls, "")
        self.assertEqual(
            [(one.policy, one.result) for one in self.noted], [("sts", "sts-policy-fetch-error")]
        )

    def test_dane_beats_mta_sts(self) -> None:
        self.enforce("enforce", "other.example")
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = found(EE)
        self.assertEqual(self.policy().tls, "dane")
        # And spoiled DNS is no way around it to a weaker proof.
        self.enforce()
        self.zone[f"_25._tcp.{HOST}", "TLSA"] = Answer(Status.FAILED, detail="SERVFAIL")
        self.assertIsInstance(self.protect(), Verdict)

    # -- neither

    def test_without_any_policy_sessions_are_counted_and_signed_dns_is_trusted(self) -> None:
        policy = self.policy()
        self.assertEqual((policy.tls, policy.trusted, policy.about), ("", True, TlsSession(DOMAIN)))
        self.zone[DOMAIN, "MX"] = found((10, HOST), authentic=False)
        self.assertFalse(self.policy().trusted)
