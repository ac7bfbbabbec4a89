"""A million hostile inputs: WBXML documents, query strings, and whole requests through the pipeline.

Says how many inputs each stage took, how many were answered how, and the slowest; ends with 1 and prints the
input when one raised anything but the room's own errors, came back as a traceback in the log, or gave an
answer that cannot be decoded. The seed is printed: the same seed gives the same inputs.

    python bench/fuzz.py                   # 1,000,000 inputs
    python bench/fuzz.py --seed 7 --quick
"""

# ruff: noqa: I001 - bench.support sets the path before the package is imported
from __future__ import annotations

import random
import re
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from support import options

from twisted.internet.defer import Deferred, succeed
from twisted.logger import LogLevel, globalLogBeginner

from posthouse.eas.pipeline import Incoming
from posthouse.eas.query import CODES, parse_query
from posthouse.eas.registry import commands
from posthouse.eas.services import EasSettings
from posthouse.errors import PosthouseError
from posthouse.model import FolderType
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.pages import PAGES
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Room

#: Every element name that there is.
TAGS = sorted(tag for page in PAGES for tag in page.tags.values())
#: What clients' programmers, and those who want to harm, write into an element.
TEXTS = (
    "", "0", "1", "-1", "2", "4294967295", "4294967296", "99999999999999999999", "1.5", "true", " 1 ", "\0", "\r\n",
    "a" * 257, "ß" * 300, "\ufffd", "\U0001f40e", "1:1", "1:-1", "0:0:0", "..", "%n", "'; DROP TABLE item; --",
    "2026-02-30T25:61:61.000Z", "2026-11-22T10:00:00.000Z", "20261122T100000Z", "<a@b>", "a@example.org", "*", "(" * 90,
    "NOT " * 50, "subject:\"", "MS-EAS-Provisioning-WBXML", "T", "SMS", "Email", "RI", "Calendar", "0-0", "9-1",
    "0-99999999",
)  # fmt: skip
BYTES = (
    b"",
    b"\0",
    b"\xff" * 40,
    b"From: a@b\r\n\r\nx",
    bytes(range(256)),
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a",
)
#: What means something to a decoder: switch, entity, string, opaque with a length, literal, table, end.
TOKENS = (
    b"\0\x07", b"\0\xfe", b"\x02\x8f\xff\xff\xff\x7f", b"\x03", b"\xc3\x8f\xff\x7f", b"\xc3\x03ab", b"\x04\x01",
    b"\x83\x00", b"\x01" * 9,
)  # fmt: skip
#: An input that takes longer than this, in seconds, is shown with its stage.
SLOW = 0.25

