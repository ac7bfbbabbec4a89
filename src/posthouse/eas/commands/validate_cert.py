"""ValidateCert: are these certificates good for mail (MS-ASCMD 2.2.1.22, statuses 2.2.3.177.18).

Promise: each certificate has a status of its own, found by a real walk to a trusted root
(`posthouse.certs.chain`), in a thread. Certificate revocation lists are not fetched: with CheckCRL a good
certificate is answered 16, "its revocation status cannot be determined" (R893), without it the unknown
status is ignored (R895).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime

from posthouse.certs.chain import MAX_CERTIFICATE, Roots, Verdict, check, system_roots
from posthouse.eas.call import Call
from posthouse.eas.grammar import MANY, Child, Rule, flag
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.wbxml.tags import ValidateCert as V
from posthouse.wbxml.tree import E, Element

OK = 1
PROTOCOL_ERROR = 2
REVOCATION_UNKNOWN = 16

#: R5661, R5662.
_MOST = 100

_STATUSES = {
    Verdict.GOOD: OK,
    Verdict.BAD_SIGNATURE: 3,
    Verdict.UNTRUSTED: 4,
    Verdict.BAD_CHAIN: 5,
    Verdict.NOT_FOR_MAIL: 6,
    Verdict.EXPIRED: 7,
    Verdict.CHAIN_EXPIRED: 8,
    Verdict.WRONG_USE: 9,
    Verdict.MALFORMED: 10,
    Verdict.NOT_AN_AUTHORITY: 11,
}

_LIST = Rule({V.Certificate: Child(least=1, most=MANY, kind="any")}, status=PROTOCOL_ERROR)


@command("ValidateCert")
class ValidateCert(Command):
    """A list of certificates, and perhaps what lies between them and a root."""

    grammar = Rule(
        {
            V.CertificateChain: Child(kind="container", rule=_LIST),
            V.Certificates: Child(least=1, kind="container", rule=_LIST),
            V.CheckCrl: Child(kind="flag"),
        },
        status=PROTOCOL_ERROR,
    )

    def __init__(self) -> None:
        self.roots = system_roots()

    async def run(self, call: Call) -> Element:
        request = call.request
        assert request is not None
        asked = _blobs(request.find(V.Certificates))
        chain = _blobs(request.find(V.CertificateChain))
        if len(asked) > _MOST or len(chain) > _MOST:
            raise StatusError(PROTOCOL_ERROR, f"{len(asked)} and {len(chain)} certificates")
        now = datetime.fromtimestamp(call.now() / 1000, UTC)
        # Signatures release the interpreter, but a hundred of them are no work for the reactor.
        verdicts: list[Verdict] = await call.services.pool.run(_check_all, asked, chain, self.roots, now)
        checks_revocation = flag(request.find(V.CheckCrl))
        statuses = [
            REVOCATION_UNKNOWN if verdict is Verdict.GOOD and checks_revocation else _STATUSES[verdict]
            for verdict in verdicts
        ]
        call.notes["certificates"] = len(statuses)
        return E(
            V.ValidateCert,
            E(V.Status, OK),
            [E(V.Certificate, E(V.Status, status)) for status in statuses],
        )


def _check_all(asked: Sequence[bytes], chain: Sequence[bytes], roots: Roots, now: datetime) -> list[Verdict]:
    return [check(der, chain, roots, now) for der in asked]


def _blobs(element: Element | None) -> list[bytes]:
    """The certificates: base64 text (2.2.3.19.3); bytes are taken as they are. What is neither is empty."""
    found = []
    for child in element.children if element is not None else ():
        if child.tag != V.Certificate:
            continue
        content = child.content or b""
        if isinstance(content, str):
            try:
                content = b64decode(content[: 2 * MAX_CERTIFICATE].encode("ascii"), validate=False)
            except ValueError:
                content = b""
        found.append(bytes(content))
    return found
