"""What the room is given from outside, and the settings that an administrator may change.

Promise: every source of time, randomness, storage and mail is an argument here; commands reach them through
`posthouse.eas.call.Call.services`.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from posthouse.eas.parking import Yard
from posthouse.eas.policy import DEFAULT_POLICY, Policy
from posthouse.eas.versions import VERSIONS, Version
from posthouse.interfaces import IAuthenticator, IBus, IDatabase, IOutbox


@frozen
class EasSettings:
    """:ivar policy: what devices have to accept; None asks nothing of them, not even Provision. For accounts
        without a policy of their own, and where there is no ``policy_name``.
    :ivar policy_name: of the policy of such accounts, looked up in the store at each request.
    :ivar hold_new: a device that comes for the first time waits for an administrator's word.
    :ivar requests_per_minute: of one device; more are answered 503 (0: no limit).
    :ivar unlimited: whether a client's address is trusted to ask as often as it likes.
    :ivar provision_449: at 14.0 and above, too, say HTTP 449 to every client that has to provision.
    :ivar ceilings: (part of the User-Agent, highest version) pairs of the administrator.
    :ivar max_request: bytes of a request body as decoded.
    :ivar max_response: bytes of mail data after which a Sync answer says MoreAvailable.
    :ivar max_attachment: bytes of an attachment that may be fetched.
    :ivar seen_every: milliseconds between two writes of "last seen" of a device.
    :ivar max_devices: partnerships of one account (status 177 beyond). A device that was not seen for
        ``stale_after`` milliseconds makes room for a new one: Outlook 2408 takes a new name at each start.
    :ivar quota: bytes of a mailbox that has none of its own; 0: no limit.
    :ivar heartbeat: seconds, least and most, of a Ping or hanging Sync.
    :ivar max_ping_folders: folders of one Ping, and collections of one Sync.
    """

    policy: Policy | None = DEFAULT_POLICY
    policy_name: str = ""
    hold_new: bool = False
    requests_per_minute: int = 0
    unlimited: Callable[[str], bool] = lambda peer: False
    provision_449: bool = False
    ceilings: tuple[tuple[str, Version], ...] = ()
    versions: tuple[Version, ...] = VERSIONS
    max_request: int = 25 << 20
    max_response: int = 1 << 20
    max_attachment: int = 50 << 20
    quota: int = 0
    seen_every: int = 300_000
    max_devices: int = 100
    stale_after: int = 30 * 24 * 3600 * 1000
    heartbeat: tuple[int, int] = (60, 3540)
    max_ping_folders: int = 200


@define(eq=False)
class Services:
    """The seams of the room.

    :ivar clock: the reactor's clock (``seconds``, ``callLater``).
    :ivar random: n -> n random bytes.
    :ivar yard: who waits and works in this process.
    :ivar pool: runs blocking work that releases the GIL: ``run(function, *args) -> Deferred``.
    """

    db: IDatabase
    bus: IBus
    outbox: IOutbox
    authenticator: IAuthenticator
    clock: IReactorTime
    random: Callable[[int], bytes]
    pool: Any = None
    settings: EasSettings = field(factory=EasSettings)
    yard: Yard = field(factory=Yard)

    def random_key(self) -> str:
        """A new SyncKey: opaque, unique over devices, collections and resets (24 characters)."""
        return urlsafe_b64encode(self.random(18)).decode("ascii")

    def random_policy_key(self) -> int:
        """A policy key: a 32-bit number (MS-ASPROV R606), never 0, which means "none"."""
        return int.from_bytes(self.random(4), "big") % 0xFFFFFFFF + 1
