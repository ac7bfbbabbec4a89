"""Bytes on a TLS connection to the real server, as the oddest of clients write them.

MS-ASHTTP 2.2.1.1, 3.2.5.1, 3.2.5.2; RFC 9110 10.1.1 (Expect), RFC 9112 3.2, 7.1, 9.3 (targets, chunks,
persistence), RFC 7617 (Basic).
"""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import zlib
from base64 import b64encode
from urllib.parse import quote, urlsplit

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E, Element
from tests.support.daemon import Daemon
from tests.system.house import demo_of, phone_of

PATH = "/Microsoft-Server-ActiveSync"
BODY = encode(E(F.FolderSync, E(F.SyncKey, 0)))
WBXML = "Content-Type: application/vnd.ms-sync.wbxml"


@define
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"

    @property
    def root(self) -> Element:
        return decode(self.body)


class Line:
    """One TLS connection, written to as it pleases."""

    def __init__(self, daemon: Daemon, timeout: float = 30.0) -> None:
        where = urlsplit(daemon.facts["https"])
        plain = socket.create_connection((where.hostname, where.port or 443), timeout=timeout)
        context = ssl.create_default_context(cafile=daemon.facts["certificate"])
        self.socket = context.wrap_socket(plain, server_hostname=where.hostname)
        self.unread = b""

    def send(self, *pieces: bytes) -> Line:
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.unread += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.unread:
            if not self._more():
                raise AssertionError(f"the connection ended: {self.unread[:200]!r}")
        found, _, self.unread = self.unread.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.unread) < size:
            if not self._more():
                raise AssertionError("the connection ended inside a body")
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def read(self) -> Answer:
        """The next response, also an interim one."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ")[:2]
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size + 2)[:-2]
            self._until(b"\r\n")
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        elif status not in ("100", "204"):
            while self._more():
                pass
            body, self.unread = self.unread, b""
        return Answer(int(status), headers, body, version)

    def ended(self) -> bool:
        """Whether the server hangs up."""
        try:
            return not self._more()
        except ssl.SSLEOFError:
            return True

    def close(self) -> None:
        self.socket.close()


class WireTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.account = self.daemon.account(0)
        self.phone = phone_of(self.daemon, 0, "WIRE01")
        self.query = f"Cmd=FolderSync&User={quote(self.account['address'])}&DeviceId=WIRE01&DeviceType=iPhone"

    def line(self) -> Line:
        line = Line(self.daemon)
        self.addCleanup(line.close)
        return line

    def basic(self, name: str | None = None, password: str | None = None, charset: str = "utf-8") -> str:
        pair = f"{name or self.account['address']}:{password or self.account['password']}"
        return "Authorization: Basic " + b64encode(pair.encode(charset)).decode()

    def head(
        self,
        target: str | None = None,
        *more: str,
        method: str = "POST",
        version: str = "HTTP/1.1",
        host: str = "Host: localhost",
        length: int | None = len(BODY),
        credentials: str | None = None,
        protocol: str = "14.1",
        kind: str = WBXML,
    ) -> bytes:
        lines = [f"{method} {target or f'{PATH}?{self.query}'} {version}", host]
        lines += [self.basic() if credentials is None else credentials, kind]
        lines += [f"MS-ASProtocolVersion: {protocol}" if protocol else ""]
        lines += [f"X-MS-PolicyKey: {self.phone.policy_key}"] if protocol else []
        lines += [f"Content-Length: {length}"] if length is not None else []
        return "\r\n".join([*(one for one in (*lines, *more) if one), "", ""]).encode("latin-1")

    def good(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/vnd.ms-sync.wbxml")
        self.assertEqual((answer.root.tag, answer.root.text(F.Status)), (F.FolderSync, "1"))

    def ask(self, *pieces: bytes) -> Answer:
        return self.line().send(*pieces).read()

    # -- who asks

    def test_every_form_of_a_name_logs_in(self) -> None:
        bare = self.account["address"].partition("@")[0]
        for name in (self.account["address"], self.account["address"].upper(), bare, f"POSTHOUSE\\{bare}"):
            self.good(self.ask(self.head(credentials=self.basic(name)), BODY))

    def test_a_latin_1_password(self) -> None:
        """Outlook writes credentials in ISO-8859-1."""
        done = self.daemon.posthouse(
            "user", "add", "laura@posthouse.test", "--password-stdin", stdin="schlüssel für laura\n"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for charset in ("latin-1", "utf-8"):
            header = self.basic("laura@posthouse.test", "schlüssel für laura", charset)
            line = self.line().send(
                self.head(PATH, method="OPTIONS", length=None, credentials=header, kind="")
            )
            self.assertEqual(line.read().status, 200, charset)

    def test_without_credentials_everything_is_401_with_basic(self) -> None:
        """Whatever else is wrong with it: Outlook's proxy and many a phone give up on anything else."""
        targets = (
            PATH,
            PATH.lower(),
            f"{PATH}/",
            f"{PATH}?Cmd=Nonsense",
            f"{PATH}?%%%",
            f"{PATH}?{self.query}",
            "/autodiscover/autodiscover.xml",
            "/Autodiscover/Autodiscover.xml",
        )
        for target in targets:
            for method in ("POST", "OPTIONS", "GET", "PUT"):
                if "utodiscover" in target and method in ("GET", "OPTIONS", "PUT"):
                    continue
                length = len(BODY) if method in ("POST", "PUT") else None
                request = self.head(target, method=method, length=length, credentials="", protocol="")
                answer = self.ask(request, BODY if length else b"")
                self.assertEqual(answer.status, 401, (method, target))
                self.assertIn("Basic realm=", answer.headers["www-authenticate"], (method, target))
                self.assertNotIn("Bearer", answer.headers["www-authenticate"])

    def test_options_on_401_and_200_says_what_is_spoken(self) -> None:
        for credentials, status in (("", 401), (self.basic(), 200)):
            answer = self.ask(
                self.head(PATH, method="OPTIONS", length=None, credentials=credentials, kind="")
            )
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["ms-asprotocolversions"], "12.0,12.1,14.0,14.1,16.0,16.1")
            self.assertIn("Find", answer.headers["ms-asprotocolcommands"].split(","))

    # -- how a body comes

    def test_an_expectation_is_met_before_the_body_comes(self) -> None:
        line = self.line().send(self.head(None, "Expect: 100-continue"))
        self.assertEqual(line.read().status, 100)
        self.good(line.send(BODY).read())

    def test_an_expectation_without_credentials(self) -> None:
        """401 and a connection that goes on: with the body, or without it when it is closed."""
        line = self.line().send(self.head(None, "Expect: 100-continue", credentials=""))
        answer = line.read()
        if answer.status == 100:
            answer = line.send(BODY).read()
        self.assertEqual(answer.status, 401)

    def test_packed_bodies(self) -> None:
        for name, data in (
            ("gzip", gzip.compress(BODY)),
            ("x-gzip", gzip.compress(BODY)),
            ("deflate", zlib.compress(BODY)),
            ("identity", BODY),
        ):
            self.good(self.ask(self.head(None, f"Content-Encoding: {name}", length=len(data)), data))

    def test_chunks(self) -> None:
        head = self.head(None, "Transfer-Encoding: chunked", length=None)
        pieces = [b"%x\r\n%b\r\n" % (1, BODY[at : at + 1]) for at in range(len(BODY))]
        self.good(self.ask(head, *pieces, b"0\r\n\r\n"))
        extended = b"%X;name=value\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY), BODY)
        self.good(self.ask(head + extended))

    def test_chunks_of_a_packed_body(self) -> None:
        data = gzip.compress(BODY)
        head = self.head(None, "Transfer-Encoding: chunked", "Content-Encoding: gzip", length=None)
        self.good(self.ask(head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)))

    def test_byte_by_byte(self) -> None:
        request = self.head() + BODY
        self.good(self.ask(*(request[at : at + 1] for at in range(len(request)))))

    # -- connections

    def test_a_connection_is_kept(self) -> None:
        line = self.line()
        for _ in range(3):
            self.good(line.send(self.head(), BODY).read())

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        other = f"{PATH}?{self.query.replace('FolderSync', 'Nonsense')}"
        line = self.line().send((self.head() + BODY) + (self.head(other) + BODY) + (self.head() + BODY))
        self.good(line.read())
        self.assertEqual(line.read().status, 501)
        self.good(line.read())

    def test_http_1_0(self) -> None:
        line = self.line().send(self.head(version="HTTP/1.0"), BODY)
        answer = line.read()
        self.good(answer)
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertTrue(line.ended())

    def test_http_1_0_that_wants_to_stay(self) -> None:
        """What is promised is kept: without "Connection: keep-alive" in the answer the connection ends."""
        line = self.line().send(self.head(None, "Connection: keep-alive", version="HTTP/1.0"), BODY)
        answer = line.read()
        self.good(answer)
        if answer.headers.get("connection", "").lower() == "keep-alive":
            self.good(line.send(self.head(version="HTTP/1.0"), BODY).read())
        else:
            self.assertTrue(line.ended())

    def test_a_client_that_closes_after_one(self) -> None:
        line = self.line().send(self.head(None, "Connection: close"), BODY)
        self.good(line.read())
        self.assertTrue(line.ended())

    # -- heads

    def test_header_names_in_any_case(self) -> None:
        head, _, rest = self.head().decode().partition("\r\n")
        lowered = [
            f"{name.lower()}:{value}" for name, _, value in (one.partition(":") for one in rest.split("\r\n"))
        ]
        lowered = [one if one != ":" else "" for one in lowered]
        self.good(self.ask("\r\n".join([head, *lowered]).encode(), BODY))
        raised = [
            f"{name.upper()}:{value}" for name, _, value in (one.partition(":") for one in rest.split("\r\n"))
        ]
        raised = [one if one != ":" else "" for one in raised]
        self.good(self.ask("\r\n".join([head, *raised]).encode(), BODY))

    def test_without_a_host(self) -> None:
        self.good(self.ask(self.head(host=""), BODY))

    def test_a_whole_url_as_the_target(self) -> None:
        """RFC 9112 3.2.2: as behind a proxy."""
        for start in ("https://mail.example", "HTTP://mail.example:443"):
            self.good(self.ask(self.head(f"{start}{PATH}?{self.query}"), BODY))

    def test_no_version_header(self) -> None:
        """A request that does not say its version is answered in the terms of 12.1 at most, and never fails."""
        answer = self.ask(self.head(protocol=""), BODY)
        self.assertIn(answer.status, (200, 449))

    def test_other_content_types(self) -> None:
        for kind in (
            "Content-Type: application/vnd.ms-sync.wbxml; charset=utf-8",
            "Content-Type: application/vnd.ms-sync",
            "Content-Type: APPLICATION/VND.MS-SYNC.WBXML",
            "",
        ):
            self.good(self.ask(self.head(kind=kind), BODY))

    # -- queries

    def test_names_in_the_query_may_be_written_in_any_way(self) -> None:
        address = self.account["address"]
        bare, _, domain = address.partition("@")
        base = "DeviceId=WIRE01&DeviceType=iPhone"
        for query in (
            f"Cmd=FolderSync&User={address}&{base}",
            f"Cmd=FolderSync&User={bare}%40{domain}&{base}",
            f"cmd=foldersync&user={bare}&{base.lower()}".replace("wire01", "WIRE01").replace(
                "iphone", "iPhone"
            ),
            f"User=POSTHOUSE%5C{bare}&{base}&Cmd=FolderSync",
            f"User=POSTHOUSE\\{bare}&{base}&Cmd=FolderSync",
            f"Cmd=FolderSync&User={bare}+phone&{base}",
            f"Cmd=FolderSync&User={quote('jörg')}&{base}&SaveInSent=T&Unknown=1",
            f"&Cmd=FolderSync&&User=a%20b&{base}&",
            f"Cmd=%46older%53ync&User={bare}&{base}",
        ):
            self.good(self.ask(self.head(f"{PATH}?{query}"), BODY))

    def encoded(self, device: bytes = b"WIRE01", kind: bytes = b"iPhone") -> bytes:
        key = struct.pack("<I", self.phone.policy_key) if self.phone.policy_key else b""
        parts = (device, key, kind)
        return struct.pack("<BBH", 141, 9, 0x0409) + b"".join(bytes([len(one)]) + one for one in parts)

    def test_base64_with_and_without_padding(self) -> None:
        for device in (b"WIRE01", b"WIRE012", b"WIRE0123"):
            padded = b64encode(self.encoded(device)).decode()
            forms = {padded, padded.rstrip("="), padded.replace("=", "%3D"), quote(padded, safe="")}
            for form in forms:
                answer = self.ask(self.head(f"{PATH}?{form}", protocol=""), BODY)
                self.assertEqual(answer.status, 200, form)
                self.assertEqual(answer.root.tag, F.FolderSync)

    def test_base64_that_is_cut_off_is_400(self) -> None:
        whole = self.encoded()
        for size in (1, 5, 9, len(whole) - 1):
            form = b64encode(whole[:size]).decode()
            self.assertEqual(self.ask(self.head(f"{PATH}?{form}", protocol=""), BODY).status, 400, form)
