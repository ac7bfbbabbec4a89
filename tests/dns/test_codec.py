"""Questions to bytes, bytes to answers."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.dns.codec import Answer, Question, Status, parse_answer, write_question
from posthouse.errors import Malformed

MX = Question("example.org", "MX")


def response(
    question: Question,
    *answers: str,
    query_id: int = 7,
    rcode: int = dns.rcode.NOERROR,
    authority: tuple[str, ...] = (),
    flags: int = 0,
) -> bytes:
    """A response on the wire; records as "name ttl type data"."""
    message = dns.message.make_response(dns.message.from_wire(write_question(question, query_id)))
    message.flags |= dns.flags.RA | flags
    message.set_rcode(rcode)
    for section, lines in ((message.answer, answers), (message.authority, authority)):
        for line in lines:
            name, ttl, kind, data = line.split(" ", 3)
            rrset = message.find_rrset(
                section,
                dns.name.from_text(name),
                dns.rdataclass.IN,
                dns.rdatatype.from_text(kind),
                create=True,
            )
            rrset.add(dns.rdata.from_text("IN", kind, data), int(ttl))
    return bytes(message.to_wire())


SOA = "example.org 900 SOA ns.example.org. root.example.org. 1 2 3 4 300"


class CodecTests(SynchronousTestCase):
    def read(self, question: Question, wire: bytes) -> Answer:
        return parse_answer(question, 7, wire)

    def test_the_question_asks_with_edns_and_the_ad_bit(self) -> None:
        query = dns.message.from_wire(write_question(MX, 513))
        self.assertEqual((query.id, query.edns, query.payload), (513, 0, 1232))
        self.assertTrue(query.flags & dns.flags.AD and query.flags & dns.flags.RD)
        self.assertEqual(dns.message.from_wire(write_question(MX, 1, edns=False)).edns, -1)

    def test_mail_hosts(self) -> None:
        answer = self.read(
            MX, response(MX, "example.org 60 MX 10 MX1.example.org.", "example.org 60 MX 20 mx2.example.org.")
        )
        self.assertEqual(answer.status, Status.FOUND)
        self.assertEqual(set(answer.records), {(10, "mx1.example.org"), (20, "mx2.example.org")})
        self.assertEqual(answer.ttl, 60)

    def test_null_mx_is_the_empty_host(self) -> None:
        self.assertEqual(self.read(MX, response(MX, "example.org 60 MX 0 .")).records, ((0, ""),))

    def test_nodata_and_nxdomain_are_told_apart_and_carry_the_negative_ttl(self) -> None:
        nodata = self.read(MX, response(MX, authority=(SOA,)))
        nodomain = self.read(MX, response(MX, authority=(SOA,), rcode=dns.rcode.NXDOMAIN))
        self.assertEqual((nodata.status, nodata.ttl), (Status.NO_DATA, 300))
        self.assertEqual((nodomain.status, nodomain.ttl), (Status.NO_DOMAIN, 300))

    def test_servfail_and_refused_are_failures(self) -> None:
        for rcode in (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR):
            answer = self.read(MX, response(MX, rcode=rcode))
            self.assertEqual((answer.status, answer.detail), (Status.FAILED, dns.rcode.to_text(rcode)))

    def test_a_bare_formerr_header_is_an_answer(self) -> None:
        wire = bytes.fromhex("0007800100000000" + "00000000")
        self.assertEqual(self.read(MX, wire).detail, "FORMERR")

    def test_truncated_is_said(self) -> None:
        self.assertTrue(self.read(MX, response(MX, flags=dns.flags.TC)).truncated)

    def test_aliases_are_followed_with_the_least_ttl(self) -> None:
        question = Question("www.example.org", "A")
        answer = self.read(
            question,
            response(question, "www.example.org 30 CNAME a.example.net.", "a.example.net 90 A 192.0.2.1"),
        )
        self.assertEqual((answer.records, answer.ttl), (("192.0.2.1",), 30))

    def test_an_open_alias_is_named(self) -> None:
        question = Question("www.example.org", "A")
        answer = self.read(question, response(question, "www.example.org 30 CNAME a.example.net."))
        self.assertEqual(answer.alias, "a.example.net")

    def test_an_alias_loop_is_a_failure(self) -> None:
        question = Question("a.example.org", "A")
        wire = response(
            question, "a.example.org 1 CNAME b.example.org.", "b.example.org 1 CNAME a.example.org."
        )
        self.assertEqual(self.read(question, wire).status, Status.FAILED)

    def test_text_strings_are_joined(self) -> None:
        question = Question("example.org", "TXT")
        answer = self.read(question, response(question, 'example.org 60 TXT "v=spf1 " "-all"'))
        self.assertEqual(answer.records, (b"v=spf1 -all",))

    def test_answers_to_other_questions_are_refused(self) -> None:
        other = Question("example.net", "MX")
        for wire in (
            response(MX, query_id=8),
            response(other, "example.net 60 MX 1 evil.example."),
            response(Question("example.org", "A"), "example.org 60 A 192.0.2.66"),
            write_question(MX, 7),  # an echo
        ):
            self.assertRaises(Malformed, parse_answer, MX, 7, wire)

    def test_the_case_of_the_name_does_not_matter(self) -> None:
        wire = response(Question("EXAMPLE.org", "MX"), "EXAMPLE.org 60 MX 1 mx.example.org.")
        self.assertEqual(self.read(MX, wire).records, ((1, "mx.example.org"),))

    @given(st.binary(max_size=200), st.integers(0, 60))
    @settings(max_examples=100)
    def test_any_bytes_give_an_answer_or_malformed(self, noise: bytes, cut: int) -> None:
        good = response(MX, "example.org 60 MX 10 mx1.example.org.")
        for wire in (noise, good[:cut] + noise, good[:cut]):
            try:
                answer = parse_answer(MX, 7, wire)
            except Malformed:
                continue
            self.assertIsInstance(answer.status, Status)

    def test_another_spelling_than_the_one_asked_for_counts_as_truncated(self) -> None:
        query = write_question(MX, 7, spelling="eXample.ORG")
        echo = bytes(dns.message.make_response(dns.message.from_wire(query)).to_wire())
        self.assertFalse(parse_answer(MX, 7, echo, "eXample.ORG").truncated)
        self.assertTrue(parse_answer(MX, 7, echo, "exAmple.ORG").truncated)
        self.assertTrue(parse_answer(MX, 7, response(MX), "eXample.ORG").truncated)

    def test_the_owner_at_the_end_of_aliases_is_named(self) -> None:
        wire = response(
            Question("a.example", "A"), "a.example 60 CNAME b.example.", "b.example 60 A 192.0.2.1"
        )
        self.assertEqual(self.read(Question("a.example", "A"), wire).owner, "b.example")
