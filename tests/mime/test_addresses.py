"""Mailbox lists of every shape, and folded addresses."""

from __future__ import annotations

from email.utils import formataddr, getaddresses

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.addresses import (
    Mailbox,
    display_mailbox,
    fold_address,
    format_mailbox,
    normalise_address,
    parse_mailboxes,
)


class ParseTests(SynchronousTestCase):
    def check(self, value: str | bytes, *expected: tuple[str, str]) -> None:
        self.assertEqual([(box.name, box.address) for box in parse_mailboxes(value)], list(expected))

    def test_plain_forms(self) -> None:
        self.check("a@b.c", ("", "a@b.c"))
        self.check("Anna B. <a@b.c>, <d@e.f> , g@h.i", ("Anna B.", "a@b.c"), ("", "d@e.f"), ("", "g@h.i"))

    def test_quoted_names_with_commas_and_escapes(self) -> None:
        self.check('"Doe, John" <j@x.y>, "a \\"b\\"" <k@x.y>', ("Doe, John", "j@x.y"), ('a "b"', "k@x.y"))

    def test_quoted_local_part_keeps_its_quotes(self) -> None:
        self.check('"john doe"@x.y', ("", '"john doe"@x.y'))

    def test_encoded_words_even_inside_quotes(self) -> None:
        self.check(b"=?utf-8?q?J=C3=B6rg=2C_X?= <a@b.c>", ("Jörg, X", "a@b.c"))
        self.check(b'"=?utf-8?q?J=C3=B6rg?=" <a@b.c>', ("Jörg", "a@b.c"))

    def test_comments_nested_and_as_name(self) -> None:
        self.check(
            "a@b.c (John (the) Doe), Pete(x) <p@q.r(y)>", ("John (the) Doe", "a@b.c"), ("Pete", "p@q.r")
        )

    def test_groups(self) -> None:
        self.check("Friends: a@b.c, D <d@e.f>;, g@h.i", ("", "a@b.c"), ("D", "d@e.f"), ("", "g@h.i"))
        self.check("undisclosed-recipients:;")

    def test_obsolete_route(self) -> None:
        self.check("Mary <@node.test,@other.test:mary@x.test>", ("Mary", "mary@x.test"))

    def test_at_sign_in_the_name(self) -> None:
        self.check("me@work <a@b.c>", ("me@work", "a@b.c"))

    def test_missing_comma_and_missing_bracket(self) -> None:
        self.check("A <a@b.c> B <d@e.f>", ("A", "a@b.c"), ("B", "d@e.f"))
        self.check("A <a@b.c, B <d@e.f>", ("A", "a@b.c"), ("B", "d@e.f"))

    def test_unclosed_quote_and_comment(self) -> None:
        self.check('"Anna <a@b.c>', ("Anna", "a@b.c"))
        self.check("Anna (x <a@b.c>", ("Anna x", "a@b.c"))

    def test_names_without_address(self) -> None:
        self.check("postmaster", ("postmaster", ""))

    def test_domain_literal(self) -> None:
        self.check("a@[192.0.2.1]", ("", "a@[192.0.2.1]"))
        self.check("a@[", ("", "a@["))

    def test_raw_utf8(self) -> None:
        self.check("Märy <märy@exämple.net>".encode(), ("Märy", "märy@exämple.net"))

    def test_no_line_break_gets_into_an_address(self) -> None:
        self.check("<a@b.c\r\n RCPT>", ("", "a@b.cRCPT"))

    def test_at_most_the_limit(self) -> None:
        self.assertEqual(len(parse_mailboxes("a@b.c," * 5000)), 1000)
        self.assertEqual(len(parse_mailboxes('"x" <a@b.c>,' * 5000, 7)), 7)

    def test_hostile_values_are_linear(self) -> None:
        self.assertEqual(parse_mailboxes("," * 20_000), [])
        self.assertEqual(len(parse_mailboxes("." * 16_384)[0].name), 1000)
        self.assertEqual(len(parse_mailboxes("a@" + "." * 16_384)[0].address), 1000)
        for value in (
            "(" * 100_000,
            "(" * 50_000 + ")" * 50_000,
            '"' + '\\"' * 100_000,
            "<" * 100_000,
            "[" * 100_000,
            ":" * 100_000,
            "a@" * 100_000,
            "a@b (x" * 30_000,
            "=?a?q?" * 30_000 + " <a@b>",
        ):
            self.assertTrue(len(parse_mailboxes(value)) <= 1000)

    @given(
        st.binary(max_size=150) | st.text(st.sampled_from('ab@.,;:<>()[]"\\ =?'), max_size=60).map(str.encode)
    )
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_give_clean_mailboxes(self, raw: bytes) -> None:
        for box in parse_mailboxes(raw):
            (box.name + box.address).encode("utf-8")
            self.assertTrue(box.name or box.address)
            if '"' not in box.address:
                self.assertEqual(box.address.split(), [box.address] if box.address else [])

    @given(
        st.lists(
            st.tuples(
                st.text('abc,."\\<>@() x', max_size=12).map(lambda name: " ".join(name.split())),
                st.from_regex(r"[a-z0-9.+-]{1,8}@[a-z]{1,8}\.org", fullmatch=True),
            ),
            min_size=1,
            max_size=4,
        )
    )
    @settings(max_examples=80, deadline=None)
    def test_what_the_standard_library_writes_is_read_as_it_reads_it(
        self, boxes: list[tuple[str, str]]
    ) -> None:
        value = ", ".join(formataddr(box) for box in boxes)
        if getaddresses([value]) != boxes:
            return  # it does not understand itself here
        expected = [address for _, address in boxes]
        self.assertEqual([box.address for box in parse_mailboxes(value)], expected)

    @given(st.text(max_size=40))
    @settings(max_examples=80, deadline=None)
    def test_formatted_mailboxes_come_back(self, name: str) -> None:
        box = Mailbox(parse_mailboxes(format_mailbox(Mailbox(name, "a@b.c")))[0].name, "a@b.c")
        self.assertEqual(parse_mailboxes(format_mailbox(box)), [box])


