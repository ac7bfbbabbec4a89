"""DKIM: what verifies, what does not, and why."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.dns.codec import Status
from posthouse.mailauth.canonical import BodyHash, split_fields
from posthouse.mailauth.dkim import BodyHashes, DkimResult, Signed, signatures, signed_data, verify
from posthouse.mailauth.dkim_sign import OutgoingBody, SigningKey, key_record, load_key, make_key, sign
from posthouse.mailauth.dkim_tags import Flaw, Signature, parse_signature, parse_tags
from tests.mailauth.zone import Zone, run

NOW = 1_790_000_000
HEAD = (
    b"From: Ann <ann@there.example>\r\nTo: bob@here.example\r\nSubject:  Hello   there\r\n and on\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@there.example>\r\n"
)
BODY = b"Hello  Bob \r\n\tx\r\n\r\n  y\r\n\r\n\r\n"
RSA = load_key("there.example", "r1", make_key("rsa"))
ED = load_key("there.example", "e1", make_key("ed25519"))


def zone(*keys: SigningKey) -> Zone:
    made = Zone()
    for key in keys or (RSA, ED):
        made.text(f"{key.selector}._domainkey.{key.domain}", key_record(key))
    return made


def signed(
    head: bytes = HEAD, body: bytes = BODY, keys: tuple[SigningKey, ...] = (RSA, ED), now: int = NOW
) -> bytes:
    outgoing = OutgoingBody()
    outgoing.feed(body)
    return sign(head, outgoing.digest(), keys, now) + head + b"\r\n" + body


def check(message: bytes, world: Zone | None = None, now: int = NOW, block: int = 7) -> list[DkimResult]:
    head, _, body = message.partition(b"\r\n\r\n")
    found = signatures(head + b"\r\n\r\n")
    hashes = BodyHashes(found)
    for start in range(0, len(body), block):
        hashes.feed(body[start : start + block])
    results: list[DkimResult] = run(verify(found, hashes, (world or zone()).lookup, now))
    return results


def verdicts(message: bytes, world: Zone | None = None, now: int = NOW) -> list[tuple[str, str]]:
    return [(one.result, one.reason) for one in check(message, world, now)]


def hand_made(tags: str, head: bytes = HEAD, body: bytes = BODY, key: SigningKey = ED) -> bytes:
    """A message signed over exactly these tags, which lack ``bh`` and ``b``."""
    unsigned = f"DKIM-Signature: {tags}; bh=BBBB; b=".encode()
    parsed = parse_signature(unsigned + b"AAAA")
    assert isinstance(parsed, Signature), parsed
    digest = BodyHash(parsed.relaxed_body, parsed.length)
    digest.feed(body)
    unsigned = unsigned.replace(b"bh=BBBB", b"bh=" + base64.b64encode(digest.digest()))
    parsed = parse_signature(unsigned + b"AAAA")
    assert isinstance(parsed, Signature), parsed
    data = signed_data(Signed(split_fields(head), []), parsed, None)
    private: Any = key.private
    made = private.sign(hashlib.sha256(data).digest())
    return unsigned + base64.b64encode(made) + b"\r\n" + head + b"\r\n" + body


TAGS = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=there.example; s=e1; h=from:to:subject:from"


class RoundTripTests(SynchronousTestCase):
    def test_what_we_sign_verifies_with_both_keys(self) -> None:
        self.assertEqual(verdicts(signed()), [("pass", ""), ("pass", "")])
        first, second = check(signed())
        self.assertEqual(
            (first.domain, first.selector, first.algorithm), ("there.example", "r1", "rsa-sha256")
        )
        self.assertEqual((second.selector, second.algorithm), ("e1", "ed25519-sha256"))

    def test_white_space_on_the_way_does_not_matter(self) -> None:
        message = signed()
        changed = message.replace(b"Subject:  Hello   there\r\n and on", b"subject: Hello there and\r\n\ton ")
        self.assertEqual(verdicts(changed.replace(b"Hello  Bob \r\n", b"Hello Bob\r\n")), [("pass", "")] * 2)

    def test_what_anybody_could_see_does(self) -> None:
        message = signed()
        for old, new, reason in (
            (b"Bob \r\n", b"Eve \r\n", "body has changed"),
            (b"Subject:  Hello", b"Subject: Goodbye", "signature does not fit"),
            (b"From: Ann", b"From: Eve", "signature does not fit"),
            (b"To: bob@", b"Cc: eve@there.example\r\nTo: bob@", "signature does not fit"),
            (b"To: bob@", b"Subject: other\r\nTo: bob@", "signature does not fit"),
        ):
            self.assertEqual(verdicts(message.replace(old, new)), [("fail", reason)] * 2, new)

    def test_a_second_from_cannot_be_added(self) -> None:
        for message in (b"From: boss@there.example\r\n" + signed(), signed() + b""):
            changed = message.replace(b"To: bob", b"From: eve@there.example\r\nTo: bob")
            self.assertTrue(all(result != "pass" for result, _ in verdicts(changed)))

    def test_line_ends_are_those_of_the_wire(self) -> None:
        head, body = HEAD.replace(b"\r\n", b"\n"), BODY.replace(b"\r\n", b"\n")
        outgoing = OutgoingBody()
        for byte in body + b"last\r":
            outgoing.feed(bytes([byte]))
        fields = sign(head, outgoing.digest(), (ED,), NOW)
        self.assertEqual(verdicts(fields + HEAD + b"\r\n" + BODY + b"last\r\n"), [("pass", "")])

    def test_lines_of_the_field_are_short(self) -> None:
        fields = sign(HEAD * 5, b"x" * 32, (RSA, ED), NOW)
        self.assertTrue(all(len(line) <= 90 for line in fields.split(b"\r\n")))
        self.assertTrue(fields.endswith(b"\r\n"))


class SafetyTests(SynchronousTestCase):
    def test_a_part_of_the_body_vouches_for_nothing(self) -> None:
        message = hand_made(f"{TAGS}; l=5")
        self.assertEqual(verdicts(message), [("neutral", "only a part of the body is signed")])

    def test_a_length_that_is_all_of_it_is_fine(self) -> None:
        whole = hand_made(f"{TAGS}; l=5", body=b"abc\r\n")
        self.assertEqual(verdicts(whole), [("pass", "")])
        self.assertEqual(verdicts(whole + b"<h1>more</h1>")[0][0], "neutral")
        longer = hand_made(f"{TAGS}; l=50", body=b"abc\r\n")
        self.assertEqual(verdicts(longer), [("fail", "body is shorter than l=")])

    def test_times(self) -> None:
        message = hand_made(f"{TAGS}; t={NOW - 100}; x={NOW + 100}")
        self.assertEqual(verdicts(message), [("pass", "")])
        self.assertEqual(verdicts(message, now=NOW + 101), [("fail", "signature expired")])
        self.assertEqual(verdicts(message, now=NOW - 200_000), [("neutral", "signed in the future")])

    def test_at_most_ten_signatures_are_looked_at(self) -> None:
        message = signed(keys=(ED,))
        field = message[: message.index(b"From:")]
        self.assertEqual(len(verdicts(field * 13 + message)), 10)

    def test_signatures_of_many_kinds_cost_a_bounded_number_of_hashes(self) -> None:
        message = HEAD + b"\r\n" + BODY
        for length in range(1, 8):
            message = hand_made(f"{TAGS}; l={length}")[: -len(HEAD) - len(BODY) - 2] + message
        reasons = [reason for _, reason in verdicts(message)]
        self.assertEqual(reasons.count("too many kinds of signatures"), 3)

    def test_simple_forms_and_a_message_without_body(self) -> None:
        simple = TAGS.replace("relaxed/relaxed", "simple")
        self.assertEqual(verdicts(hand_made(simple)), [("pass", "")])
        self.assertEqual(verdicts(hand_made(simple, body=b"")), [("pass", "")])
        self.assertEqual(verdicts(hand_made(simple).replace(b"Ann <", b"Ann  <"))[0][0], "fail")

    def test_another_signature_may_be_signed_but_never_itself(self) -> None:
        message = hand_made(f"{TAGS}:dkim-signature")
        self.assertEqual(verdicts(message), [("pass", "")])

    def test_mail_without_signature_or_with_a_monstrous_header_is_nothing_special(self) -> None:
        self.assertEqual(verdicts(HEAD + b"\r\n" + BODY), [])
        self.assertEqual(verdicts(b"X: " + b"y" * 2_000_000 + b"\r\n" + signed()), [])


class SignatureTests(SynchronousTestCase):
    def test_syntax(self) -> None:
        good = f"{TAGS}; bh=AAAA; b=AAAA"
        self.assertIsInstance(parse_signature(b"DKIM-Signature: " + good.encode()), Signature)
        for old, new, result in (
            ("v=1", "v=2", "neutral"),
            ("v=1; ", "", "neutral"),
            ("a=ed25519-sha256", "a=rsa-sha1", "policy"),
            ("a=ed25519-sha256", "a=rsa-sha512", "neutral"),
            ("c=relaxed/relaxed", "c=relaxed/nowsp", "neutral"),
            ("d=there.example", "d=example", "neutral"),
            ("d=there.example", "d=there..example", "neutral"),
            ("s=e1", "s=e..1", "neutral"),
            ("s=e1", "s=" + "e" * 64, "neutral"),
            ("s=e1", "s=e1; i=@elsewhere.example", "neutral"),
            ("s=e1", "s=e1; i=there.example", "neutral"),
            ("s=e1", "s=e1; i=ann@sub.there.example", ""),
            ("s=e1", "s=e1; q=dns/other", "neutral"),
            ("s=e1", "s=e1; q=dns/txt:x", ""),
            ("s=e1", "s=e1; s=e2", "neutral"),
            ("s=e1", "s=e1; l=x", "neutral"),
            ("s=e1", "s=e1; t=9; x=8", "neutral"),
            ("h=from:to:subject:from", "h=to", "neutral"),
            ("h=from:to:subject:from", "h=from::to", "neutral"),
            ("b=AAAA", "b=A$AA", "neutral"),
            ("b=AAAA", "b=AA \r\n\tAA", ""),
            ("b=AAAA", "b=", "neutral"),
            ("b=AAAA", "b=AAAA;", ""),
            ("b=AAAA", "b=AAAA;;", "neutral"),
        ):
            text = good.replace("bh=AAAA", "bh=BBBB").replace(old, new)
            self.assertNotEqual(text, good)
            found = parse_signature(b"DKIM-Signature: " + text.encode())
            self.assertEqual(found.result if isinstance(found, Flaw) else "", result, new)

    def test_only_the_value_of_b_is_taken_out(self) -> None:
        raw = b"DKIM-Signature: b = AA AA ;" + TAGS.encode() + b"; bh=AAAA"
        found = parse_signature(raw)
        assert isinstance(found, Signature)
        self.assertEqual(found.unsigned, b"DKIM-Signature: b =;" + TAGS.encode() + b"; bh=AAAA")

    def test_tag_lists(self) -> None:
        self.assertEqual(parse_tags(" a = b=c ;\r\n\tx="), {"a": "b=c", "x": ""})
        for text in ("a", "a=1;a=2", "1a=b", ";a=b", "=", "a b=c", ";".join(f"a{n}=1" for n in range(70))):
            self.assertIsNone(parse_tags(text), text)


class KeyTests(SynchronousTestCase):
    def with_record(self, *records: str | bytes) -> tuple[str, str]:
        world = Zone().text("e1._domainkey.there.example", *records)
        return verdicts(signed(keys=(ED,)), world)[0]

    def test_records(self) -> None:
        public = key_record(ED).partition("p=")[2]
        for record, result in (
            (f"v=DKIM1; k=ed25519; p={public}", "pass"),
            (f"k=ed25519; p={public}", "pass"),
            (f"k=ed25519; h=sha1:sha256; s=email:other; n=note; p={public}", "pass"),
            (f"k=ed25519; p={public[:10]} {public[10:]};", "pass"),
            (f"k=ed25519; h=sha1; p={public}", "permerror"),
            (f"k=ed25519; s=tlsrpt; p={public}", "permerror"),
            (f"k=ed25519; v=DKIM1; p={public}", "permerror"),
            (f"v=DKIM2; k=ed25519; p={public}", "permerror"),
            (f"p={public}", "permerror"),
            (f"k=other; p={public}", "permerror"),
            ("k=ed25519; p=", "permerror"),
            ("k=ed25519", "permerror"),
            ("k=ed25519; p=AAAA", "permerror"),
            ("nonsense", "permerror"),
            (key_record(RSA), "permerror"),
        ):
            self.assertEqual(self.with_record(record)[0], result, record)

    def test_a_revoked_key_says_so(self) -> None:
        self.assertEqual(self.with_record("k=ed25519; p="), ("permerror", "key revoked"))

    def test_of_several_records_one_that_fits_is_enough(self) -> None:
        other = key_record(load_key("there.example", "e1", make_key("ed25519")))
        self.assertEqual(self.with_record("v=spf1 -all", other, key_record(ED))[0], "pass")
        self.assertEqual(self.with_record(other)[0], "fail")

    def test_test_mode_is_told(self) -> None:
        self.assertEqual(self.with_record(key_record(ED) + "; t=y"), ("pass", "test mode"))

    def test_a_strict_key_is_not_for_subdomains(self) -> None:
        world = Zone().text("e1._domainkey.there.example", key_record(ED) + "; t=s")
        for identity, result in (("ann@there.example", "pass"), ("ann@sub.there.example", "permerror")):
            self.assertEqual(verdicts(hand_made(f"{TAGS}; i={identity}"), world)[0][0], result)

    def test_no_answer_is_temporary_and_no_key_is_not(self) -> None:
        world = Zone()
        self.assertEqual(verdicts(signed(keys=(ED,)), world), [("permerror", "no key")])
        world.records["e1._domainkey.there.example", "TXT"] = Status.FAILED
        self.assertEqual(verdicts(signed(keys=(ED,)), world), [("temperror", "no answer for the key")])

    def test_short_keys(self) -> None:
        private = generate_private_key(65537, 1024)
        der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        key = load_key("there.example", "k", der)
        self.assertEqual(verdicts(signed(keys=(key,)), zone(key)), [("pass", "1024-bit key")])
        weak = RSAPublicNumbers(65537, (1 << 1022) + 33).public_key()
        data = weak.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        world = Zone().text("k._domainkey.there.example", f"k=rsa; p={base64.b64encode(data).decode()}")
        self.assertEqual(verdicts(signed(keys=(key,)), world), [("policy", "1023-bit key is too weak")])

    def test_keys_so_long_that_they_cost_time(self) -> None:
        long = RSAPublicNumbers(65537, (1 << 8191) + 33).public_key()
        data = long.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        world = Zone().text("r1._domainkey.there.example", f"k=rsa; p={base64.b64encode(data).decode()}")
        self.assertEqual(verdicts(signed(keys=(RSA,)), world), [("policy", "8192-bit key is too long")])


class Rfc8463Tests(SynchronousTestCase):
    """The example of RFC 8463 appendix A: one message, an Ed25519 and an RSA signature."""

    MESSAGE = b"""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")

    def test_both_pass(self) -> None:
        world = Zone()
        world.text(
            "brisbane._domainkey.football.example.com",
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        )
        world.text(
            "test._domainkey.football.example.com",
            "v=DKIM1; k=rsa; p="
            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J"
            "16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTI"
            "KT+l/K4w3QIDAQAB",
        )
        self.assertEqual(verdicts(self.MESSAGE, world), [("pass", ""), ("pass", "1024-bit key")])


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    "v=1",
                    "a=rsa-sha256",
                    "a=ed25519-sha256",
                    ";",
                    ";",
                    "d=there.example",
                    "s=e1",
                    "=",
                    " ",
                    "b=",
                ]
                + [
                    "h=from",
                    ":to",
                    "bh=AAAA",
                    "b=AAAA",
                    "l=3",
                    "x=99999999999",
                    "i=@",
                    "c=simple",
                    "\r\n\t",
                    "é",
                ]
            ),
            max_size=30,
        ),
        st.binary(max_size=60),
    )
    def test_no_header_makes_it_fail(self, parts: list[str], body: bytes) -> None:
        message = b"DKIM-Signature: " + "".join(parts).encode() + b"\r\n" + HEAD + b"\r\n" + body
        for one in check(message):
            self.assertNotEqual(one.result, "pass")

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=80))
    def test_no_key_record_makes_it_fail(self, record: bytes) -> None:
        for raw in (record, b"v=DKIM1; k=rsa; p=" + base64.b64encode(record), b"k=ed25519; p=" + record):
            world = Zone().text("e1._domainkey.there.example", raw)
            self.assertNotEqual(check(signed(keys=(ED,)), world)[0].result, "pass")


