"""Who is it? One answer for SMTP and every HTTP room (``IAuthenticator``).

The promise: a phone's Basic header, checked before, costs microseconds; an app password costs one database
read; only a password that nobody has shown to this process costs bcrypt, in a thread, one check per account
at a time, behind a bounded queue. Unknown, wrong and disabled take the same time and raise the same error. A
changed password or a disabled account counts from the moment that ``forget`` is called, also for checks that
were under way.

The order is: throttle, memory, app password, bcrypt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from posthouse.auth.basic import MAX_HEADER, parse_basic
from posthouse.auth.cache import Remembered, Successes, keyed_digest
from posthouse.auth.passwords import app_password_digest, dummy_hash, verify
from posthouse.auth.throttle import Clock, Throttle
from posthouse.errors import AuthFailed, TryLater
from posthouse.interfaces import IAuthenticator, IDatabase
from posthouse.model import Account

__all__ = ["Accounts", "Authenticator", "LoginSettings"]

_log = Logger("posthouse.auth")

MAX_LOGIN = 512
MAX_PASSWORD = 4096


class Accounts(Protocol):
    """What is asked of the store; the module ``posthouse.store.accounts`` is one of these."""

    def find_login(self, tx: Any, login: str) -> Account | None: ...

    def password_hash(self, tx: Any, account_id: int) -> str: ...

    def account_for_app_password(self, tx: Any, digest: bytes) -> int | None: ...

    def touch_app_password(self, tx: Any, digest: bytes, now: int) -> None: ...


class Pool(Protocol):
    """Runs bcrypt elsewhere; see ``posthouse.work.pool.IPool``."""

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]: ...


@frozen
class LoginSettings:
    """:param cost: of bcrypt, for the dummy check of unknown users: the same as for new passwords.
    :param fresh_for: seconds in which a success answers without a look at the database.
    :param repeat_for: seconds in which the same wrong password is refused without another bcrypt.
    :param queue_per_account: checks of one account that may wait for their turn.
    """

    cost: int = 12
    fresh_for: float = 600.0
    repeat_for: float = 60.0
    remembered: int = 20_000
    queue_per_account: int = 16
    busy_after: float = 10.0


@frozen
class _Seen:
    """What one read of the database says about a login."""

    account: Account | None
    stored: str
    app: bytes | None  # the digest, when the password is an app password of this account


@define(eq=False)
class _Turn:
    """The queue in front of one account."""

    lock: DeferredLock = field(factory=DeferredLock)
    waiting: int = 0


@implementer(IAuthenticator)
@define(eq=False)
class Authenticator:
    """:param key: random bytes of this process (``os.urandom(32)``)."""

    _db: IDatabase
    _accounts: Accounts
    _pool: Pool
    _throttle: Throttle
    _clock: Clock
    _key: bytes = field(repr=False)
    settings: LoginSettings = LoginSettings()
    _successes: Successes = field(init=False)
    # Digest of a wrong (login, password) -> when bcrypt last said so. Repeats are no guesses: a phone that
    # was not told of a new password must neither lock its owner out nor keep a core busy.
    _refused: OrderedDict[bytes, float] = field(init=False, factory=OrderedDict)
    _flights: dict[bytes, list[Deferred[Account]]] = field(init=False, factory=dict)
    _turns: dict[int | str, _Turn] = field(init=False, factory=dict)
    _forgotten: dict[int, int] = field(init=False, factory=dict)  # account -> how often: its generation
    _touched: OrderedDict[bytes, float] = field(init=False, factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        self._successes = Successes(self.settings.remembered)

    # -- IAuthenticator

    def check_password(self, login: str, password: bytes, peer: str) -> Deferred[Account]:
        if not login or len(login) > MAX_LOGIN or len(password) > MAX_PASSWORD or "\0" in login:
            return fail(AuthFailed(cause="login or password of impossible size"))
        digest = self._digest(b"login", login.encode("utf-8", "surrogatepass"), password)
        return self._remembered(digest, peer) or self._join(digest, login, (password,), peer)

    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        if len(header) > MAX_HEADER:
            return fail(AuthFailed(cause="header of impossible size"))
        digest = self._digest(b"basic", header)
        answer = self._remembered(digest, peer)
        if answer is not None:
            return answer
        try:
            credentials = parse_basic(header)
        except AuthFailed as error:
            return fail(error)
        if not credentials.login or len(credentials.login) > MAX_LOGIN or "\0" in credentials.login:
            return fail(AuthFailed(cause="login of impossible size"))
        return self._join(digest, credentials.login, credentials.passwords, peer)

    def forget(self, account_id: int) -> None:
        self._forgotten[account_id] = self._forgotten.get(account_id, 0) + 1
        self._successes.forget(account_id)
        # Which of these were this account's is not known, and a wrong password costs only one more check.
        for digest in self._refused:
            self._refused[digest] = float("-inf")

    # -- memory

    def _digest(self, kind: bytes, *parts: bytes) -> bytes:
        return keyed_digest(self._key, kind, *parts)

    def _remembered(self, digest: bytes, peer: str) -> Deferred[Account] | None:
        entry = self._successes.get(digest)
        if entry is None or entry.expires <= self._clock.seconds():
            return None
        try:
            # Also for a remembered password: else one could go on guessing against the memory.
            self._throttle.check(peer, entry.account.id)
        except TryLater:
            return fail(Failure())
        return succeed(entry.account)

    # -- checks under way

    def _join(self, digest: bytes, login: str, passwords: tuple[bytes, ...], peer: str) -> Deferred[Account]:
        """Wait for the check of these credentials; begin it if nobody has."""
        try:
            self._throttle.check_address(peer)
        except TryLater:
            return fail(Failure())
        if self._refused_lately(digest):
            return fail(AuthFailed(cause="the same as just before"))
        # The peer is part of the name: what is throttled for one address is not for another.
        name = self._digest(b"flight", digest, peer.encode("utf-8", "replace"))
        waiting = self._flights.get(name)
        begin = waiting is None
        if waiting is None:
            waiting = self._flights[name] = []
        # Somebody who goes away leaves the others and the check alone.
        answer: Deferred[Account] = Deferred(waiting.remove)
        waiting.append(answer)
        if begin:
            flight = Deferred.fromCoroutine(self._check(digest, login, passwords, peer))
            flight.addBoth(self._landed, name)
        return answer

    def _landed(self, result: Account | Failure, name: bytes) -> None:
        for answer in self._flights.pop(name):
            answer.callback(result)
        if isinstance(result, Failure):
            result.cleanFailure()

    async def _check(self, digest: bytes, login: str, passwords: tuple[bytes, ...], peer: str) -> Account:
        for _ in range(3):
            seen = await self._look(login, passwords)
            key: int | str = seen.account.id if seen.account else login.casefold()
            self._throttle.check(peer, key)
            generation = self._forgotten.get(seen.account.id, 0) if seen.account else 0
            good = seen.app is not None or self._still_good(digest, seen)
            if not good:
                turn = await self._turn(key)
                try:
                    good = await self._prove(digest, seen, passwords, peer, key)
                finally:
                    self._leave(key, turn)
            if seen.account is not None and self._forgotten.get(seen.account.id, 0) != generation:
                continue  # the password or the account changed meanwhile: nothing of this counts
            if not good or seen.account is None or not seen.account.enabled:
                raise self._refuse(digest, seen, peer, key)
            self._throttle.succeeded(peer, key)
            self._refused.pop(digest, None)
            proof = seen.app if seen.app is not None else seen.stored
            expires = self._clock.seconds() + self.settings.fresh_for
            self._successes.put(digest, Remembered(seen.account, proof, expires))
            if seen.app is not None:
                self._touch(seen.app)
            return seen.account
        raise TryLater(cause="the account keeps changing", after=1.0)

    async def _look(self, login: str, passwords: tuple[bytes, ...]) -> _Seen:
        apps = [app for app in map(app_password_digest, passwords) if app is not None]

        def read(tx: Any) -> _Seen:
            account = self._accounts.find_login(tx, login)
            if account is None:
                return _Seen(None, "", None)
            mine = (app for app in apps if self._accounts.account_for_app_password(tx, app) == account.id)
            return _Seen(account, self._accounts.password_hash(tx, account.id), next(mine, None))

        seen: _Seen = await self._db.read(read)
        if seen.account is None or not seen.account.enabled:
            # A disabled account is looked at no further, and takes the time of a wrong password.
            seen = evolve(seen, stored=dummy_hash(self.settings.cost), app=None)
        return seen

    def _still_good(self, digest: bytes, seen: _Seen) -> bool:
        entry = self._successes.get(digest)
        if entry is None or seen.account is None:
            return False
        if entry.account.id == seen.account.id and entry.proof == seen.stored:
            return True
        self._successes.drop(digest)
        return False

    async def _prove(
        self, digest: bytes, seen: _Seen, passwords: tuple[bytes, ...], peer: str, key: int | str
    ) -> bool:
        """bcrypt, in its turn. False without bcrypt where the same credentials failed just before."""
        if self._still_good(digest, seen):
            return True  # whoever was before us in the queue had the same credentials
        # Those before us may have used the attempts up.
        self._throttle.check(peer, key)
        if self._refused_lately(digest):
            return False
        good: bool = await self._pool.run(_any_fits, passwords, seen.stored)
        return good

    def _refused_lately(self, digest: bytes) -> bool:
        failed_at = self._refused.get(digest)
        return failed_at is not None and self._clock.seconds() - failed_at < self.settings.repeat_for

    def _refuse(self, digest: bytes, seen: _Seen, peer: str, key: int | str) -> AuthFailed:
        repeated = digest in self._refused
        now = self._clock.seconds()
        if not self._refused_lately(digest):
            self._refused[digest] = now
            self._refused.move_to_end(digest)
        while len(self._refused) > self.settings.remembered:
            self._refused.popitem(last=False)
        if not repeated:
            self._throttle.failed(peer, key)
            # An unknown login is not written down: people type passwords into the wrong field.
            who = seen.account.address if seen.account else "an unknown user"
            _log.info("login refused for {who} from {peer}", who=who, peer=peer or "here")
        return AuthFailed(cause="wrong" if seen.account and seen.account.enabled else "unknown or disabled")

    # -- one at a time

    async def _turn(self, key: int | str) -> _Turn:
        turn = self._turns.setdefault(key, _Turn())
        if turn.waiting > self.settings.queue_per_account:
            raise TryLater(cause="too many checks wait for one account", after=self.settings.busy_after)
        turn.waiting += 1
        await turn.lock.acquire()
        return turn

    def _leave(self, key: int | str, turn: _Turn) -> None:
        turn.waiting -= 1
        if not turn.waiting:
            self._turns.pop(key, None)
        turn.lock.release()

    # -- app passwords

    def _touch(self, app: bytes) -> None:
        """Write down, at most hourly, that an app password is in use."""
        now = self._clock.seconds()
        if now - self._touched.get(app, float("-inf")) < 3600:
            return
        self._touched[app] = now
        self._touched.move_to_end(app)
        while len(self._touched) > self.settings.remembered:
            self._touched.popitem(last=False)
        written = self._db.write(lambda tx: self._accounts.touch_app_password(tx, app, int(now * 1000)))
        written.addErrback(
            lambda failure: _log.warn("cannot note the use of an app password: {e}", e=failure.value)
        )


def _any_fits(passwords: tuple[bytes, ...], stored: str) -> bool:
    return any(verify(password, stored) for password in passwords)