class FormTests(SynchronousTestCase):
    def test_display(self) -> None:
        self.assertEqual(display_mailbox(Mailbox("Jörg", "a@b.c")), '"Jörg" <a@b.c>')
        self.assertEqual(display_mailbox(Mailbox("", "a@b.c")), "a@b.c")
        self.assertEqual(display_mailbox(Mailbox('a"b', "a@b.c")), '"a\\"b" <a@b.c>')

    def test_fold(self) -> None:
        for address, folded in (
            ("Anna@Example.ORG.", "anna@example.org"),
            ("a@Bücher.example", "a@xn--bcher-kva.example"),
            ("a@XN--bcher-KVA.example", "a@xn--bcher-kva.example"),
            ("JÖRG@x.y", "jörg@x.y"),
            ("a@b@C.d", "a@b@c.d"),
            ("Root", "root"),
            ("a@[IPv6:::1]", "a@[ipv6:::1]"),
            ("", ""),
        ):
            self.assertEqual(fold_address(address), folded)

    def test_normalise_keeps_the_local_part(self) -> None:
        self.assertEqual(normalise_address("Anna@EXAMPLE.org"), "Anna@example.org")

    def test_hostile_domains_are_survived(self) -> None:
        for domain in ("ü" * 100_000, "." * 16_384, "ü.", "\u0644\u200d", "-ü-", "xn--", "ü" + "." * 200):
            self.assertIsInstance(fold_address("a@" + domain), str)

    @given(st.text(max_size=60))
    @settings(max_examples=100, deadline=None)
    def test_folding_twice_changes_nothing(self, text: str) -> None:
        once = fold_address(text)
        self.assertEqual(fold_address(once), once)