MAIL = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\n\r\nhello\r\n"
#: Requests: a name without a namespace has its parent's, ``?`` is any identifier.
_NOTATION = """
Sync AirSync:Sync(Collections(Collection(SyncKey=? CollectionId=? GetChanges WindowSize=25 Options(FilterType=3
    AirSyncBase:BodyPreference(Type=1 TruncationSize=512)))))
Sync AirSync:Sync(Collections(Collection(SyncKey=? CollectionId=? DeletesAsMoves=0 Commands(
    Change(ServerId=? ApplicationData(Email:Read=1 Email:Flag(Status=2)))
    Delete(ServerId=?) Fetch(ServerId=?))) Collection(SyncKey=0 CollectionId=?)) Wait=1 Partial)
Sync AirSync:Sync(Collections(Collection(SyncKey=? CollectionId=? Commands(Add(ClientId=? ApplicationData(
    Email:To=? Email:Subject=? AirSyncBase:Body(Type=1 Data=text) Email2:Send)))
    Options(Conflict=1 MIMESupport=2 AirSyncBase:BodyPreference(Type=4) AirSyncBase:BodyPartPreference(Type=2)))))
SendMail ComposeMail:SendMail(ClientId=? SaveInSentItems Mime=MAIL)
SmartForward ComposeMail:SmartForward(ClientId=? Source(FolderId=? ItemId=? InstanceId=?) Mime=MAIL)
SmartReply ComposeMail:SmartReply(ClientId=? Source(LongId=?) ReplaceMime Mime=MAIL)
GetAttachment AirSync:Sync
FolderSync FolderHierarchy:FolderSync(SyncKey=?)
FolderCreate FolderHierarchy:FolderCreate(SyncKey=? ParentId=? DisplayName=? Type=12)
FolderDelete FolderHierarchy:FolderDelete(SyncKey=? ServerId=?)
FolderUpdate FolderHierarchy:FolderUpdate(SyncKey=? ServerId=? ParentId=? DisplayName=?)
MoveItems Move:MoveItems(Move(SrcMsgId=? SrcFldId=? DstFldId=?) Move(SrcMsgId=? SrcFldId=? DstFldId=?))
GetHierarchy AirSync:Sync
GetItemEstimate GetItemEstimate:GetItemEstimate(Collections(Collection(AirSync:SyncKey=? CollectionId=?
    AirSync:Options(FilterType=2 Class=Email))))
MeetingResponse MeetingResponse:MeetingResponse(Request(UserResponse=1 CollectionId=? RequestId=? InstanceId=?))
Search Search:Search(Store(Name=Mailbox Query(And(AirSync:Class=Email AirSync:CollectionId=? FreeText=?
    GreaterThan(Email:DateReceived Value=2026-11-22T10:00:00.000Z))) Options(RebuildResults DeepTraversal Range=0-9)))
Search Search:Search(Store(Name=GAL Query=? Options(Range=0-9 Picture(MaxSize=100 MaxPictures=2))))
Settings Settings:Settings(Oof(Get(BodyType=Text)) UserInformation(Get) DeviceInformation(Set(Model=?)))
Settings Settings:Settings(Oof(Set(OofState=2 StartTime=2026-11-22T10:00:00.000Z EndTime=2026-11-23T10:00:00.000Z
    OofMessage(AppliesToInternal Enabled=1 ReplyMessage=? BodyType=HTML))) DevicePassword(Set(Password=?)))
Ping Ping:Ping(HeartbeatInterval=60 Folders(Folder(Id=? Class=Email) Folder(Id=? Class=Calendar)))
ItemOperations ItemOperations:ItemOperations(Fetch(Store=Mailbox AirSync:CollectionId=? AirSync:ServerId=?
    Options(Range=0-9 AirSyncBase:BodyPreference(Type=4))) Fetch(Store=Mailbox AirSyncBase:FileReference=?)
    EmptyFolderContents(AirSync:CollectionId=?) Move(ConversationId=? DstFldId=?))
Provision Provision:Provision(Settings:DeviceInformation(Set(Model=?)) Policies(Policy(
    PolicyType=MS-EAS-Provisioning-WBXML PolicyKey=? Status=1)) RemoteWipe(Status=1))
ResolveRecipients ResolveRecipients:ResolveRecipients(To=? To=? Options(CertificateRetrieval=2 MaxCertificates=5
    MaxAmbiguousRecipients=5 Availability(StartTime=2026-11-22T10:00:00.000Z EndTime=2026-11-23T10:00:00.000Z)))
ValidateCert ValidateCert:ValidateCert(CertificateChain(Certificate=?) Certificates(Certificate=?) CheckCrl=1)
Find Find:Find(SearchId=? ExecuteSearch(MailBoxSearchCriterion(Query(AirSync:Class=Email AirSync:CollectionId=?
    FreeText=?) Options(Range=0-5 DeepTraversal))))
Find Find:Find(SearchId=? ExecuteSearch(GALSearchCriterion(Query=? Options(Range=0-5 Picture(MaxSize=9)))))
"""
_WORDS = re.compile(r"=[^\s()]*|[A-Za-z0-9:]+|[()]")
_SEEDS: dict[str, list[str]] = {}
for _seed in re.split(r"\n(?=[A-Z])", _NOTATION.strip()):
    _command, _, _document = _seed.partition(" ")
    _SEEDS.setdefault(_command, []).append(_document)


class Wrong(Exception):
    """An input that the server must not answer as it did."""


