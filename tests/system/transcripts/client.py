"""A client that writes its own headers and queries, and a look into the mailbox beside the protocol.

`Client` keeps keys and mirrors as `tests.support.eas.Phone` does and has every answer checked against the schemas;
what it sends is up to the transcript.
"""

from __future__ import annotations

import copy
import gzip
import http.client
import json
import sqlite3
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Email, FolderHierarchy, Ping, Provision
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element
from tests.support.daemon import Daemon
from tests.support.eas import PATH, WBXML, Answer, Phone, SyncResult
from tests.system.house import Background, demo_of, letter

INBOX, DRAFTS, DELETED, SENT, OUTBOX = 2, 3, 4, 5, 6


class Client(Phone):
    """:cvar head: headers in the order in which this client writes them; {…} is filled in. "" leaves one out.
    :cvar form: the query, likewise.
    """

    head: tuple[tuple[str, str], ...] = (
        ("Host", "{host}"),
        ("User-Agent", "{agent}"),
        ("Authorization", "Basic {basic}"),
        ("MS-ASProtocolVersion", "{version}"),
        ("X-MS-PolicyKey", "{key}"),
        ("Content-Type", "{kind}"),
    )
    form = "Cmd={command}&User={user}&DeviceId={device}&DeviceType={type}"
    charset = "utf-8"

    def request(
        self,
        command: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        content_type: str = WBXML,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        credentials: bool = True,
    ) -> Answer:
        target = PATH if method == "OPTIONS" else f"{PATH}?{self.query(command, parameters or {})}"
        return self.raw(method, target, body, content_type if body else "", headers, credentials)

    def raw(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        credentials: bool = True,
    ) -> Answer:
        """One request as this client writes it."""
        pair = b64encode(f"{self.user}:{self.password}".encode(self.charset)).decode()
        known = {
            "host": self.url.netloc,
            "agent": self.user_agent,
            "basic": pair,
            "version": "" if method == "OPTIONS" or "/autodiscover" in target.lower() else self.version,
            "key": str(self.policy_key),
            "kind": kind,
        }
        filled = [(name, value.format(**known)) for name, value in self.head]
        filled = [
            (name, value)
            for name, value in filled
            if value.strip() and (credentials or name.lower() != "authorization")
        ]
        filled += list((headers or {}).items())
        connection = self._connect()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in filled:
                connection.putheader(name, value)
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            data = response.read()
        except (http.client.HTTPException, OSError):
            self.close()
            raise
        named = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        packed = named.get("content-encoding", "")
        if packed == "gzip":
            data = gzip.decompress(data)
        elif packed == "deflate":
            data = zlib.decompress(data)
        elif packed:
            raise AssertionError(f"an answer in {packed}")
        return self._answer(response.status, named, data)

    def query(self, command: str, parameters: Mapping[str, str]) -> str:
        if self.encoded:
            return super().query(command, parameters)
        found = self.form.format(
            command=command, user=quote(self.user, safe=""), device=self.device_id, type=self.device_type
        )
        return "&".join([found, *(f"{name}={quote(value)}" for name, value in parameters.items())])

    def beside(self) -> Client:
        """The same device on another connection."""
        other = copy.copy(self)
        other._connection = None
        return other

    # -- what nearly all of them do

    def refused_until_provisioned(self, command: str, root: Element) -> None:
        """The first command, whichever it is, is answered with the wish for Provision."""
        answer = self.request(command, encode(root))
        if self.numbers < (14, 0):
            assert answer.status == 449, answer
        else:
            assert answer.status == 200, answer
            assert answer.root is not None
            found = [one.value for one in answer.root.children if one.tag.endswith(":Status")]
            assert found == ["142"], found

    def two_phases(self, *information: Element) -> None:
        """Provision as everybody does it; the header says 0 first, then the temporary key."""
        kind = E(Provision.PolicyType, "MS-EAS-Provisioning-WBXML")
        told = E(S.DeviceInformation, E(S.Set, information)) if self.numbers >= (14, 1) else None
        self.policy_key = 0
        first = self.command(
            "Provision", E(Provision.Provision, told, E(Provision.Policies, E(Provision.Policy, kind)))
        )
        way = (Provision.Policies, Provision.Policy)
        assert first.text(Provision.Status) == "1" == first.text(*way, Provision.Status), first
        assert first.root is not None
        assert first.root.find(*way, Provision.Data, Provision.EASProvisionDoc) is not None
        self.policy_key = int(first.text(*way, Provision.PolicyKey))
        policy = E(
            Provision.Policy,
            kind,
            E(Provision.PolicyKey, str(self.policy_key)),
            E(Provision.Status, "1"),
        )
        second = self.command("Provision", E(Provision.Provision, E(Provision.Policies, policy)))
        assert second.text(Provision.Status) == "1" == second.text(*way, Provision.Status), second
        final = int(second.text(*way, Provision.PolicyKey))
        assert final != self.policy_key
        self.policy_key = final

    def tell(self, root: Element) -> dict[str, SyncResult]:
        """A Sync as it is given, its answer applied."""
        answer = self.command("Sync", root)
        assert answer.headers.get("content-type") == WBXML, "a type also on empty answers"
        if answer.root is None:
            return {}
        assert answer.text(AirSync.Status) in ("", "1"), answer.text(AirSync.Status)
        listed = answer.root.find(AirSync.Collections)
        found: dict[str, SyncResult] = {}
        for one in listed.children if listed is not None else ():
            number = one.text(AirSync.CollectionId) or ""
            found[number] = self._take(number, one, True)
        return found

    def key(self, number: str) -> Element:
        return E(AirSync.SyncKey, self.keys.get(number, "0"))

    def class_of(self, name: str = "Email") -> Element | None:
        """At 12.1 and below a Collection says its class."""
        return E(AirSync.Class, name) if self.numbers < (14, 0) else None

    def begin(self, *numbers: str) -> None:
        """Key 0 for some folders in one Sync, with nothing beside."""
        collections = [
            E(AirSync.Collection, self.class_of(), E(AirSync.SyncKey, "0"), E(AirSync.CollectionId, number))
            for number in numbers
        ]
        for number in numbers:
            self.keys.pop(number, None)
        found = self.tell(E(AirSync.Sync, E(AirSync.Collections, collections)))
        assert sorted(found) == sorted(numbers)
        assert all(one.status == 1 and not one.added and not one.more for one in found.values())

    def wait_for(self, folders: list[str], heartbeat: int = 470) -> Background:
        """A Ping on its own connection, parked when this returns."""
        listed = [E(Ping.Folder, E(Ping.Id, number), E(Ping.Class, "Email")) for number in folders]
        root = E(Ping.Ping, E(Ping.HeartbeatInterval, str(heartbeat)), E(Ping.Folders, listed))
        other = self.beside()

        def work() -> tuple[str, list[str]]:
            try:
                answer = other.command("Ping", root)
            finally:
                other.close()
            assert answer.root is not None, "Android takes an empty answer for an error"
            changed = answer.root.find(Ping.Folders)
            return answer.text(Ping.Status), [one.value for one in changed.children] if changed else []

        ping = Background(work)
        time.sleep(0.25)
        return ping

    def fetch(self, number: str, item: str, *options: Element) -> Element:
        """One item by ItemOperations: its Properties."""
        answer = self.command(
            "ItemOperations",
            E(
                IO.ItemOperations,
                E(
                    IO.Fetch,
                    E(IO.Store, "Mailbox"),
                    E(AirSync.CollectionId, number),
                    E(AirSync.ServerId, item),
                    E(IO.Options, options) if options else None,
                ),
            ),
        )
        assert answer.text(IO.Status) == "1"
        assert answer.text(IO.Response, IO.Fetch, IO.Status) == "1"
        assert answer.root is not None
        found = answer.root.find(IO.Response, IO.Fetch, IO.Properties)
        assert found is not None
        return found

    def compose(
        self,
        command: str,
        client_id: str,
        mime: bytes,
        source: tuple[str, str] | None = None,
        replace: bool = False,
    ) -> int:
        """SendMail, SmartReply or SmartForward in the form of 14.0 and above; 0 for sent."""
        root = E(
            getattr(ComposeMail, command),
            E(ComposeMail.ClientId, client_id),
            E(ComposeMail.Source, E(ComposeMail.FolderId, source[0]), E(ComposeMail.ItemId, source[1]))
            if source
            else None,
            E(ComposeMail.SaveInSentItems),
            E(ComposeMail.ReplaceMime) if replace else None,
            E(ComposeMail.Mime, mime),
        )
        answer = self.command(command, root)
        if answer.root is None:
            assert answer.body == b"" and answer.headers.get("content-type") == WBXML
            return 0
        return int(answer.text(ComposeMail.Status))

    def compose_raw(self, command: str, mime: bytes, source: tuple[str, str] | None = None) -> None:
        """The form of 12.1 and below: the MIME as it is, the rest in the query."""
        parameters = {"ItemId": source[1], "CollectionId": source[0]} if source else {}
        answer = self.request(
            command, mime, content_type="message/rfc822", parameters={**parameters, "SaveInSent": "T"}
        )
        assert (answer.status, answer.body) == (200, b""), answer

    def item(self, number: str, subject: str) -> str:
        """The ServerId of the only item of that subject."""
        found = [
            item
            for item, fields in self.mirror[number].items()
            if Email.Subject in fields and fields[Email.Subject].value == subject
        ]
        assert len(found) == 1, f"{subject}: {found}"
        return found[0]


