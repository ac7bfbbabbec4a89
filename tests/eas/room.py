"""The room in memory: a store without threads, a clock that stands, an outbox that keeps what it is given."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from posthouse.bus import Bus
from posthouse.eas.call import Call
from posthouse.eas.pipeline import Incoming, Pipeline
from posthouse.eas.query import Query, parse_query
from posthouse.eas.services import EasSettings, Services
from posthouse.errors import PosthouseError
from posthouse.interfaces import IOutbox, IParcel
from posthouse.mime.scan import dump_structure, scan
from posthouse.mime.summary import summarise
from posthouse.model import Account, Device, Folder, FolderType, Item, ItemDraft
from posthouse.store import bodies, changes, devices, items
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tree import Element
from posthouse.work.pool import InlinePool
from tests.support.eas import MULTIPART, WBXML, split_parts
from tests.support.eas_checker import check_response
from tests.support.eas_http import check_headers, check_parts, check_tokens
from tests.support.store import NOW, folder, make_account, make_database

VERSIONS = ("12.0", "12.1", "14.0", "14.1", "16.0", "16.1")


@implementer(IOutbox)
class KeepingOutbox:
    """Runs what belongs into the transaction, and keeps the message."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.sent: list[tuple[str, bytes, bool]] = []
        self.error: Exception | None = None

    def submit(
        self,
        account: Account,
        message: bytes,
        save_in_sent: bool,
        in_transaction: Callable[..., Any] | None = None,
    ) -> Deferred[Any]:
        def store(tx: Any) -> Any:
            if self.error is not None:
                raise self.error
            return in_transaction(tx) if in_transaction is not None else None

        def keep(result: Any) -> Any:
            self.sent.append((account.address, message, save_in_sent))
            return result

        return self.db.write(store).addCallback(keep)  # type: ignore[no-any-return]

    def prepare(self, account: Account, message: bytes, save_in_sent: bool) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        return succeed(KeptParcel(self, (account.address, message, save_in_sent)))


@implementer(IParcel)
@frozen
class KeptParcel:
    """Is kept when it was handed over."""

    outbox: KeepingOutbox
    what: tuple[str, bytes, bool]

    def hand_over(self, tx: Any) -> None:
        self.outbox.sent.append(self.what)

    def departed(self) -> None:
        pass


class NoAuthenticator:
    """The room's own tests begin behind it."""

    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        raise AssertionError("not asked here")


def _version(query: bytes | None, version: str) -> tuple[int, int]:
    """What a request says: in the base64 query, or in the header."""
    try:
        told = parse_query(query).version if query is not None else None
    except PosthouseError:
        told = None
    major, _, minor = version.partition(".")
    return told or (int(major), int(minor))


@define
class Response:
    """One answer of the pipeline."""

    code: int
    headers: dict[str, str]
    body: bytes
    kind: str
    root: Element | None = None

    def text(self, *path: str) -> str:
        found = self.root.find(*path) if self.root is not None else None
        return found.value if found is not None else ""