class Trees:
    """Requests, first as they should be, then less and less so."""

    def __init__(self, chosen: random.Random) -> None:
        self.chosen = chosen
        #: What the server said: keys and identifiers that are worth sending back.
        self.live: list[str] = []

    def word(self) -> str:
        """An identifier that means something, or not."""
        if self.live and self.chosen.random() < 0.7:
            return self.chosen.choice(self.live)
        return self.chosen.choice(TEXTS)

    def seed(self, command: str) -> Element:
        """A request of a command as a client could send it."""
        words = _WORDS.findall(self.chosen.choice(_SEEDS[command]))
        words.reverse()
        return self._read(words, "")

    def _read(self, words: list[str], namespace: str) -> Element:
        """One element of the notation, with what lies in it."""
        name = words.pop()
        if ":" not in name:
            name = f"{namespace}:{name}"
        element = Element(name, None, [])
        if words and words[-1].startswith("="):
            value = words.pop()[1:]
            element.content = self.word() if value == "?" else MAIL if value == "MAIL" else value
        elif words and words[-1] == "(":
            words.pop()
            while words[-1] != ")":
                element.children.append(self._read(words, name.partition(":")[0]))
            words.pop()
        return element

    def spoil(self, root: Element, times: int) -> Element:
        """Change a request in some places."""
        for _ in range(times):
            places = [root]
            for place in places:
                places.extend(place.children)
            if len(places) > 2000:
                break
            self._spoil(self.chosen.choice(places), places)
        return root

    def _spoil(self, place: Element, places: list[Element]) -> None:
        chosen = self.chosen
        way = chosen.randrange(9)
        if way == 0 and place.children:
            del place.children[chosen.randrange(len(place.children))]
        elif way == 1 and place.children:
            one = chosen.choice(place.children)
            place.children += [_copy(one) for _ in range(chosen.choice((1, 2, 40)))]
        elif way == 2 and place.children:
            chosen.shuffle(place.children)
        elif way == 3:
            place.children.append(Element(chosen.choice(TAGS), self.word(), []))
        elif way == 4:
            place.content = self.word()
        elif way == 5:
            place.content = chosen.choice(BYTES)
        elif way == 6:
            deep = E(chosen.choice(TAGS), self.word())
            for _ in range(chosen.choice((2, 30, 80))):
                deep = E(chosen.choice((place.tag, chosen.choice(TAGS))), deep)
            place.children.append(_copy(deep))
        elif way == 7 and place.children:
            place.children[chosen.randrange(len(place.children))] = _copy(chosen.choice(places))
        else:
            place.content, place.children = self.word(), []


def _copy(element: Element) -> Element:
    return Element(element.tag, element.content, [_copy(child) for child in element.children])


def spoil_bytes(chosen: random.Random, data: bytes) -> bytes:
    """Change some bytes, cut, double or join."""
    found = bytearray(data)
    for _ in range(chosen.choice((1, 1, 2, 5, 20))):
        at = chosen.randrange(len(found) + 1)
        way = chosen.randrange(6)
        if way == 0 and at < len(found):
            found[at] = chosen.randrange(256)
        elif way == 1:
            found[at:at] = chosen.randbytes(chosen.choice((1, 2, 9)))
        elif way == 2:
            del found[at : at + chosen.choice((1, 3, 50))]
        elif way == 3:
            found[at:at] = found[at : at + chosen.choice((2, 20, 300))]
        elif way == 4:
            found[at:at] = chosen.choice(TOKENS)
        elif len(found) > 4:
            found[:4] = chosen.choice(
                (b"\x03\x01\x6a\x00", b"\x01\x01\x6a\x81", b"\x03\x00\x00\x6a", b"\x02\x9f\xff\x7f")
            )
    return bytes(found)


