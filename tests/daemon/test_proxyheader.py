"""The PROXY protocol's header: any split, any truncation, any bytes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.proxyheader import MAX_HEADER, SIGNATURE, Header, read_header
from posthouse.errors import Malformed

PORTS = st.integers(0, 65535)


def version_1(family: str, source: str, target: str, one: int, other: int) -> bytes:
    return f"PROXY {family} {source} {target} {one} {other}\r\n".encode()


def version_2(command: int, kind: int, content: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(content).to_bytes(2, "big") + content


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, tuple[str, int] | None]:
    """A header and the client that it names."""
    port, other = draw(PORTS), draw(PORTS)
    more = draw(st.binary(max_size=300))
    four, six = draw(st.ip_addresses(v=4)), draw(st.ip_addresses(v=6))
    assert isinstance(four, IPv4Address) and isinstance(six, IPv6Address)
    plain = str(six.ipv4_mapped or six)
    ports = port.to_bytes(2, "big") + other.to_bytes(2, "big")
    return draw(
        st.sampled_from(
            [
                (version_1("TCP4", str(four), "192.0.2.1", port, other), (str(four), port)),
                (version_1("TCP6", str(six), "2001:db8::1", port, other), (plain, port)),
                (version_1("TCP6", six.exploded.upper(), "::1", port, other), (plain, port)),
                (b"PROXY UNKNOWN\r\n", None),
                (b"PROXY UNKNOWN whatever it says\r\n", None),
                (version_2(0x21, 0x11, four.packed + bytes(4) + ports + more), (str(four), port)),
                (version_2(0x21, 0x21, six.packed + bytes(16) + ports + more), (plain, port)),
                (version_2(0x21, 0x31, bytes(216) + more), None),
                (version_2(0x21, 0x00, more), None),
                (version_2(0x20, 0x00, more), None),
                (version_2(0x20, 0x11, more), None),
            ]
        )
    )


class HeaderTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(headers(), st.binary(max_size=40))
    def test_whatever_follows_and_wherever_it_is_cut(
        self, made: tuple[bytes, tuple[str, int] | None], rest: bytes
    ) -> None:
        wire, source = made
        for cut in range(len(wire)):
            self.assertIsNone(read_header(wire[:cut]), cut)
        self.assertEqual(read_header(wire + rest), Header(source, len(wire)))

    @settings(max_examples=100, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=200),
            st.binary(max_size=200).map(lambda tail: b"PROXY TCP4 " + tail),
            st.binary(max_size=80).map(lambda tail: SIGNATURE + tail),
        )
    )
    def test_any_bytes(self, data: bytes) -> None:
        try:
            found = read_header(data)
        except Malformed:
            return
        if found is None:
            self.assertLess(len(data), MAX_HEADER)
        else:
            self.assertLessEqual(found.length, len(data))

    def test_what_is_no_header_is_known_at_once(self) -> None:
        for data in (
            b"E",
            b"EHLO a",
            b"PROXX",
            b"\r\n\r\n\r",
            b"proxy ",
            b"PROXY\t",
            b"\x16\x03\x01",
            SIGNATURE + b"\x11",
        ):
            self.assertRaises(Malformed, read_header, data)

    def test_lines_that_are_refused(self) -> None:
        for words in (
            "TCP4",
            "TCP4 192.0.2.1 192.0.2.2 1",
            "TCP4 192.0.2.1 192.0.2.2 1 2 3",
            "TCP4  192.0.2.1 192.0.2.2 1 2",
            "TCP4 192.0.2.1  192.0.2.2 1 2",
            "TCP4 192.0.2.01 192.0.2.2 1 2",
            "TCP4 192.0.2 192.0.2.2 1 2",
            "TCP4 2001:db8::1 2001:db8::2 1 2",
            "TCP6 192.0.2.1 192.0.2.2 1 2",
            "TCP6 fe80::1%eth0 ::1 1 2",
            "TCP4 192.0.2.1 192.0.2.2 65536 2",
            "TCP4 192.0.2.1 192.0.2.2 01 2",
            "TCP4 192.0.2.1 192.0.2.2 -1 2",
            "TCP4 192.0.2.1 192.0.2.2 1 x",
            "TCP4 192.0.2.1 nowhere 1 2",
            "TCP5 192.0.2.1 192.0.2.2 1 2",
            "UDP4 192.0.2.1 192.0.2.2 1 2",
            "TCP4 192.0.2.1\n192.0.2.2 1 2",
            "tcp4 192.0.2.1 192.0.2.2 1 2",
            "",
        ):
            self.assertRaises(Malformed, read_header, f"PROXY {words}\r\n".encode())

    def test_a_line_is_no_longer_than_107_octets(self) -> None:
        longest = version_1("TCP6", *["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2, 65535, 65535)
        self.assertEqual(len(longest), 104)
        self.assertIsNotNone(read_header(longest))
        self.assertIsNone(read_header(b"PROXY UNKNOWN " + b"x" * 92))
        self.assertRaises(Malformed, read_header, b"PROXY UNKNOWN " + b"x" * 93)
        self.assertRaises(Malformed, read_header, b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n")

    def test_binary_headers_that_are_refused(self) -> None:
        for command, kind, content in (
            (0x11, 0x11, bytes(12)),
            (0x22, 0x11, bytes(12)),
            (0x2F, 0x11, bytes(12)),
            (0x21, 0x12, bytes(12)),  # datagrams
            (0x21, 0x22, bytes(36)),
            (0x21, 0x41, bytes(36)),
            (0x21, 0x11, bytes(11)),
            (0x21, 0x21, bytes(35)),
            (0x21, 0x31, bytes(215)),
            (0x20, 0x00, bytes(MAX_HEADER)),
        ):
            self.assertRaises(Malformed, read_header, version_2(command, kind, content))
        # Refused by what it announces, before any of it came.
        self.assertRaises(Malformed, read_header, SIGNATURE + b"\x21\x11\xff\xff")
