"""DMARC as of RFC 9989: records, the tree walk, alignment, verdicts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.dns.codec import Status
from posthouse.mailauth.dmarc import DmarcRecord, DmarcResult, Identifier, discover, evaluate, parse_record
from tests.mailauth.zone import Zone, run


def judge(world: Zone, author: str, *identifiers: tuple[str, str, str]) -> DmarcResult:
    policy = run(discover(author, world.lookup))
    found: DmarcResult = run(
        evaluate(policy, [Identifier(*identifier) for identifier in identifiers], world.lookup)
    )
    return found


class RecordTests(SynchronousTestCase):
    def test_records(self) -> None:
        for text, expected in (
            ("v=DMARC1; p=none", DmarcRecord("none")),
            ("v=DMARC1;p=reject;", DmarcRecord("reject")),
            ("v=DMARC1 ; P = Quarantine ; sp=reject", DmarcRecord("quarantine", "reject")),
            ("v=DMARC1; p=reject; np=none; t=y", DmarcRecord("reject", np="none", testing=True)),
            ("v=DMARC1; p=none; adkim=s; aspf=S", DmarcRecord("none", strict_dkim=True, strict_spf=True)),
            ("v=DMARC1; p=reject; adkim=x; psd=maybe; junk; a=b", DmarcRecord("reject")),
            ("v=DMARC1; psd=y", DmarcRecord(psd="y")),
            ("v=DMARC1; p=none; pct=0; rf=afrf; ri=1", DmarcRecord("none")),
            ("v=DMARC1; p=bogus", None),
            ("v=DMARC1; p=reject; sp=bogus", None),
            (
                "v=DMARC1; p=bogus; rua=mailto:a@b.example!10m",
                DmarcRecord("none", rua=("mailto:a@b.example!10m",)),
            ),
            ("v=DMARC1; p=reject; p=none", DmarcRecord("reject")),
            ("p=none; v=DMARC1", None),
            ("v=dmarc1; p=none", None),
            ("v=DMARC10; p=none", None),
            ("v=DMARC1 p=none", None),
            ("v=spf1 -all", None),
            ("", None),
        ):
            self.assertEqual(parse_record(text.encode()), expected, text)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=60))
    def test_no_record_makes_it_fail(self, raw: bytes) -> None:
        for record in (raw, b"v=DMARC1;" + raw, b"v=DMARC1; p=reject; " + raw):
            found = parse_record(record)
            if found is not None:
                self.assertIn(found.p, ("none", "quarantine", "reject"))


class DiscoveryTests(SynchronousTestCase):
    def found(self, world: Zone, author: str) -> tuple[str, str]:
        policy = run(discover(author, world.lookup))
        return policy.domain, policy.policy

    def test_the_own_record_comes_first_and_costs_one_question(self) -> None:
        world = Zone().text("_dmarc.a.example.com", "v=DMARC1; p=reject; sp=none")
        world.text("_dmarc.example.com", "v=DMARC1; p=none")
        self.assertEqual(self.found(world, "A.Example.COM"), ("a.example.com", "reject"))
        self.assertEqual(world.asked, [("_dmarc.a.example.com", "TXT")])

    def test_below_it_the_organization_speaks(self) -> None:
        world = Zone().text("_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine")
        self.assertEqual(self.found(world, "a.b.example.com"), ("example.com", "quarantine"))
        world.text("_dmarc.example.com", "v=DMARC1; p=reject")
        self.assertEqual(self.found(world, "a.b.example.com"), ("example.com", "reject"))

    def test_of_several_records_upwards_that_with_fewest_labels_counts(self) -> None:
        world = Zone().text("_dmarc.example.com", "v=DMARC1; p=none")
        world.text("_dmarc.b.example.com", "v=DMARC1; p=reject")
        self.assertEqual(self.found(world, "a.b.example.com"), ("example.com", "none"))

    def test_a_domain_can_say_that_it_is_an_organization(self) -> None:
        world = Zone().text("_dmarc.example.com", "v=DMARC1; p=none")
        world.text("_dmarc.b.example.com", "v=DMARC1; p=reject; psd=n")
        self.assertEqual(self.found(world, "a.b.example.com"), ("b.example.com", "reject"))

    def test_a_public_suffix_speaks_where_nobody_else_does(self) -> None:
        world = Zone().text("_dmarc.bank", "v=DMARC1; p=none; sp=reject; psd=y")
        self.assertEqual(self.found(world, "a.some.bank"), ("bank", "reject"))
        world.text("_dmarc.some.bank", "v=DMARC1; p=quarantine")
        self.assertEqual(self.found(world, "a.some.bank"), ("some.bank", "quarantine"))

    def test_np_is_for_domains_that_do_not_exist(self) -> None:
        world = Zone().text("_dmarc.example.com", "v=DMARC1; p=none; sp=quarantine; np=reject")
        self.assertEqual(self.found(world, "gone.example.com"), ("example.com", "reject"))
        for kind, records in (("A", ("192.0.2.1",)), ("AAAA", ("2001:db8::1",)), ("MX", ((1, "x"),))):
            exists = Zone(world.records | {("there.example.com", kind): records})
            self.assertEqual(self.found(exists, "there.example.com"), ("example.com", "quarantine"), kind)
        unsure = Zone(world.records | {("gone.example.com", "A"): Status.FAILED})
        self.assertEqual(self.found(unsure, "gone.example.com"), ("example.com", "quarantine"))

    def test_a_long_name_costs_eight_questions_at_most(self) -> None:
        world = Zone()
        labels = [f"l{n}" for n in range(30)]
        run(discover(".".join([*labels, "example.com"]), world.lookup))
        names = [name for name, _ in world.asked[1:]]
        self.assertEqual(len(names), 8)
        # RFC 9989 4.10: after the whole name, seven labels remain
        self.assertEqual(names[1], "_dmarc." + ".".join([*labels[-5:], "example.com"]))
        self.assertEqual(names[-1], "_dmarc.com")

    def test_several_records_are_as_good_as_none(self) -> None:
        world = Zone().text("_dmarc.example.com", "v=DMARC1; p=none", "v=DMARC1; p=reject")
        self.assertEqual(self.found(world, "example.com"), ("", ""))
        world.text("_dmarc.example.com", "v=spf1 -all", "v=DMARC1; p=reject")
        self.assertEqual(self.found(world, "example.com"), ("example.com", "reject"))

    def test_what_is_no_domain_has_no_policy(self) -> None:
        world = Zone()
        for author in ("", "localhost", "a..b", "[1.2.3.4]", "x" * 70 + ".example"):
            self.assertEqual(judge(world, author).result, "none")
        self.assertEqual(world.asked, [])


class VerdictTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = Zone().text("_dmarc.example.com", "v=DMARC1; p=reject")

    def test_alignment(self) -> None:
        for method in ("spf", "dkim"):
            for domain, result in (
                ("example.com", "pass"),
                ("EXAMPLE.com.", "pass"),
                ("mail.example.com", "pass"),
                ("example.org", "fail"),
                ("notexample.com", "fail"),
                ("com", "fail"),
                ("", "fail"),
            ):
                found = judge(self.world, "example.com", (method, domain, "pass"))
                self.assertEqual(found.result, result, (method, domain))
                self.assertEqual(found.disposition, "none" if result == "pass" else "reject")

    def test_siblings_are_aligned_within_their_organization(self) -> None:
        self.assertEqual(judge(self.world, "a.example.com", ("dkim", "b.example.com", "pass")).result, "pass")
        self.world.text("_dmarc.b.example.com", "v=DMARC1; p=none; psd=n")
        self.assertEqual(judge(self.world, "a.example.com", ("dkim", "b.example.com", "pass")).result, "fail")

    def test_strict_alignment(self) -> None:
        self.world.text("_dmarc.example.com", "v=DMARC1; p=reject; adkim=s")
        self.assertEqual(judge(self.world, "example.com", ("dkim", "a.example.com", "pass")).result, "fail")
        self.assertEqual(judge(self.world, "example.com", ("spf", "a.example.com", "pass")).result, "pass")
        self.assertEqual(judge(self.world, "example.com", ("dkim", "example.com", "pass")).result, "pass")

    def test_only_a_pass_counts(self) -> None:
        for result in ("fail", "softfail", "neutral", "none", "permerror", "policy"):
            found = judge(self.world, "example.com", ("spf", "example.com", result))
            self.assertEqual((found.result, found.disposition), ("fail", "reject"))

    def test_what_cannot_be_told_is_no_reason_to_refuse(self) -> None:
        found = judge(self.world, "example.com", ("dkim", "example.com", "temperror"))
        self.assertEqual((found.result, found.disposition), ("temperror", "none"))
        # but trouble in a stranger's DNS is none of the author's
        found = judge(self.world, "example.com", ("dkim", "evil.example", "temperror"))
        self.assertEqual((found.result, found.disposition), ("fail", "reject"))
        self.world.records["_dmarc.example.com", "TXT"] = Status.FAILED
        found = judge(self.world, "example.com", ("dkim", "evil.example", "pass"))
        self.assertEqual((found.result, found.disposition), ("temperror", "none"))

    def test_a_broken_walk_helps_no_stranger(self) -> None:
        self.world.records["_dmarc.com", "TXT"] = Status.FAILED
        self.assertEqual(judge(self.world, "example.com", ("spf", "evil.org", "pass")).disposition, "reject")
        found = judge(self.world, "example.com", ("spf", "a.example.com", "pass"))
        self.assertEqual((found.result, found.disposition), ("temperror", "none"))
        self.assertEqual(judge(self.world, "example.com", ("spf", "example.com", "pass")).result, "pass")

    def test_t_softens_by_one_step_and_pct_is_gone(self) -> None:
        for text, disposition in (
            ("p=reject; t=y", "quarantine"),
            ("p=quarantine; t=y", "none"),
            ("p=none; t=y", "none"),
            ("p=reject; t=n", "reject"),
            ("p=reject; pct=0", "reject"),
            ("p=quarantine", "quarantine"),
            ("p=none", "none"),
        ):
            self.world.text("_dmarc.example.com", f"v=DMARC1; {text}")
            found = judge(self.world, "example.com")
            self.assertEqual((found.result, found.disposition), ("fail", disposition), text)

    def test_without_a_policy_nothing_is_asked_for(self) -> None:
        self.assertEqual(judge(Zone(), "example.com", ("spf", "x.example", "fail")).result, "none")


class OracleTests(SynchronousTestCase):
    """The verdicts of the ``dmarc`` library on the same records."""

    def setUp(self) -> None:
        try:
            import dmarc
        except ImportError:
            raise SkipTest("dmarc is not installed") from None
        self.dmarc = dmarc

    def theirs(self, record: str, author: str, signer: str) -> tuple[str, str]:
        library = self.dmarc
        organization = "example.com" if author != "example.com" else None
        policy = library.DMARC().parse_record(record, domain=author, org_domain=organization)
        signed = library.DKIM(signer, library.DKIMResult.PASS)
        found = library.DMARC().get_result(policy, dkim=signed, allow_policy_test_mode=True)
        return found.result.name.lower(), found.disposition.name.lower()

    def test_it_says_the_same(self) -> None:
        wrong = []
        for p in ("none", "quarantine", "reject"):
            for more in ("", "; sp=reject", "; sp=none", "; t=y", "; adkim=s", "; sp=reject; t=y"):
                record = f"v=DMARC1; p={p}{more}"
                world = Zone().text("_dmarc.example.com", record)
                for author in ("example.com", "a.example.com"):
                    # Siblings are not aligned to it, since it is told nothing about the organization.
                    for signer in ("example.com", "a.example.com", "evil.example"):
                        ours = judge(world, author, ("dkim", signer, "pass"))
                        theirs = self.theirs(record, author, signer)
                        if (ours.result, ours.disposition) != theirs:
                            wrong.append((record, author, signer, ours.result, ours.disposition, theirs))
        self.assertEqual(wrong, [])