class Stage:
    """Counts what became of the inputs of one stage, and keeps the slowest."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.count = count
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    def run(self, one: Callable[[], tuple[object, Callable[[], str]]]) -> None:
        """``one`` gives an input and what to do with it; the outcome is a word."""
        began = time.perf_counter()
        for _ in range(self.count):
            shown, work = one()
            started = time.perf_counter()
            try:
                self.outcomes[work()] += 1
            except Exception:
                print(f"{self.name}: {shown!r}", file=sys.stderr)
                raise
            taken = time.perf_counter() - started
            if taken > max(SLOW, self.slowest):
                print(f"  {self.name}: {taken:.2f} s for {str(shown)[:300]}")
            self.slowest = max(self.slowest, taken)
        took = time.perf_counter() - began
        outcomes = ", ".join(f"{name} {count:,}" for name, count in self.outcomes.most_common(8))
        print(
            f"{self.name:9} {self.count:>9,} inputs in {took:6.0f} s, "
            f"slowest {self.slowest * 1000:6.1f} ms: {outcomes}",
            flush=True,
        )


def wbxml(chosen: random.Random, count: int) -> None:
    """The decoder; what it understands must be the same after writing and reading again."""
    trees = Trees(chosen)
    names = list(commands())

    def one() -> tuple[object, Callable[[], str]]:
        data = encode(trees.spoil(trees.seed(chosen.choice(names)), chosen.choice((0, 1, 3))))
        data = (
            spoil_bytes(chosen, data) if chosen.random() < 0.9 else b"\x03\x01\x6a\x00" + chosen.randbytes(80)
        )

        def work() -> str:
            try:
                root = decode(data)
            except PosthouseError as error:
                return type(error).__name__
            # The writer leaves out what XML cannot carry, once.
            written = decode(encode(root))
            if decode(encode(written)) != written:
                raise Wrong("not the same after writing and reading")
            return "tree"

        return data, work

    Stage("wbxml", count).run(one)


def queries(chosen: random.Random, count: int) -> None:
    """The query string in both forms."""

    def one() -> tuple[object, Callable[[], str]]:
        data = query(chosen, chosen.choice(list(commands())), "14.1")
        data = spoil_bytes(chosen, data)

        def work() -> str:
            try:
                return "query" if parse_query(data).device_id_valid else "query without a device"
            except PosthouseError as error:
                return type(error).__name__

        return data, work

    Stage("query", count).run(one)


def query(chosen: random.Random, command: str, version: str) -> bytes:
    """A query string that a client could send, in one of the two forms."""
    if chosen.random() < 0.5:
        return (
            f"Cmd={command}&User=a%40example.org&DeviceId=PHONE1&DeviceType=iPhone"
            + chosen.choice(
                (
                    "",
                    f"&AttachmentName={quote(chosen.choice(TEXTS))}",
                    "&SaveInSent=T",
                    "&ItemId=1&CollectionId=2",
                )
            )
        ).encode()
    code = next((number for number, name in CODES.items() if name == command), 99)
    data = bytearray((int(version.replace(".", "")), code)) + b"\x09\x04"
    for field in (b"PHONE1", b"\0\0\0\0", b"iPhone"):
        data += bytes((len(field),)) + field
    for tag in chosen.sample(range(9), chosen.randrange(3)):
        value = chosen.randbytes(chosen.randrange(9))
        data += bytes((tag, len(value))) + value
    return b64encode(bytes(data))


class Requests:
    """Whole requests, in one process and a store in memory that is made anew from time to time."""

    EVERY = 3000

    def __init__(self, chosen: random.Random) -> None:
        self.chosen = chosen
        self.trees = Trees(chosen)
        self.failures: list[Any] = []
        self.names = list(commands())
        self.done = 0
        self.room: Room | None = None
        globalLogBeginner.beginLoggingTo([self._observe], redirectStandardIO=False, discardBuffer=True)

    def _observe(self, event: Any) -> None:
        if event.get("log_level") is LogLevel.critical:
            self.failures.append(event)

    def one(self) -> tuple[object, Callable[[], str]]:
        """The next request."""
        if self.done % self.EVERY == 0:
            self._fresh()
        self.done += 1
        chosen, trees = self.chosen, self.trees
        command, version = chosen.choice(self.names), chosen.choice(VERSIONS)
        raw = b""
        if chosen.random() < 0.1:
            raw = spoil_bytes(chosen, chosen.choice(BYTES))
        else:
            raw = encode(trees.spoil(trees.seed(command), chosen.choice((0, 0, 1, 1, 2, 5))))
            if chosen.random() < 0.15:
                raw = spoil_bytes(chosen, raw)
        line = query(chosen, command, version)
        if chosen.random() < 0.05:
            line = spoil_bytes(chosen, line)
        headers = {
            "ms-asprotocolversion": version,
            "content-type": "application/vnd.ms-sync.wbxml",
            "user-agent": "Fuzz/1",
        }
        if chosen.random() < 0.1:
            headers[chosen.choice(list(headers))] = chosen.choice(TEXTS)
        if chosen.random() < 0.1:
            headers[chosen.choice(("x-ms-policykey", "ms-asacceptmultipart"))] = chosen.choice(TEXTS)
        if command in ("SendMail", "SmartReply", "SmartForward") and version < "14":
            headers["content-type"] = "message/rfc822"
        return (line, headers, raw), lambda: self._answer(line, headers, raw)

    def _fresh(self) -> None:
        self.room = room = Room(EasSettings(policy=None, requests_per_minute=1 << 30))
        self.trees.live = []
        for number in range(12):
            item = room.deliver(
                b"From: b@example.net\r\nTo: a@example.org\r\nSubject: s%d\r\n\r\nhello\r\n" % number
            )
            self.trees.live.append(f"{room.folder().number}:{item.number}")
        self.trees.live += [
            str(room.folder(kind).number)
            for kind in (FolderType.INBOX, FolderType.DRAFTS, FolderType.SENT, FolderType.DELETED)
        ]
        self.trees.live.append("0")

    def _answer(self, line: bytes, headers: dict[str, str], raw: bytes) -> str:
        room = self.room
        assert room is not None
        gone: list[Deferred[None]] = []

        def on_gone() -> Deferred[None]:
            gone.append(Deferred())
            return gone[-1]

        incoming = Incoming(
            query=line,
            header=lambda name: headers.get(name.lower(), ""),
            body=lambda: succeed(raw),
            peer="192.0.2.1",
            cid="c1",
            on_gone=on_gone,
        )
        found: list[Any] = []
        room.clock.advance(1)
        waiting = Deferred.fromCoroutine(room.pipeline.answer(room.account, incoming)).addBoth(found.append)
        waited = ""
        if not found:
            # A Ping, or a Sync that waits.
            waited = "waited, "
            room.clock.advance(3600)
            if not found:
                waiting.cancel()
        if self.failures:
            failure = self.failures[0].get("log_failure")
            raise Wrong(
                f"a traceback in the log: {failure.getTraceback() if failure is not None else self.failures[0]}"
            )
        if not found:
            raise Wrong("never answered")
        reply = found[0]
        if not hasattr(reply, "code"):
            raise Wrong(f"no answer but {reply}")
        if reply.body and reply.content_type == b"application/vnd.ms-sync.wbxml":
            self._learn(decode(reply.body))
        return f"{waited}{reply.code}"

    def _learn(self, root: Element) -> None:
        """Send back later what the server named."""
        places = [root]
        for place in places:
            places.extend(place.children)
            if place.tag.endswith(
                (":SyncKey", ":ServerId", ":DstMsgId", ":LongId", ":FileReference", ":PolicyKey")
            ):
                self.trees.live.append(place.value)
        if len(self.trees.live) > 200:
            del self.trees.live[20 : len(self.trees.live) - 150]


def main() -> None:
    """Run the three stages."""
    args = options(__doc__, seed=20261122, inputs=1_000_000)
    count = args.inputs // 10 if args.quick else args.inputs
    chosen = random.Random(args.seed)
    print(f"seed {args.seed}")
    requests = Requests(chosen)
    wbxml(chosen, count * 5 // 10)
    queries(chosen, count * 3 // 10)
    Stage("requests", count * 2 // 10).run(requests.one)


if __name__ == "__main__":
    main()
