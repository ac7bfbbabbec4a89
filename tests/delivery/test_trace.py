"""Trace headers and loops."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.trace import (
    MAX_RECEIVED,
    check_hops,
    delivery_trace,
    queue_id,
    received_line,
    return_path_line,
)
from posthouse.errors import LoopDetected
from posthouse.mime.headers import parse_headers
from posthouse.model import Envelope, Recipient, evolve

NOW = 1_700_000_000_000
ONE = Envelope(
    "a@example.org",
    (Recipient("b@here.example", (1,)),),
    peer="192.0.2.7",
    helo="mail.example.org",
    protocol="ESMTPS",
    tls="TLSv1.3 with cipher TLS_AES_256_GCM_SHA384",
)


class TraceTests(SynchronousTestCase):
    def test_the_whole_of_a_local_copy(self) -> None:
        received = received_line(ONE, "mx.here.example", "Q1", NOW)
        self.assertEqual(
            delivery_trace(ONE.sender, "b@here.example", received).decode(),
            "Return-Path: <a@example.org>\r\n"
            "Delivered-To: b@here.example\r\n"
            "Received: from mail.example.org ([192.0.2.7])\r\n"
            "\tby mx.here.example (Posthouse)\r\n"
            "\twith ESMTPS (TLSv1.3 with cipher TLS_AES_256_GCM_SHA384) id Q1\r\n"
            "\tfor <b@here.example>;\r\n"
            "\tTue, 14 Nov 2023 22:13:20 +0000\r\n",
        )

    def test_the_null_reverse_path(self) -> None:
        self.assertEqual(return_path_line(""), b"Return-Path: <>\r\n")

    def test_one_recipient_is_named_several_are_not(self) -> None:
        two = evolve(ONE, recipients=(*ONE.recipients, Recipient("c@here.example", (2,))))
        self.assertNotIn(b"here.example>", received_line(two, "mx", "Q", NOW))

    def test_an_authenticated_user_keeps_his_network_to_himself(self) -> None:
        line = received_line(evolve(ONE, account_id=3, protocol="ESMTPSA"), "mx", "Q", NOW)
        self.assertNotIn(b"192.0.2.7", line)
        self.assertNotIn(b"mail.example.org", line)

    def test_ipv6_and_utf8_forms(self) -> None:
        line = received_line(evolve(ONE, peer="2001:db8::1", smtputf8=True), "mx", "Q", NOW)
        self.assertIn(b"([IPv6:2001:db8::1])", line)
        self.assertIn(b"with UTF8SMTPS", line)

    def test_an_address_beyond_ascii_is_left_out_unless_smtputf8(self) -> None:
        strange = evolve(ONE, recipients=(Recipient("jörg@here.example", (1,)),))
        self.assertTrue(received_line(strange, "mx", "Q", NOW).isascii())

    @given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.booleans())
    @settings(max_examples=80)
    def test_no_peer_can_break_out_of_a_line(self, helo: str, address: str, tls: str, utf8: bool) -> None:
        wild = Envelope(
            address,
            (Recipient(address, (1,)),),
            peer=helo,
            helo=helo,
            protocol=tls,
            tls=tls,
            smtputf8=utf8,
        )
        for peer in (helo, "192.0.2.1"):
            block = delivery_trace(address, address, received_line(evolve(wild, peer=peer), "mx", "Q", NOW))
            names = [name for name, _ in parse_headers(block)]
            self.assertEqual(names, ["return-path", "delivered-to", "received"])
            self.assertEqual(block.count(b"\n"), block.count(b"\r\n"))
            self.assertEqual(block.replace(b"\r\n", b"").count(b"\r"), 0)
            self.assertNotIn(b"\0", block)

    def test_loop_by_received(self) -> None:
        hops = b"Received: x\r\n by y\r\nRECEIVED : z\r\nX-Received: q\r\n" * (MAX_RECEIVED // 2)
        check_hops(hops)
        self.assertRaises(LoopDetected, check_hops, hops + b"Received:\r\n")

    def test_loop_by_delivered_to_of_a_forwarding_address(self) -> None:
        head = b"Subject: x\r\nDelivered-To: Alias@Here.example\r\n\r\n"
        check_hops(head, ["other@here.example"])
        self.assertRaises(LoopDetected, check_hops, head, ["alias@here.example"])

    def test_queue_ids_differ_by_salt_and_time(self) -> None:
        ids = {queue_id(NOW + ms, salt) for ms in range(3) for salt in range(3)}
        self.assertEqual(len(ids), 9)
        self.assertTrue(all(len(one) == 14 and one.isalnum() for one in ids), ids)
