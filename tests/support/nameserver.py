"""A name server under the test's control: it answers, drops, truncates, lies and fails as it is told.

It runs in threads of its own on UDP and TCP, so that real servers and the tests' own reactor can ask it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

_SOA = "ns.test. root.test. 1 3600 600 86400 5"


class NameServer:
    """``zone`` maps (name, type) to records as text. ``manner`` maps a name, or (name, type), to what is done:

    "drop" (no answer at all), "drop-udp", "truncate" (TC by UDP, all by TCP), "servfail", "refused",
    "wrong-id", "wrong-name", "forge" (lies first, the truth after them), "case" (the name in lower case), "slow",
    "formerr" (to EDNS), "nonsense", "garbled-tcp".

    ``authentic`` sets the AD bit, but for names in ``unsigned``. ``asked`` has (name, type, protocol).
    """

    def __init__(self, authentic: bool = True) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.manner: dict[Any, str] = {}
        self.authentic = authentic
        self.unsigned: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []
        self.pause = 0.5
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket()
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            self._udp.bind(("127.0.0.1", 0))
            try:
                self._tcp.bind(self._udp.getsockname())
                break
            except OSError:
                self._udp.close()
                self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp.listen(20)
        self.address = f"127.0.0.1:{self._udp.getsockname()[1]}"
        for work in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Answer nothing any more."""
        for one in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def add(self, name: str, kind: str, *records: str) -> None:
        """More records of a name."""
        self.zone.setdefault((name, kind), []).extend(records)

    # -- answers

    def _manner(self, name: str, kind: str) -> str:
        return self.manner.get((name, kind)) or self.manner.get(name, "")

    def _response(self, query: Any, name: str, kind: str) -> Any:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.authentic and name not in self.unsigned:
            response.flags |= dns.flags.AD
        owner = query.question[0].name
        for _ in range(5):
            plain = owner.to_text(omit_final_dot=True).lower()
            records = self.zone.get((plain, kind))
            alias = self.zone.get((plain, "CNAME"))
            if records is not None or alias is None:
                break
            response.answer.append(dns.rrset.from_text(owner, 5, "IN", "CNAME", *alias))
            owner = dns.name.from_text(alias[0])
        if records:
            response.answer.append(dns.rrset.from_text(owner, 5, "IN", kind, *records))
            return response
        if not any(known == plain or known.endswith(f".{plain}") for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text("test.", 5, "IN", "SOA", _SOA))
        return response

    def _answers(self, wire: bytes, protocol: str) -> list[bytes]:
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, kind, protocol))
        manner = self._manner(name, kind)
        if manner == "drop" or (manner == "drop-udp" and protocol == "udp"):
            return []
        if manner == "slow":
            time.sleep(self.pause)
        if manner == "nonsense":
            return [b"\x00\x01nonsense"]
        if manner == "garbled-tcp" and protocol == "tcp":
            return [b"\xff" * 20]
        response = self._response(query, name, kind)
        if manner in ("servfail", "refused"):
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL if manner == "servfail" else dns.rcode.REFUSED)
        elif manner == "formerr" and query.edns >= 0:
            response = dns.message.make_response(query)
            response.use_edns(False)
            response.set_rcode(dns.rcode.FORMERR)
        elif manner in ("truncate", "garbled-tcp") and protocol == "udp":
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
        elif manner == "case":
            response.question[0].name = dns.name.from_text(name)
        truth: bytes = response.to_wire(max_size=65_535)
        lies = []
        if manner in ("wrong-id", "forge"):
            lies.append(struct.pack("!H", query.id ^ 1) + self._lie(query, kind)[2:])
        if manner in ("wrong-name", "forge"):
            other = dns.message.make_query("evil.test.", kind, id=query.id)
            lies.append(self._lie(other, kind))
        return lies if manner in ("wrong-id", "wrong-name") else [*lies, truth]

    def _lie(self, query: Any, kind: str) -> bytes:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AD
        record = {"MX": "1 evil.test.", "A": "192.0.2.66", "AAAA": "2001:db8::66"}.get(kind, '"evil"')
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, record))
        wire: bytes = response.to_wire()
        return wire

    # -- the wires

    def _serve_udp(self) -> None:
        while True:
            try:
                wire, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not wire:  # closed
                return
            threading.Thread(target=self._tell, args=(wire, peer), daemon=True).start()

    def _tell(self, wire: bytes, peer: Any) -> None:
        for answer in self._answers(wire, "udp"):
            with contextlib.suppress(OSError):
                self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, struct.error):
            length = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))[0]
            for answer in self._answers(connection.recv(length, socket.MSG_WAITALL), "tcp"):
                connection.sendall(struct.pack("!H", len(answer)) + answer)
