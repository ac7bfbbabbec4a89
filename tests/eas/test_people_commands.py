"""ResolveRecipients and ValidateCert. Numbers are those of MS-ASCMD's requirements."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from posthouse.certs.chain import Roots
from posthouse.eas.registry import commands
from posthouse.store import people, routing
from posthouse.wbxml.tags import ResolveRecipients as R
from posthouse.wbxml.tags import ValidateCert as V
from posthouse.wbxml.tree import E, Element
from tests.eas.finding import JPEG, FindingRoom
from tests.eas.room import VERSIONS, Response
from tests.support.smime import Issued, issue
from tests.support.store import NOW

START, END = E(R.StartTime, "2026-01-05T08:00:00.000Z"), E(R.EndTime, "2026-01-05T18:00:00.000Z")


class ResolveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()
        self.room.person("ann@example.org", name="Ann Lee", photo=JPEG)
        self.room.person("anne@example.org", name="Anne Moon", photo=JPEG * 2)
        self.room.person("bob@example.org", name="Barry Johnson")

    def post(self, *names: str, options: tuple[Element, ...] = (), version: str = "14.1") -> Response:
        request = E(
            R.ResolveRecipients, [E(R.To, name) for name in names], E(R.Options, options) if options else None
        )
        return self.room.post("ResolveRecipients", request, version)

    def ask(self, *names: str, options: tuple[Element, ...] = (), version: str = "14.1") -> list[Element]:
        answer = self.post(*names, options=options, version=version)
        self.assertEqual((answer.code, answer.text(R.Status)), (200, "1"))
        assert answer.root is not None
        return answer.root.findall(R.Response)

    def one(self, name: str, *options: Element, version: str = "14.1") -> Element:
        (found,) = self.ask(name, options=options, version=version)
        return found

    def certify(self, address: str, *ders: bytes) -> None:
        def store(tx: object) -> None:
            person = people.person_by_address(tx, address)  # type: ignore[arg-type]
            assert person is not None
            people.set_certificates(tx, person, ders)  # type: ignore[arg-type]

        self.room.db.write_now(store)

    def test_one_who_is_meant_for_certain(self) -> None:
        """R343, R3825, R4268, R4275, R4686, R2199, R5309."""
        for version in VERSIONS:
            for name in ("barry", "BOB@example.org", " bob@example.org "):
                found = self.one(name, version=version)
                self.assertEqual((found.text(R.Status), found.text(R.RecipientCount)), ("1", "1"))
                self.assertEqual(found.text(R.To), name.strip())
                (recipient,) = found.findall(R.Recipient)
                self.assertEqual(
                    [(child.tag, child.value) for child in recipient.children],
                    [(R.Type, "1"), (R.DisplayName, "Barry Johnson"), (R.EmailAddress, "bob@example.org")],
                )

    def test_ambiguous_names(self) -> None:
        """R4279, R3250, R4283: suggestions without certificates, and how many there are."""
        found = self.one("ann", E(R.CertificateRetrieval, 2))
        self.assertEqual((found.text(R.Status), found.text(R.RecipientCount)), ("2", "2"))
        names = [one.text(R.DisplayName) for one in found.findall(R.Recipient)]
        self.assertEqual(names, ["Ann Lee", "Anne Moon"])
        self.assertTrue(all(one.find(R.Certificates) is None for one in found.findall(R.Recipient)))
        for most in (0, 1):
            found = self.one("ann", E(R.MaxAmbiguousRecipients, most))
            self.assertEqual((found.text(R.Status), found.text(R.RecipientCount)), ("3", "2"))
            self.assertEqual(len(found.findall(R.Recipient)), most)

    def test_nobody(self) -> None:
        """R4286."""
        for name in ("zoe", "stranger@elsewhere.net", ""):
            found = self.one(name)
            self.assertEqual((found.text(R.Status), found.text(R.RecipientCount)), ("4", "0"))
            self.assertEqual(found.findall(R.Recipient), [])

    def test_each_name_has_its_answer_in_order(self) -> None:
        found = self.ask("bob", "zoe", "ann")
        self.assertEqual(
            [(one.text(R.To), one.text(R.Status)) for one in found],
            [("bob", "1"), ("zoe", "4"), ("ann", "2")],
        )

    def test_certificates(self) -> None:
        """R856, R857, R843, R849, R4302, R4304; expired ones and mini certificates are none."""
        leaf = issue("bob@example.org")
        self.certify("bob@example.org", leaf.der, issue("old", days=(-9, -1)).der, b"rubbish")
        for version in VERSIONS:
            found = self.one("bob", E(R.CertificateRetrieval, 2), version=version)
            certificates = found.find(R.Recipient, R.Certificates)
            assert certificates is not None
            self.assertEqual(certificates.text(R.Status), "1")
            self.assertEqual(
                (certificates.text(R.CertificateCount), certificates.text(R.RecipientCount)), ("1", "1")
            )
            self.assertEqual(b64decode(certificates.text(R.Certificate) or ""), leaf.der)
        self.assertIsNone(self.one("bob", E(R.CertificateRetrieval, 1)).find(R.Recipient, R.Certificates))
        self.assertIsNone(self.one("bob").find(R.Recipient, R.Certificates))
        for name, retrieval in (("bob", 3), ("ann@example.org", 2)):
            certificates = self.one(name, E(R.CertificateRetrieval, retrieval)).find(
                R.Recipient, R.Certificates
            )
            assert certificates is not None
            self.assertEqual((certificates.text(R.Status), certificates.text(R.CertificateCount)), ("7", "0"))
            self.assertIsNone(certificates.find(R.Certificate))

    def test_all_of_somebodys_certificates_or_none(self) -> None:
        """R851, R3254, R3255: 8, and how many were not returned."""
        self.certify("ann@example.org", issue("1").der, issue("2").der)
        self.certify("bob@example.org", issue("3").der)
        options = (E(R.CertificateRetrieval, 2), E(R.MaxCertificates, 1))
        first, second = (
            one.find(R.Recipient, R.Certificates)
            for one in self.ask("ann@example.org", "bob", options=options)
        )
        assert first is not None and second is not None
        self.assertEqual((first.text(R.Status), first.text(R.CertificateCount)), ("8", "2"))
        self.assertEqual(first.findall(R.Certificate), [])
        self.assertEqual((second.text(R.Status), len(second.findall(R.Certificate))), ("1", 1))

    def test_a_group_has_those_of_its_members(self) -> None:
        """R3768, R3769."""
        self.room.db.write_now(
            lambda tx: routing.add_alias(tx, "crew@example.org", ["bob@example.org", "x@far.net"], NOW)
        )
        self.certify("bob@example.org", issue("bob").der)
        certificates = self.one("crew@example.org", E(R.CertificateRetrieval, 2)).find(
            R.Recipient, R.Certificates
        )
        assert certificates is not None
        self.assertEqual(
            (
                certificates.text(R.Status),
                certificates.text(R.CertificateCount),
                certificates.text(R.RecipientCount),
            ),
            ("1", "1", "2"),
        )

    def test_pictures(self) -> None:
        """R2133, R3287, R3291, R4309 to R4313, R5350, R5351: of each name so many."""

        def pictures(*limits: Element, name: str = "ann", version: str = "14.1") -> list[str | None]:
            found = self.one(name, E(R.Picture, limits), version=version).findall(R.Recipient)
            return [one.text(R.Status) for each in found if (one := each.find(R.Picture)) is not None]

        self.assertEqual(pictures(), ["1", "1"])
        self.assertEqual(pictures(E(R.MaxPictures, 1)), ["1", "175"])
        self.assertEqual(pictures(E(R.MaxSize, len(JPEG))), ["1", "174"])
        self.assertEqual(pictures(name="bob"), ["173"])
        self.assertEqual(pictures(version="14.0"), [])
        found = self.one("ann@example.org", E(R.Picture)).find(R.Recipient, R.Picture)
        assert found is not None
        self.assertEqual(b64decode(found.text(R.Data) or ""), JPEG)

    def test_free_busy_times_cannot_be_retrieved_yet(self) -> None:
        """R4298, R4294, R4623; ignored where the version has none (R7262)."""
        found = self.one("bob", E(R.Availability, START, END)).find(R.Recipient, R.Availability)
        assert found is not None
        self.assertEqual([(child.tag, child.value) for child in found.children], [(R.Status, "163")])
        self.assertIsNone(self.one("ann", E(R.Availability, START, END)).find(R.Recipient, R.Availability))
        self.assertIsNone(
            self.one("bob", E(R.Availability, START, END), version="12.1").find(R.Recipient, R.Availability)
        )
        targets = [f"m{number}@far.net" for number in range(21)]
        self.room.db.write_now(lambda tx: routing.add_alias(tx, "many@example.org", targets, NOW))
        found = self.one("many", E(R.Availability, START, END)).find(R.Recipient, R.Availability)
        assert found is not None
        self.assertEqual(found.text(R.Status), "161")

    def test_what_is_invalid(self) -> None:
        """R4270, R2264, R2266, R3986, R5175, R5656."""
        soon, late = E(R.EndTime, "2026-01-05T08:29:00.000Z"), E(R.EndTime, "2026-02-17T08:00:00.000Z")
        for options in (
            E(R.CertificateRetrieval, 4),
            E(R.MaxCertificates, 10_000),
            E(R.MaxAmbiguousRecipients, "many"),
            E(R.Availability),
            E(R.Availability, START),
            E(R.Availability, END),
            E(R.Availability, E(R.StartTime, "now"), END),
            E(R.Availability, START, E(R.EndTime, "later")),
            E(R.Availability, START, soon),
            E(R.Availability, START, late),
            E(R.Availability, E(R.StartTime, "2026-01-06T08:00:00.000Z"), END),
            E(R.Picture, E(R.MaxSize, "big")),
        ):
            self.assertEqual(self.post("bob", options=(options,)).text(R.Status), "5", options)
        self.assertEqual(self.post().text(R.Status), "5")
        self.assertEqual(self.post("x" * 257).text(R.Status), "5")
        self.assertEqual(self.post(*["bob"] * 101).text(R.Status), "5")
        self.assertEqual(len(self.ask(*["bob"] * 100)), 100)


class ValidateCertTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()
        self.root = issue("Root", authority=True)
        path = Path(self.mktemp())
        path.write_bytes(self.root.pem)
        command = commands()["ValidateCert"]
        patched = mock.patch.object(command, "roots", Roots(str(path)))
        patched.start()
        self.addCleanup(patched.stop)

    def statuses(
        self,
        *asked: bytes | str,
        chain: tuple[bytes, ...] = (),
        check_crl: bool | None = None,
        version: str = "14.1",
    ) -> list[str | None]:
        request = E(
            V.ValidateCert,
            E(V.CertificateChain, [E(V.Certificate, text(one)) for one in chain]) if chain else None,
            E(V.Certificates, [E(V.Certificate, text(one)) for one in asked]),
            E(V.CheckCrl, check_crl) if check_crl is not None else None,
        )
        answer = self.room.post("ValidateCert", request, version)
        self.assertEqual((answer.code, answer.text(V.Status)), (200, "1"))
        assert answer.root is not None
        return [one.text(V.Status) for one in answer.root.findall(V.Certificate)]

    def test_a_good_one_at_every_version(self) -> None:
        """R4474, R5387."""
        for version in VERSIONS:
            self.assertEqual(self.statuses(issue("leaf", self.root).der, version=version), ["1"])
        middle = issue("Middle", self.root, authority=True)
        self.assertEqual(self.statuses(issue("leaf", middle).der, chain=(middle.der,)), ["1"])

    def test_each_has_its_own_status(self) -> None:
        """R5389, R4479, R4482, R4488, R4491, R4500, R5847."""
        stranger = issue("Stranger", authority=True)
        found: tuple[tuple[bytes | str, str], ...] = (
            (issue("leaf", self.root).with_broken_signature(), "3"),
            (issue("leaf", stranger).der, "4"),
            (issue("leaf", self.root, signs=False).der, "6"),
            (issue("leaf", self.root, days=(-9, -1)).der, "7"),
            (b"rubbish", "10"),
            ("no base64!", "10"),
            ("", "10"),
            (issue("leaf", self.root, authority=True).der, "11"),
            (issue("leaf", self.root).der, "1"),
        )
        self.assertEqual(self.statuses(*[one for one, _ in found]), [status for _, status in found])

    def test_what_is_wrong_with_the_chain(self) -> None:
        """R4485, R4494, R4497, R4504."""

        def below(middle: Issued, given: bytes | None = None) -> list[str | None]:
            return self.statuses(issue("leaf", middle).der, chain=(given or middle.der,))

        self.assertEqual(below(issue("M", self.root, authority=True), b"rubbish"), ["5"])
        self.assertEqual(below(issue("M", self.root, authority=True, days=(-9, -1))), ["8"])
        self.assertEqual(below(issue("M", self.root, authority=True, cert_sign=False)), ["9"])
        self.assertEqual(below(issue("M", self.root)), ["11"])

    def test_revocation_is_not_known(self) -> None:
        """R893, R895."""
        good, bad = issue("leaf", self.root).der, issue("leaf", self.root, days=(-9, -1)).der
        self.assertEqual(self.statuses(good, bad, check_crl=True), ["16", "7"])
        self.assertEqual(self.statuses(good, check_crl=False), ["1"])

    def test_what_is_invalid(self) -> None:
        """R4476, R5662."""
        one = E(V.Certificate, "x")
        for request in (
            E(V.ValidateCert),
            E(V.ValidateCert, E(V.Certificates)),
            E(V.ValidateCert, E(V.CertificateChain, one)),
            E(V.ValidateCert, E(V.Certificates, one), E(V.CheckCrl, "maybe")),
            E(V.ValidateCert, E(V.Certificates, [one] * 101)),
        ):
            self.assertEqual(self.room.post("ValidateCert", request).text(V.Status), "2", request)


def text(certificate: bytes | str) -> str:
    return certificate if isinstance(certificate, str) else b64encode(certificate).decode()
