"""A phone: a small ActiveSync client for tests and benches, blocking and of the standard library alone.

It keeps keys and a mirror of every folder as a real device does, checks each response against Microsoft's
schemas (`tests.support.eas_checker`), and complains when it is shown an item twice.
"""

from __future__ import annotations

import http.client
import json
import ssl
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import define, field, frozen

from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import (
    AirSync,
    AirSyncBase,
    ComposeMail,
    Email,
    FolderHierarchy,
    GetItemEstimate,
    ItemOperations,
    Move,
    Ping,
    Provision,
    Settings,
)
from posthouse.wbxml.tree import E, Element
from tests.support.eas_checker import check_response
from tests.support.eas_http import check_headers, check_parts, check_tokens

PATH = "/Microsoft-Server-ActiveSync"
WBXML = "application/vnd.ms-sync.wbxml"
MULTIPART = "application/vnd.ms-sync.multipart"

_COMMANDS = {
    "Sync": 0, "SendMail": 1, "SmartForward": 2, "SmartReply": 3, "GetAttachment": 4, "FolderSync": 9,
    "FolderCreate": 10, "FolderDelete": 11, "FolderUpdate": 12, "MoveItems": 13, "GetItemEstimate": 14,
    "MeetingResponse": 15, "Search": 16, "Settings": 17, "Ping": 18, "ItemOperations": 19, "Provision": 20,
    "ResolveRecipients": 21, "ValidateCert": 22, "Find": 23,
}  # fmt: skip

_PARAMETERS = {"AttachmentName": 0, "CollectionId": 1, "ItemId": 3, "LongId": 4, "Occurrence": 6}


class PhoneError(Exception):
    """The server said no."""


