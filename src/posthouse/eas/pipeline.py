"""From an authenticated POST to its answer.

Promise: the same order for every command: query, version, device, access, body, grammar, policy, command;
every way out of it is an answer in the terms of the request's protocol version (MS-ASCMD 2.2.2, MS-ASHTTP
3.2.5.1), and each request leaves one line in the log, without anything out of the mail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from posthouse.eas import policy, trace, wipe
from posthouse.eas.call import Answer, Call, Result
from posthouse.eas.callers import Callers
from posthouse.eas.clients import Deviation, deviation
from posthouse.eas.encoding import decode_body, encode_answer
from posthouse.eas.flood import Flood, FloodGuard
from posthouse.eas.grammar import check
from posthouse.eas.policy import Policy
from posthouse.eas.query import Query, parse_query
from posthouse.eas.registry import SHAPES, Command, commands, failure, write_commands
from posthouse.eas.services import Services
from posthouse.eas.statuses import Status, StatusError, http_of, status_of
from posthouse.eas.versions import DEFAULT, Version, parse_version, write_version, write_versions
from posthouse.errors import Malformed, PosthouseError, TooLarge, TryLater
from posthouse.http.reply import Reply
from posthouse.model import Account, Device, DeviceAccess
from posthouse.store import devices
from posthouse.wbxml.decode import Limits
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tree import Element

WBXML = b"application/vnd.ms-sync.wbxml"
#: Customary; clients show it at most.
SERVER_VERSION = b"15.1"

_POLICY_STATUSES = frozenset(
    (
        Status.REMOTE_WIPE_REQUESTED,
        Status.LEGACY_DEVICE_ON_STRICT_POLICY,
        Status.DEVICE_NOT_PROVISIONED,
        Status.POLICY_REFRESH,
        Status.INVALID_POLICY_KEY,
    )
)


@frozen
class Incoming:
    """What the web server knows of a request.

    :ivar header: name -> value, "" when absent. :ivar body: unpacks and returns the body, bounded.
    :ivar on_gone: a new Deferred that fires when the client goes away.
    :ivar shed: body and headers are not asked for any more, but for those of `posthouse.http.request.KEPT`.
    """

    query: bytes
    header: Callable[[str], str]
    body: Callable[[], Awaitable[bytes]]
    peer: str = ""
    cid: str = ""
    on_gone: Callable[[], Deferred[None]] = lambda: Deferred()
    shed: Callable[[], None] = lambda: None


@define(eq=False)
class _Progress:
    """What is known of a request so far; an error is answered with as much as there is."""

    query: Query = field(factory=Query)
    version: Version = DEFAULT
    device: Device | None = None
    policy: Policy | None = None
    policy_key: int = 0
    barred: bool = False
    call: Call | None = None
    refused: int = 0


class Pipeline:
    """Answers the POSTs of all devices."""

    log = Logger(namespace="posthouse.eas")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self._commands = commands()
        self._limits = Limits(max_bytes=self._settings.max_request)
        self._callers = Callers(services)
        self._flood = FloodGuard(self._settings.requests_per_minute)
        self.versions = write_versions(self._settings.versions[-1])
        self.command_list = write_commands()

    async def answer(self, account: Account, incoming: Incoming) -> Reply:
        """The answer, whatever goes wrong.

        :raises CancelledError: when the client went away, and nothing else.
        """
        started = self._services.clock.seconds()
        progress = _Progress()
        try:
            reply = await self._answer(account, incoming, progress)
        except CancelledError:
            # The client went away: nobody is left to be answered.
            self.log.debug("EAS {command} of {device} left", **self._names(progress))
            raise
        except PosthouseError as error:
            reply = self._refuse(error, incoming, progress)
        except Exception:
            self.log.failure("EAS {command} of device {device} failed", **self._names(progress))
            reply = self._refuse(PosthouseError(), incoming, progress)
        finally:
            if progress.call is not None:
                self._services.yard.finish(progress.call)
        await self._record(account, incoming, progress, reply, started)
        return reply

    async def _answer(self, account: Account, incoming: Incoming, progress: _Progress) -> Reply:
        progress.query = query = parse_query(incoming.query)
        agent = incoming.header("User-Agent")[:512]
        special = self.deviation(agent)
        progress.version = self._version(query, incoming)
        progress.policy_key = _policy_key(query, incoming)
        if not query.device_id_valid:
            raise StatusError(Status.DEVICE_ID_MISSING_OR_INVALID)
        if not query.device_type_valid:
            raise StatusError(Status.DEVICE_TYPE_MISSING_OR_INVALID)
        await self._spare(account, query, incoming.peer, progress)
        known = await self._callers.known(account, query, agent, progress.version)
        progress.device = device = known.device
        progress.policy, progress.barred = known.policy, known.barred
        self._admit(device, special, progress, query.command)
        command = self._command(query, progress.version)
        progress.call = call = Call(
            services=self._services,
            account=account,
            device=device,
            version=progress.version,
            query=query,
            user_agent=agent,
            peer=incoming.peer,
            cid=incoming.cid,
            policy=progress.policy,
            policy_key=progress.policy_key,
            accept_multipart=query.accept_multipart
            or incoming.header("MS-ASAcceptMultiPart").strip().upper() == "T",
            on_gone=incoming.on_gone,
            shed=incoming.shed,
        )
        self._services.yard.begin(call)
        await self._take_body(call, command, incoming)
        if not command.without_policy(call):
            wanted = policy.demand(progress.policy, device, call.policy_key, command.name)
            if wanted:
                raise StatusError(wanted, "the device has to provision")
        if command.grammar is not None and call.request is not None:
            unknown = check(call.request, command.grammar)
            if unknown:
                call.notes["unknown"] = unknown
        return await self._encode(call, await command.run(call))

    def deviation(self, agent: str) -> Deviation:
        """The table's row for a client, and the administrator's ceiling over it."""
        special = deviation(agent)
        for part, ceiling in self._settings.ceilings:
            if part in agent and (special.ceiling is None or ceiling < special.ceiling):
                special = evolve(special, ceiling=ceiling)
        return special

    def _version(self, query: Query, incoming: Incoming) -> Version:
        text = incoming.header("MS-ASProtocolVersion")
        version = query.version if query.version is not None else parse_version(text) if text else DEFAULT
        if version is None or version not in self._settings.versions:
            raise StatusError(Status.VERSION_NOT_SUPPORTED, f"protocol version {text or version!r}")
        return version

    async def _spare(self, account: Account, query: Query, peer: str, progress: _Progress) -> None:
        """Turn a flooding device away before it costs anything.

        :raises Flood: answered 503 with Retry-After.
        """
        if self._settings.unlimited(peer):
            return
        try:
            self._flood.take((account.id, query.device_id, query.device_type), self._services.clock.seconds())
        except Flood as flood:
            if flood.first:
                # One line in the device's log for a whole flood.
                progress.device = await self._services.db.read(
                    lambda tx: devices.find_device(tx, account.id, query.device_id, query.device_type)
                )
                self.log.warn(
                    "EAS device {device} of {account} floods",
                    account=account.address,
                    **self._names(progress),
                )
            raise

    def _admit(self, device: Device, special: Deviation, progress: _Progress, command: str) -> None:
        version = progress.version
        if not wipe.admit(device, command, version):
            if progress.barred:
                raise StatusError(Status.USER_DISABLED_FOR_SYNC, "no phones for this user")  # R4869
            if device.access != DeviceAccess.ALLOWED:
                raise StatusError(Status.DEVICE_IS_BLOCKED, device.access.name.lower())
        ceiling = parse_version(device.version_ceiling) or special.ceiling
        if ceiling is not None and version > ceiling:
            raise StatusError(Status.VERSION_NOT_SUPPORTED, f"above the ceiling {write_version(ceiling)}")

    def _command(self, query: Query, version: Version) -> Command:
        command = self._commands.get(query.command)
        if command is None:
            raise StatusError(Status.COMMAND_NOT_SUPPORTED, f"command {query.command[:40]!r}")
        if not command.since <= version <= command.until:
            raise StatusError(Status.VERSION_NOT_SUPPORTED, f"{command.name} at {write_version(version)}")
        return command

    async def _take_body(self, call: Call, command: Command, incoming: Incoming) -> None:
        data = await incoming.body()
        call.notes["bytes_in"] = len(data)
        kind = incoming.header("Content-Type").partition(";")[0].strip().lower()
        if not command.takes_wbxml(call.version):
            # R4813: SendMail at 12.1 with a WBXML body.
            if data and kind.startswith("application/vnd.ms-sync"):
                raise StatusError(Status.INVALID_CONTENT, f"{kind} in place of MIME")
            call.raw = data
            return
        if call.device.trace:
            # Kept for the device log; below 14.0 a command may be MIME.
            call.raw = data
        if not data:
            if not command.may_be_empty:
                raise StatusError(Status.INVALID_CONTENT, "no body")
            return
        if kind.startswith(("text/", "message/", "multipart/")):
            raise StatusError(Status.INVALID_CONTENT, f"a body of {kind[:40]}")
        try:
            document = await decode_body(call, data, self._limits)
        except TooLarge:
            raise
        except Malformed as error:
            raise StatusError(Status.INVALID_WBXML, error.cause) from error
        if document.root.tag != SHAPES[command.name][0]:
            raise StatusError(Status.INVALID_XML, f"document {document.root.tag} for {command.name}")
        call.request = document.root
        if document.skipped:
            call.notes["skipped"] = list(document.skipped)

    async def _encode(self, call: Call, result: Result) -> Reply:
        answer = result if isinstance(result, Answer) else Answer(root=result)
        body, kind = answer.body, answer.content_type
        if answer.root is not None:
            if call.device.trace:
                await trace.record_tree(call, "answer", answer.root)
            body = await encode_answer(call, answer.root)
        # The type stands on empty answers, too: BlackBerry sent its mail again without it.
        return self._reply(answer.status, body, kind.encode() or WBXML, answer.headers)

    def _reply(
        self, status: int, body: bytes = b"", kind: bytes = b"", more: tuple[tuple[str, str], ...] = ()
    ) -> Reply:
        headers = [(b"MS-Server-ActiveSync", SERVER_VERSION)]
        headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in more]
        return Reply(body, status, kind, tuple(headers))

    def _refuse(self, error: PosthouseError, incoming: Incoming, progress: _Progress) -> Reply:
        """The answer for an error, by the version column of the table."""
        if isinstance(error, TryLater):
            progress.refused = int(Status.SERVER_ERROR_RETRY_LATER)
            more = [("Retry-After", str(max(1, round(error.after))))]
            if isinstance(error, Flood):
                more.append(("X-MS-ASThrottle", "CommandFrequency"))  # MS-ASHTTP 2.2.2.1.2.13
            return self._reply(503, more=tuple(more))
        if not progress.query.command:
            # Nothing is known of the request, so there are no terms to answer in.
            return self._reply(400)
        status = progress.refused = status_of(error)
        if progress.call is not None and error.cause:
            progress.call.notes["cause"] = error.cause
        version, command = progress.version, progress.query.command
        document = failure(command, status)
        if version < (14, 0) or document is None:
            if isinstance(error, StatusError) and status <= 100 and document is not None:
                return self._document(200, document)
            keyed = bool(progress.policy_key)
            return self._reply(http_of(status, command, keyed=keyed))
        line = 200
        if status in _POLICY_STATUSES:
            special = self.deviation(incoming.header("User-Agent"))
            if self._settings.provision_449 or special.provision_449:
                line = 449
        return self._document(line, document)

    def _document(self, line: int, document: Element) -> Reply:
        return self._reply(line, encode(document), WBXML)

    def _names(self, progress: _Progress) -> dict[str, Any]:
        device = progress.device
        return {
            "command": progress.query.command[:40],
            "device": device.device_id if device is not None else progress.query.device_id[:64],
        }

    async def _record(
        self, account: Account, incoming: Incoming, progress: _Progress, reply: Reply, started: float
    ) -> None:
        """One line per request; more of it for a device that is traced."""
        facts: dict[str, Any] = {
            **self._names(progress),
            "account": account.address,
            "version": write_version(progress.version),
            "cid": incoming.cid,
            "peer": incoming.peer,
            "http": reply.code,
            "status": progress.refused or 1,
            "bytes_out": len(reply.body) if isinstance(reply.body, bytes) else -1,
            "ms": round((self._services.clock.seconds() - started) * 1000, 1),
        }
        if progress.call is not None:
            facts.update(progress.call.notes)
        self.log.info("EAS {command} of {device}: HTTP {http}, status {status}, {ms} ms", **facts)
        if progress.device is not None:
            now = int(self._services.clock.seconds() * 1000)
            self._services.yard.note(progress.device.id, now, trace.one_line(facts))
        try:
            await trace.record_request(self._services, progress.device, progress.call, facts)
        except PosthouseError as error:
            # The answer stands, whether or not a line of log could be kept.
            self.log.warn("EAS device log not written: {error}", error=str(error))


def _policy_key(query: Query, incoming: Incoming) -> int:
    if query.policy_key is not None:
        return query.policy_key
    text = incoming.header("X-MS-PolicyKey").strip()
    # What is no number is no key: it will not match.
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return -1 if text else 0
    return int(text)