class DkimpyTests(SynchronousTestCase):
    def setUp(self) -> None:
        try:
            import dkim
        except ImportError:
            raise SkipTest("dkimpy is not installed") from None
        self.dkim = dkim
        self.world = zone()

    def dns(self, name: bytes, timeout: int = 5) -> bytes | None:
        found = self.world.records.get((name.decode().rstrip("."), "TXT"))
        return found[0] if found else None

    def test_dkimpy_verifies_ours(self) -> None:
        for body in (BODY, b"", b"\r\n", b"no line end", b"a \t b\t\r\n\r\n \r\n"):
            message = signed(body=body, keys=(RSA,))
            self.assertTrue(self.dkim.DKIM(message).verify(dnsfunc=self.dns), body)

    def test_dkimpy_verifies_our_ed25519(self) -> None:
        try:
            import nacl  # noqa: F401
        except ImportError:
            raise SkipTest("PyNaCl is not installed") from None
        self.assertTrue(self.dkim.DKIM(signed(keys=(ED,))).verify(dnsfunc=self.dns))

    def test_we_verify_what_dkimpy_signs(self) -> None:
        private: Any = RSA.private
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        for body in (BODY, b"", b"\r\n\r\n", b"a \t b\t\r\n\r\n \r\n"):
            message = HEAD + b"\r\n" + body
            for head in (b"simple", b"relaxed"):
                for form in (b"simple", b"relaxed"):
                    field = self.dkim.sign(message, b"r1", b"there.example", pem, canonicalize=(head, form))
                    self.assertEqual(
                        verdicts(field + message, now=NOW + 10**9), [("pass", "")], (body, head, form)
                    )
                    changed = (field + message).replace(b"Hello   there", b"Hello  Eve")
                    self.assertEqual(verdicts(changed, now=NOW + 10**9)[0][0], "fail")