def result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returned that waits for nothing."""
    found: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(found.append)
    if not found:
        raise AssertionError("it still waits")
    if hasattr(found[0], "raiseException"):
        found[0].raiseException()
    return found[0]


@define(eq=False, slots=False)
class Room:
    """Everything of one test."""

    settings: EasSettings = field(factory=EasSettings)
    device_id: str = "PHONE1"
    agent: str = "TestPhone/1.0"

    def __attrs_post_init__(self) -> None:
        self.bus = Bus()
        self.db = make_database(self.bus.publish)
        self.account = make_account(self.db)
        self.clock = Clock()
        self.clock.advance(NOW / 1000)
        self.outbox = KeepingOutbox(self.db)
        self.services = Services(
            db=self.db,
            bus=self.bus,
            outbox=self.outbox,
            authenticator=NoAuthenticator(),  # type: ignore[arg-type]
            clock=self.clock,  # type: ignore[arg-type]
            random=random.Random(7).randbytes,
            pool=InlinePool(),
            settings=self.settings,
        )
        self.pipeline = Pipeline(self.services)
        self.policy_key = 0

    def post(
        self,
        command: str,
        root: Element | bytes | None = None,
        version: str = "14.1",
        *,
        parameters: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        query: bytes | None = None,
        check: bool = True,
    ) -> Response:
        """One POST of an authenticated device."""
        named = {"Cmd": command, "User": "a", "DeviceId": self.device_id, "DeviceType": "iPhone"}
        sent = {"ms-asprotocolversion": version, "user-agent": self.agent}
        if self.policy_key:
            sent["x-ms-policykey"] = str(self.policy_key)
        if root is not None:
            sent["content-type"] = (
                "message/rfc822" if isinstance(root, bytes) else "application/vnd.ms-sync.wbxml"
            )
        sent.update({name.lower(): value for name, value in (headers or {}).items()})
        body = root if isinstance(root, bytes) else encode(root) if root is not None else b""
        reply = result(
            self.pipeline.answer(
                self.account,
                Incoming(
                    query=query
                    if query is not None
                    else urlencode({**named, **(parameters or {})}).encode("ascii"),
                    header=lambda name: sent.get(name.lower(), ""),
                    body=lambda: succeed(body),
                    peer="192.0.2.1",
                    cid="c1",
                ),
            )
        )
        kind = reply.content_type.decode()
        response = Response(
            reply.code,
            {name.decode().lower(): value.decode() for name, value in reply.headers},
            reply.body,
            kind,
        )
        if check:
            named_headers = {**response.headers, "content-type": kind}
            check_headers("POST", reply.code, named_headers, reply.body, wire=False, command=command)
        data, parted = reply.body, kind == MULTIPART
        if reply.body and parted:
            check_parts(reply.body)
            data = split_parts(reply.body)[0]
        if reply.body and kind in (WBXML, MULTIPART):
            root = decode(data)
            if not parted:
                response.root = root
            if check:
                check_tokens(data, root)
                check_response(root, _version(query, version), multipart=parted)
        return response

    def provision(self, version: str = "14.1") -> int:
        """Take the device through both phases; its key is sent from then on."""
        from tests.eas.provisioning import acknowledge, key_of, offer

        first = self.post("Provision", offer(version), version)
        second = self.post("Provision", acknowledge(key_of(first)), version)
        self.policy_key = key_of(second)
        return self.policy_key

    def device(self) -> Device:
        found = self.db.read_now(
            lambda tx: devices.find_device(tx, self.account.id, self.device_id, "iPhone")
        )
        assert found is not None
        return found

    def call(self, version: tuple[int, int] = (14, 1)) -> Call:
        """A call outside the pipeline, for content."""
        return Call(
            services=self.services,
            account=self.account,
            device=Device(1, self.account.id, self.device_id, "iPhone"),
            version=version,
            query=Query(),
        )

    def folder(self, type: FolderType = FolderType.INBOX) -> Folder:
        return folder(self.db, self.account, type)

    def deliver(self, data: bytes, where: Folder | None = None, **fields: Any) -> Item:
        """Put a message into a folder, with the summary that a delivery makes of it."""
        place = where or self.folder()
        structure = scan(data)
        summary = summarise(
            structure,
            data[structure.header_start : structure.body_start],
            lambda first, last: data[first:last],
        )
        values: dict[str, Any] = {
            "received": NOW,
            "size": len(data),
            "message_class": summary.message_class,
            "subject": summary.subject,
            "topic": summary.thread_topic,
            "sender": summary.sender,
            "sender_address": summary.from_address,
            "to": summary.to,
            "cc": summary.cc,
            "reply_to": summary.reply_to,
            "importance": summary.importance,
            "preview": summary.preview,
            "has_attachments": summary.has_attachments,
            "attachments": summary.attachments,
            "structure": dump_structure(structure),
            "message_id": summary.message_id,
            **fields,
        }

        def store(tx: Any) -> Item:
            body = bodies.put_body(tx, bodies.prepare(data), NOW)
            number = items.add_item(tx, place, ItemDraft(**values), body.id, NOW)
            return changes.items(tx, place.id, [number])[number]

        return self.db.write_now(store)