@define
class Box:
    """A folder as the store has it: number -> (subject, read)."""

    name: str
    type: int
    items: dict[str, tuple[str, str]] = field(factory=dict)


class TranscriptCase(SynchronousTestCase):
    """One demo for all transcripts; every run has an account of its own."""

    serial = 0
    kind: type[Client] = Client

    def setUp(self) -> None:
        self.daemon: Daemon = demo_of("transcripts")
        TranscriptCase.serial += 1
        self.address = f"user{TranscriptCase.serial}@posthouse.test"
        done = self.daemon.posthouse("--json", "user", "add", self.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.password: str = json.loads(done.stdout)["password"]
        self.friend = self.daemon.account(1)["address"]

    def client(self, version: str, **more: Any) -> Client:
        found = self.kind(
            self.daemon.facts["https"],
            self.address,
            self.password,
            cafile=self.daemon.facts["certificate"],
            version=version,
            **more,
        )
        self.addCleanup(found.close)
        return found

    def mail(self, subject: str, text: str = "Hello.", raw: bytes = b"") -> None:
        """Mail from outside arrives."""
        data = raw or letter("x@else.example", self.address, subject, text, f"{self.serial}.{subject}")
        self.daemon.mail("x@else.example", [self.address], data)

    def with_a_file(self, subject: str, content: bytes) -> bytes:
        file = b64encode(content)
        return (
            f"From: x@else.example\r\nTo: {self.address}\r\nSubject: {subject}\r\n"
            f"Message-ID: <{self.serial}.file@else.example>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
            "<p>See the file.</p>\r\n--b\r\nContent-Type: application/pdf; name=plan.pdf\r\n"
            "Content-Disposition: attachment; filename=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        ).encode() + file + b"\r\n--b--\r\n"  # fmt: skip

    def letter(self, subject: str, text: str = "Gladly!", to: str = "") -> bytes:
        """What the user writes."""
        return letter(self.address, to or self.friend, subject, text, f"{self.serial}.{subject}")

    # -- beside the protocol

    def look(self, address: str = "") -> dict[str, Box]:
        """The mailbox as it lies in the store's file."""
        path = next(self.daemon.directory.rglob("posthouse.db"))
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            (mailbox,) = connection.execute(
                "SELECT mailbox_id FROM account WHERE address = ?", (address or self.address,)
            ).fetchone()
            found: dict[str, Box] = {}
            rows: dict[int, Box] = {}
            for row, number, name, kind in connection.execute(
                "SELECT id, number, name, type FROM folder WHERE mailbox_id = ? AND deleted = 0 AND hidden = 0",
                (mailbox,),
            ):
                found[str(number)] = rows[row] = Box(name, kind)
            for row, number, subject, read in connection.execute(
                "SELECT folder_id, number, subject, read FROM item WHERE mailbox_id = ? AND hidden = 0",
                (mailbox,),
            ):
                if row in rows:
                    rows[row].items[str(number)] = (subject, str(read))
            return found
        finally:
            connection.close()

    def subjects(self, kind: int, address: str = "") -> list[str]:
        """The subjects in a default folder of the store."""
        return [
            subject
            for box in self.look(address).values()
            if box.type == kind
            for subject, _ in box.items.values()
        ]

    def assertEqualToStore(self, client: Client) -> None:
        """Everything that the client synchronises is on it as it lies in the store."""
        boxes = self.look()
        self.assertTrue(client.mirror)
        for number, held in client.mirror.items():
            shown = {
                item: (fields[Email.Subject].value, fields[Email.Read].value) for item, fields in held.items()
            }
            self.assertEqual(shown, boxes[number].items, boxes[number].name)

    def assertFolders(self, client: Client) -> None:
        """The folder list is the store's, with all that clients look for."""
        there = {number: (box.name, box.type) for number, box in self.look().items() if box.type != 19}
        known = {n: (one.name, one.type) for n, one in client.folders.items() if one.type != 19}
        self.assertEqual(known, there)
        self.assertLessEqual({2, 3, 4, 5, 6}, {kind for _, kind in known.values()})


def body_preference(kind: int, size: int | None = None, *more: Element) -> Element:
    return E(
        AirSyncBase.BodyPreference,
        E(AirSyncBase.Type, str(kind)),
        E(AirSyncBase.TruncationSize, str(size)) if size is not None else None,
        *more,
    )


def folder_sync_0() -> Element:
    return E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0"))


def read_mark(item: str, read: str = "1") -> Element:
    return E(AirSync.Change, E(AirSync.ServerId, item), E(AirSync.ApplicationData, E(Email.Read, read)))
