"""DNS questions to bytes, and bytes to an :class:`Answer`; dnspython is the codec.

Promise: an answer says one of four things for certain (found, no such data, no such domain, failed); bytes
that do not answer this very question are refused as :class:`~posthouse.errors.Malformed`, so that a stray or
forged datagram is ignored rather than believed.

Specifications: RFC 1035, RFC 2181 5, RFC 2308 (negative answers), RFC 6891 (EDNS), RFC 6840 5.7 (AD bit).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from attrs import frozen

from posthouse.errors import Malformed

__all__ = ["EDNS_PAYLOAD", "Answer", "Question", "Status", "parse_answer", "write_question"]

EDNS_PAYLOAD = 1232  # DNS flag day 2020: never fragmented on any sane path
_MAX_RECORDS = 256
_MAX_ALIASES = 8


class Status(Enum):
    """What an answer says."""

    FOUND = "found"
    NO_DATA = "no data"  # the name exists, this type does not
    NO_DOMAIN = "no domain"  # NXDOMAIN
    FAILED = "failed"  # SERVFAIL, REFUSED, a lame or broken server: cannot tell


@frozen
class Question:
    """``name`` is an A-label name without the trailing dot; ``type`` a mnemonic ("MX", "AAAA")."""

    name: str
    type: str


@frozen
class Answer:
    """The part of a response that mail needs.

    ``records`` by type: A, AAAA: address; MX: (preference, host, "" for the root); TXT: bytes, joined; CNAME,
    PTR: name; others: the rdata's wire form as bytes. ``ttl`` in seconds, None when nothing says how long
    to believe it. ``authentic`` is the AD bit as the server set it; whether to trust it is for the caller.
    ``alias`` is the name where the question continues when the server stopped within a chain of CNAMEs.
    """

    status: Status
    records: tuple[Any, ...] = ()
    ttl: int | None = None
    authentic: bool = False
    truncated: bool = False
    alias: str = ""
    detail: str = ""
    owner: str = ""  # FOUND: the name that has the records, at the end of any CNAMEs


def write_question(question: Question, query_id: int, *, edns: bool = True, spelling: str = "") -> bytes:
    """The query message. ``query_id`` 0..65535 comes from the caller's randomness.

    :param spelling: the name in other letter case; a server sends it back so (draft-vixie-dnsext-dns0x20).
    """
    message = dns.message.make_query(
        dns.name.from_text(spelling or question.name),
        dns.rdatatype.from_text(question.type),
        use_edns=0 if edns else False,
        payload=EDNS_PAYLOAD,
        id=query_id,
        flags=dns.flags.RD | dns.flags.AD,
    )
    return bytes(message.to_wire())


def parse_answer(question: Question, query_id: int, wire: bytes, spelling: str = "") -> Answer:
    """Read a response. One that spells the name otherwise than it was asked counts as truncated: whoever forged
    it cannot answer over TCP, and a server that does not keep the case can.

    :raises Malformed: not a DNS message, or not the response to this question.
    """
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
        _check(message, question, query_id)
        if spelling and message.question and _plain(message.question[0].name) != spelling:
            return Answer(Status.FAILED, truncated=True, detail="another spelling")
        return _answer(message, question)
    except (dns.exception.DNSException, ValueError, IndexError, KeyError, AttributeError) as error:
        raise Malformed(cause=f"DNS: {type(error).__name__}: {str(error)[:120]}") from None


def _plain(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True))


def _check(message: Any, question: Question, query_id: int) -> None:
    if not isinstance(message, dns.message.QueryMessage) or not message.flags & dns.flags.QR:
        raise Malformed(cause="DNS: not a response")
    if message.id != query_id:
        raise Malformed(cause="DNS: another id")
    rcode = message.rcode()
    if not message.question and rcode in (dns.rcode.FORMERR, dns.rcode.NOTIMP):
        return  # old servers answer EDNS with a bare header
    asked = [(rrset.name, rrset.rdtype, rrset.rdclass) for rrset in message.question]
    wanted = (dns.name.from_text(question.name), dns.rdatatype.from_text(question.type), dns.rdataclass.IN)
    if asked != [wanted]:
        raise Malformed(cause="DNS: another question")


def _answer(message: Any, question: Question) -> Answer:
    rcode = message.rcode()
    if message.flags & dns.flags.TC:
        return Answer(Status.FAILED, truncated=True, detail="truncated")
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Answer(Status.FAILED, detail=dns.rcode.to_text(rcode))
    authentic = bool(message.flags & dns.flags.AD)
    name = dns.name.from_text(question.name)
    kind = dns.rdatatype.from_text(question.type)
    ttl: int | None = None
    for _ in range(_MAX_ALIASES):
        rrset = message.get_rrset(message.answer, name, dns.rdataclass.IN, kind)
        if rrset is not None:
            records = tuple(_record(rdata) for rdata in list(rrset)[:_MAX_RECORDS])
            return Answer(Status.FOUND, records, _least(ttl, rrset.ttl), authentic, owner=_text(name))
        cname = message.get_rrset(message.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if cname is None:
            break
        ttl = _least(ttl, cname.ttl)
        name = cname[0].target
    else:
        return Answer(Status.FAILED, detail="CNAME chain too long")
    # RFC 2308 5: how long to believe a "no" is the lesser of the SOA's own TTL and its minimum field
    soa = next((r for r in message.authority if r.rdtype == dns.rdatatype.SOA), None)
    if soa is not None:
        ttl = _least(ttl, min(soa.ttl, soa[0].minimum))
    if rcode == dns.rcode.NXDOMAIN:
        return Answer(Status.NO_DOMAIN, ttl=ttl if soa is not None else None, authentic=authentic)
    asked = dns.name.from_text(question.name)
    if soa is None and name != asked:
        return Answer(Status.NO_DATA, ttl=ttl, alias=_text(name))
    if soa is None and not message.flags & dns.flags.RA and not message.flags & dns.flags.AA:
        # RFC 2308 2.2: neither recursive nor authoritative and empty is a referral of a lame server
        return Answer(Status.FAILED, detail="referral")
    return Answer(Status.NO_DATA, ttl=ttl if soa is not None else None, authentic=authentic)


def _least(one: int | None, two: int) -> int:
    return two if one is None else min(one, two)


def _text(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower() if name != dns.name.root else ""


def _record(rdata: Any) -> Any:
    kind = rdata.rdtype
    if kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        return rdata.address
    if kind == dns.rdatatype.MX:
        return (rdata.preference, _text(rdata.exchange))
    if kind == dns.rdatatype.TXT:
        return b"".join(rdata.strings)
    if kind in (dns.rdatatype.CNAME, dns.rdatatype.PTR):
        return _text(rdata.target)
    return rdata.to_wire()