@frozen
class Answer:
    """One HTTP response; ``root`` is the decoded document, ``parts`` those of a multipart answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    root: Element | None = None
    parts: tuple[bytes, ...] = ()

    def text(self, *path: str) -> str:
        """The text down a path of tags; "" when it is not there."""
        found = self.root.find(*path) if self.root is not None else None
        return found.value if found is not None else ""


@define
class RemoteFolder:
    """A folder as the phone knows it."""

    id: str
    parent: str
    name: str
    type: int


@define
class SyncResult:
    """What one Sync of one collection brought. ``status`` 0: the answer was empty (nothing new)."""

    status: int
    key: str = ""
    more: bool = False
    added: list[str] = field(factory=list)
    changed: list[str] = field(factory=list)
    deleted: list[str] = field(factory=list)
    soft_deleted: list[str] = field(factory=list)
    responses: list[Element] = field(factory=list)


def mail_options(
    body: int | None = 2,
    truncation: int | None = None,
    *,
    filter_type: int | None = None,
    mime: int | None = None,
    all_or_none: bool | None = None,
    preview: int | None = None,
    conflict: int | None = None,
) -> Element:
    """An Options element for mail."""
    preference = None
    if body is not None:
        preference = E(
            AirSyncBase.BodyPreference,
            E(AirSyncBase.Type, body),
            E(AirSyncBase.TruncationSize, truncation) if truncation is not None else None,
            E(AirSyncBase.AllOrNone, all_or_none) if all_or_none is not None else None,
            E(AirSyncBase.Preview, preview) if preview is not None else None,
        )
    return E(
        AirSync.Options,
        E(AirSync.FilterType, filter_type) if filter_type is not None else None,
        E(AirSync.MIMESupport, mime) if mime is not None else None,
        E(AirSync.Conflict, conflict) if conflict is not None else None,
        preference,
    )


class Phone:
    """One device of one user.

    :param base_url: "https://host:port". :param strict: complain when an item is added twice.
    :param encoded: use the base64 form of the query.
    """

    def __init__(
        self,
        base_url: str,
        user: str,
        password: str,
        device_id: str = "PHONE000000000000000000001",
        version: str = "16.1",
        *,
        device_type: str = "iPhone",
        cafile: str | Path | None = None,
        insecure: bool = False,
        user_agent: str = "Apple-iPhone15C2/2205.100",
        encoded: bool = False,
        timeout: float = 60.0,
        check: bool = True,
        strict: bool = True,
        gzip: bool = False,
    ) -> None:
        self.url = urlsplit(base_url)
        self.user = user
        self.password = password
        self.device_id = device_id
        self.device_type = device_type
        self.version = version
        self.user_agent = user_agent
        self.encoded = encoded
        self.timeout = timeout
        self.check = check
        self.strict = strict
        self.gzip = gzip
        self.policy_key = 0
        self.folder_key = "0"
        self.folders: dict[str, RemoteFolder] = {}
        self.keys: dict[str, str] = {}
        self.mirror: dict[str, dict[str, dict[str, Element]]] = {}
        self._context: ssl.SSLContext | None = None
        if self.url.scheme == "https":
            self._context = ssl.create_default_context(cafile=str(cafile) if cafile else None)
            if insecure:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Phone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- the wire

    @property
    def numbers(self) -> tuple[int, int]:
        """The protocol version as numbers."""
        major, _, minor = self.version.partition(".")
        return int(major), int(minor)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self.url.hostname or "", self.url.port
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=self.timeout, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self.timeout)
        return self._connection

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
        """One HTTP request and its response, as it is."""
        sent = {"User-Agent": self.user_agent}
        if credentials:
            pair = f"{self.user}:{self.password}".encode()
            sent["Authorization"] = "Basic " + b64encode(pair).decode()
        if body:
            sent["Content-Type"] = content_type
        if self.gzip:
            sent["Accept-Encoding"] = "gzip"
        if not self.encoded:
            sent["MS-ASProtocolVersion"] = self.version
            sent["X-MS-PolicyKey"] = str(self.policy_key)
        sent.update(headers or {})
        connection = self._connect()
        target = PATH if method == "OPTIONS" else f"{PATH}?{self.query(command, parameters or {})}"
        try:
            connection.request(method, target, body=body or None, headers=sent)
            response = connection.getresponse()
            data = response.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            # The server may have closed an idle connection.
            self.close()
            connection = self._connect()
            connection.request(method, target, body=body or None, headers=sent)
            response = connection.getresponse()
            data = response.read()
        except BaseException:
            self.close()
            raise
        named = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        if named.get("content-encoding") == "gzip":
            import gzip

            data = gzip.decompress(data)
        if self.check:
            check_headers(method, response.status, named, data, command=command)
        return self._answer(response.status, named, data)

    def _answer(self, status: int, headers: Mapping[str, str], data: bytes) -> Answer:
        kind = headers.get("content-type", "")
        root: Element | None = None
        parts: tuple[bytes, ...] = ()
        if data and kind == WBXML:
            root = decode(data)
        elif data and kind == MULTIPART:
            parts = split_parts(data)
            if self.check:
                check_parts(data)
            root = decode(parts[0])
        if root is not None and self.check:
            check_tokens(parts[0] if parts else data, root)
            check_response(root, self.numbers, multipart=bool(parts))
        return Answer(status, headers, data, root, parts)

    def query(self, command: str, parameters: Mapping[str, str]) -> str:
        """The query string, in the plain or the base64 form."""
        if not self.encoded:
            named = {
                "Cmd": command,
                "User": self.user,
                "DeviceId": self.device_id,
                "DeviceType": self.device_type,
            }
            return urlencode({**named, **parameters})
        major, minor = self.numbers
        fields = [struct.pack("<BBH", major * 10 + minor, _COMMANDS[command], 0x0409)]
        fields.append(_sized(self.device_id.encode()))
        fields.append(_sized(struct.pack("<I", self.policy_key) if self.policy_key else b""))
        fields.append(_sized(self.device_type.encode()))
        options = 0
        for name, value in parameters.items():
            if name == "SaveInSent":
                options |= value == "T"
            elif name == "AcceptMultiPart":
                options |= 2 * (value == "T")
            else:
                fields.append(bytes([_PARAMETERS[name]]) + _sized(value.encode()))
        if options:
            fields.append(bytes([7, 1, options]))
        return b64encode(b"".join(fields)).decode()

    def command(self, command: str, root: Element | None = None, **more: Any) -> Answer:
        """One command with a WBXML body; HTTP errors raise.

        :raises PhoneError: another HTTP status than 200.
        """
        answer = self.request(command, encode(root) if root is not None else b"", **more)
        if answer.status != 200:
            raise PhoneError(f"{command}: HTTP {answer.status} {answer.body[:200]!r}")
        return answer

    # -- beginning

    def options(self, *, credentials: bool = True) -> Answer:
        """OPTIONS."""
        return self.request("", method="OPTIONS", credentials=credentials)

    def provision(self) -> str:
        """Both phases; the final policy key is used from then on. Returns it, "" when there is no policy."""
        kind = E(Provision.PolicyType, "MS-EAS-Provisioning-WBXML")
        information = None
        if self.numbers >= (14, 1):
            information = E(
                Settings.DeviceInformation,
                E(Settings.Set, E(Settings.Model, "Phone"), E(Settings.OS, "TestOS 1")),
            )
        first = self.command(
            "Provision",
            E(Provision.Provision, information, E(Provision.Policies, E(Provision.Policy, kind))),
        )
        policy = first.root.find(Provision.Policies, Provision.Policy) if first.root is not None else None
        if policy is None:
            raise PhoneError(f"Provision: status {first.text(Provision.Status)}")
        if policy.text(Provision.Status) != "1":
            return ""
        key = policy.text(Provision.PolicyKey) or ""
        second = self.command(
            "Provision",
            E(
                Provision.Provision,
                E(
                    Provision.Policies,
                    E(Provision.Policy, kind, E(Provision.PolicyKey, key), E(Provision.Status, 1)),
                ),
            ),
        )
        final = ""
        if second.root is not None:
            acknowledged = second.root.find(Provision.Policies, Provision.Policy, Provision.PolicyKey)
            final = acknowledged.value if acknowledged is not None else ""
        if not final:
            raise PhoneError("Provision: the acknowledgement was refused")
        self.policy_key = int(final)
        return final

    def settings(self) -> Answer:
        """Tell the device's information and ask for the user's, as iOS does first."""
        return self.command(
            "Settings",
            E(
                Settings.Settings,
                E(Settings.UserInformation, E(Settings.Get)),
                E(Settings.DeviceInformation, E(Settings.Set, E(Settings.Model, "Phone"))),
            ),
        )

    def set_up(self) -> Phone:
        """Everything up to the folders: provision, settings, folders."""
        self.provision()
        self.settings()
        self.folder_sync()
        return self

    # -- folders

    def folder_sync(self, key: str | None = None) -> Answer:
        """FolderSync with the phone's key (or another), applied to ``folders``."""
        answer = self.command(
            "FolderSync",
            E(
                FolderHierarchy.FolderSync,
                E(FolderHierarchy.SyncKey, self.folder_key if key is None else key),
            ),
        )
        if answer.text(FolderHierarchy.Status) != "1":
            return answer
        if (self.folder_key if key is None else key) == "0":
            self.folders.clear()
        self.folder_key = answer.text(FolderHierarchy.SyncKey)
        assert answer.root is not None
        changes = answer.root.find(FolderHierarchy.Changes)
        for change in changes.children if changes is not None else ():
            number = change.text(FolderHierarchy.ServerId) or ""
            if change.tag == FolderHierarchy.Delete:
                self.folders.pop(number, None)
            elif change.tag in (FolderHierarchy.Add, FolderHierarchy.Update):
                self.folders[number] = RemoteFolder(
                    number,
                    change.text(FolderHierarchy.ParentId) or "",
                    change.text(FolderHierarchy.DisplayName) or "",
                    int(change.text(FolderHierarchy.Type) or 0),
                )
        return answer

    def folder(self, type: int) -> str:
        """The CollectionId of the default folder of a type (2 is the Inbox)."""
        return next(one.id for one in self.folders.values() if one.type == type)

    def folder_create(self, name: str, parent: str = "0", type: int = 12) -> Answer:
        """FolderCreate; on success the folder is known here, too."""
        answer = self.command(
            "FolderCreate",
            E(
                FolderHierarchy.FolderCreate,
                E(FolderHierarchy.SyncKey, self.folder_key),
                E(FolderHierarchy.ParentId, parent),
                E(FolderHierarchy.DisplayName, name),
                E(FolderHierarchy.Type, type),
            ),
        )
        if answer.text(FolderHierarchy.Status) == "1":
            self.folder_key = answer.text(FolderHierarchy.SyncKey)
            number = answer.text(FolderHierarchy.ServerId)
            self.folders[number] = RemoteFolder(number, parent, name, type)
        return answer

    def folder_delete(self, number: str) -> Answer:
        """FolderDelete."""
        answer = self.command(
            "FolderDelete",
            E(
                FolderHierarchy.FolderDelete,
                E(FolderHierarchy.SyncKey, self.folder_key),
                E(FolderHierarchy.ServerId, number),
            ),
        )
        if answer.text(FolderHierarchy.Status) == "1":
            self.folder_key = answer.text(FolderHierarchy.SyncKey)
            self.folders.pop(number, None)
        return answer

    # -- items

    def collection(
        self,
        number: str,
        *,
        key: str | None = None,
        get_changes: bool | None = None,
        window: int | None = None,
        options: Element | Sequence[Element] | None = None,
        commands: Iterable[Element] = (),
        deletes_as_moves: bool | None = None,
    ) -> Element:
        """A Collection element of a Sync request, with the phone's key."""
        sync_key = self.keys.get(number, "0") if key is None else key
        listed = list(commands)
        return E(
            AirSync.Collection,
            E(AirSync.Class, "Email") if self.numbers < (14, 0) else None,
            E(AirSync.SyncKey, sync_key),
            E(AirSync.CollectionId, number),
            E(AirSync.DeletesAsMoves, deletes_as_moves) if deletes_as_moves is not None else None,
            E(AirSync.GetChanges, get_changes) if get_changes is not None else None,
            E(AirSync.WindowSize, window) if window is not None else None,
            options,
            E(AirSync.Commands, listed) if listed else None,
        )

    def sync(
        self,
        *collections: Element,
        window: int | None = None,
        wait: int | None = None,
        heartbeat: int | None = None,
        partial: bool = False,
        empty: bool = False,
        apply: bool = True,
    ) -> tuple[str, dict[str, SyncResult]]:
        """One Sync: its own status ("" for none) and the result of each collection, applied to the mirror.

        :param apply: False to behave as if the answer had been lost.
        """
        root = None
        if not empty:
            root = E(
                AirSync.Sync,
                E(AirSync.Collections, collections) if collections else None,
                E(AirSync.Wait, wait) if wait is not None else None,
                E(AirSync.HeartbeatInterval, heartbeat) if heartbeat is not None else None,
                E(AirSync.WindowSize, window) if window is not None else None,
                E(AirSync.Partial) if partial else None,
            )
        answer = self.command("Sync", root)
        if answer.root is None:
            return "", {}
        found: dict[str, SyncResult] = {}
        listed = answer.root.find(AirSync.Collections)
        for collection in listed.children if listed is not None else ():
            number = collection.text(AirSync.CollectionId) or ""
            found[number] = self._take(number, collection, apply)
        return answer.text(AirSync.Status), found

    def sync_collection(self, number: str, **more: Any) -> SyncResult:
        """One Sync of one collection. With key 0 only the first key is fetched."""
        together = {name: more.pop(name) for name in ("wait", "heartbeat", "apply") if name in more}
        status, found = self.sync(self.collection(number, **more), **together)
        if number in found:
            return found[number]
        return SyncResult(int(status or 0), self.keys.get(number, "0"))

    def sync_all(self, number: str, **more: Any) -> SyncResult:
        """Sync one collection until there is no more; the last result, with all additions and so on."""
        if self.keys.get(number, "0") == "0":
            begun = self.sync_collection(number)
            if begun.status != 1:
                return begun
        total = SyncResult(1)
        while True:
            result = self.sync_collection(number, **more)
            total.status, total.key = result.status or 1, result.key
            for name in ("added", "changed", "deleted", "soft_deleted", "responses"):
                getattr(total, name).extend(getattr(result, name))
            more.pop("commands", None)
            if not result.more:
                return total

    def _take(self, number: str, collection: Element, apply: bool) -> SyncResult:
        result = SyncResult(
            int(collection.text(AirSync.Status) or 0),
            collection.text(AirSync.SyncKey) or "",
            collection.find(AirSync.MoreAvailable) is not None,
        )
        responses = collection.find(AirSync.Responses)
        result.responses = list(responses.children) if responses is not None else []
        if result.status == 3 and apply:
            self.keys[number] = "0"
            self.mirror.pop(number, None)
        if result.status not in (1, 14) or not result.key:
            return result
        if apply:
            if self.keys.get(number, "0") == "0":
                self.mirror[number] = {}
            self.keys[number] = result.key
        items = self.mirror.setdefault(number, {})
        commands = collection.find(AirSync.Commands)
        for command in commands.children if commands is not None else ():
            self._apply(command, items, result, apply)
        return result

    def _apply(
        self, command: Element, items: dict[str, dict[str, Element]], result: SyncResult, apply: bool
    ) -> None:
        named = command.text(AirSync.ServerId) or ""
        data = command.find(AirSync.ApplicationData)
        fields = {child.tag: child for child in data.children} if data is not None else {}
        if command.tag == AirSync.Add:
            result.added.append(named)
            if apply and self.strict and named in items:
                raise AssertionError(f"item {named} was shown twice")
            if apply:
                items[named] = fields
        elif command.tag == AirSync.Change:
            result.changed.append(named)
            if apply and self.strict and named not in items:
                raise AssertionError(f"a change of item {named}, which was never shown")
            if apply:
                items.setdefault(named, {}).update(fields)
        elif command.tag in (AirSync.Delete, AirSync.SoftDelete):
            (result.deleted if command.tag == AirSync.Delete else result.soft_deleted).append(named)
            if apply:
                items.pop(named, None)

    def mark_read(self, number: str, item: str, read: bool = True, **more: Any) -> SyncResult:
        """Set the read mark of an item, here and there."""
        self.mirror[number][item][Email.Read] = E(Email.Read, read)
        change = E(
            AirSync.Change,
            E(AirSync.ServerId, item),
            E(AirSync.ApplicationData, E(Email.Read, read)),
        )
        return self.sync_collection(number, commands=[change], **more)

    def delete(self, number: str, *items: str, **more: Any) -> SyncResult:
        """Delete items, here and there."""
        for item in items:
            self.mirror[number].pop(item, None)
        gone = [E(AirSync.Delete, E(AirSync.ServerId, item)) for item in items]
        return self.sync_collection(number, commands=gone, **more)

    def subjects(self, number: str) -> list[str]:
        """The subjects in a folder's mirror."""
        return [fields[Email.Subject].value for fields in self.mirror.get(number, {}).values()]

    def move_items(self, *moves: tuple[str, str, str]) -> list[tuple[str, str]]:
        """MoveItems of (item, from, to): (status, new ServerId) for each."""
        answer = self.command(
            "MoveItems",
            E(
                Move.MoveItems,
                [
                    E(Move.Move, E(Move.SrcMsgId, item), E(Move.SrcFldId, source), E(Move.DstFldId, target))
                    for item, source, target in moves
                ],
            ),
        )
        assert answer.root is not None
        return [
            (response.text(Move.Status) or "", response.text(Move.DstMsgId) or "")
            for response in answer.root.findall(Move.Response)
        ]

    def get_item_estimate(self, number: str, options: Element | None = None) -> tuple[int, int]:
        """The status and the estimate of one collection."""
        answer = self.command(
            "GetItemEstimate",
            E(
                GetItemEstimate.GetItemEstimate,
                E(
                    GetItemEstimate.Collections,
                    E(
                        GetItemEstimate.Collection,
                        self._estimated(number, options),
                    ),
                ),
            ),
        )
        assert answer.root is not None
        response = answer.root.find(GetItemEstimate.Response)
        if response is None:
            return int(answer.text(GetItemEstimate.Status) or 0), 0
        estimate = response.find(GetItemEstimate.Collection, GetItemEstimate.Estimate)
        count = int(estimate.value) if estimate is not None else 0
        return int(response.text(GetItemEstimate.Status) or 0), count

    def _estimated(self, number: str, options: Element | None) -> list[Element | None]:
        key = E(AirSync.SyncKey, self.keys.get(number, "0"))
        if self.numbers >= (14, 0):
            return [key, E(GetItemEstimate.CollectionId, number), options]
        # At 12.1 and below Class and FilterType are children of the collection, and the key comes last.
        return [
            E(GetItemEstimate.Class, "Email"),
            E(GetItemEstimate.CollectionId, number),
            E(AirSync.FilterType, 0),
            key,
        ]

    def ping(
        self, folders: Sequence[str] | None = None, heartbeat: int | None = None
    ) -> tuple[int, list[str]]:
        """Ping: its status and the changed folders. Without arguments it has no body."""
        root = None
        if folders is not None or heartbeat is not None:
            root = E(
                Ping.Ping,
                E(Ping.HeartbeatInterval, heartbeat) if heartbeat is not None else None,
                E(
                    Ping.Folders,
                    [E(Ping.Folder, E(Ping.Id, number), E(Ping.Class, "Email")) for number in folders],
                )
                if folders is not None
                else None,
            )
        answer = self.command("Ping", root)
        assert answer.root is not None
        listed = answer.root.find(Ping.Folders)
        changed = [one.value for one in listed.children] if listed is not None else []
        return int(answer.text(Ping.Status) or 0), changed

    # -- contents

    def item_operations(self, *operations: Element, multipart: bool = False) -> Answer:
        """ItemOperations."""
        more: dict[str, Any] = {}
        if multipart and self.encoded:
            more["parameters"] = {"AcceptMultiPart": "T"}
        elif multipart:
            more["headers"] = {"MS-ASAcceptMultiPart": "T"}
        return self.command("ItemOperations", E(ItemOperations.ItemOperations, operations), **more)

    def fetch_item(
        self, number: str, item: str, body: int | None = 2, mime: int | None = None, **more: Any
    ) -> dict[str, Element]:
        """The properties of an item.

        :raises PhoneError: another status than 1.
        """
        options = mail_options(body, mime=mime, truncation=more.pop("truncation", None))
        options.tag = ItemOperations.Options
        answer = self.item_operations(
            E(
                ItemOperations.Fetch,
                E(ItemOperations.Store, "Mailbox"),
                E(AirSync.CollectionId, number),
                E(AirSync.ServerId, item),
                options,
            ),
            **more,
        )
        return {child.tag: child for child in self._properties(answer).children}

    def fetch_file(
        self, reference: str, range: tuple[int, int] | None = None, *, multipart: bool = False
    ) -> tuple[bytes, int | None]:
        """An attachment, or bytes ``range`` (both inclusive) of it: the data and the total, if it was said.

        :raises PhoneError: another status than 1.
        """
        answer = self.item_operations(
            E(
                ItemOperations.Fetch,
                E(ItemOperations.Store, "Mailbox"),
                E(AirSyncBase.FileReference, reference),
                E(ItemOperations.Options, E(ItemOperations.Range, f"{range[0]}-{range[1]}"))
                if range
                else None,
            ),
            multipart=multipart,
        )
        properties = self._properties(answer)
        total = properties.text(ItemOperations.Total)
        part = properties.text(ItemOperations.Part)
        data = answer.parts[int(part)] if part else b64decode(properties.text(ItemOperations.Data) or "")
        return data, int(total) if total is not None else None

    def _properties(self, answer: Answer) -> Element:
        fetch = (
            answer.root.find(ItemOperations.Response, ItemOperations.Fetch)
            if answer.root is not None
            else None
        )
        if fetch is None:
            raise PhoneError(f"ItemOperations: status {answer.text(ItemOperations.Status)}")
        properties = fetch.find(ItemOperations.Properties)
        if fetch.text(ItemOperations.Status) != "1" or properties is None:
            raise PhoneError(f"Fetch: status {fetch.text(ItemOperations.Status)}")
        return properties

    def send_mail(self, mime: bytes, client_id: str = "", *, save: bool = True) -> int:
        """SendMail in the form of the version: 0 when it was sent, else the status."""
        if self.numbers < (14, 0):
            parameters = {"SaveInSent": "T" if save else "F"}
            self.command_raw("SendMail", mime, parameters)
            return 0
        answer = self.command(
            "SendMail",
            E(
                ComposeMail.SendMail,
                E(ComposeMail.ClientId, client_id or f"send-{hash(mime) & 0xFFFFFFFF:x}"),
                E(ComposeMail.SaveInSentItems) if save else None,
                E(ComposeMail.Mime, mime),
            ),
        )
        return int(answer.text(ComposeMail.Status) or 0)

    def command_raw(self, command: str, body: bytes, parameters: Mapping[str, str]) -> Answer:
        """A command whose body is MIME (12.1 and below). :raises PhoneError: another HTTP status than 200."""
        answer = self.request(command, body, content_type="message/rfc822", parameters=parameters)
        if answer.status != 200:
            raise PhoneError(f"{command}: HTTP {answer.status} {answer.body[:200]!r}")
        return answer

    @classmethod
    def of_demo(cls, path: str | Path, account: int = 0, **more: Any) -> Phone:
        """A phone of an account of ``demo.json``."""
        demo = json.loads(Path(path).read_text())
        one = demo["accounts"][account]
        return cls(demo["https"], one["address"], one["password"], cafile=demo["certificate"], **more)


def split_parts(data: bytes) -> tuple[bytes, ...]:
    """The parts of a MultiPartResponse (MS-ASCMD 2.2.1.10.1.1)."""
    (count,) = struct.unpack_from("<I", data)
    parts = []
    for index in range(count):
        offset, length = struct.unpack_from("<II", data, 4 + 8 * index)
        parts.append(data[offset : offset + length])
    return tuple(parts)


def _sized(data: bytes) -> bytes:
    return bytes([len(data)]) + data
