"""Resources as coroutines, and who is asking."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from posthouse.errors import AuthFailed, NotPermitted, TooManyAttempts, TryLater
from posthouse.http.basic import authenticated
from posthouse.http.reply import Reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.interfaces import IAuthenticator
from posthouse.model import Account
from posthouse.work.pool import InlinePool
from tests.http.wire import Wire

ANN = Account(1, 11, "ann@example.org", "Ann", True, False)


class _Does(AsyncResource):
    """Does what the test says."""

    methods = (b"GET", b"POST")

    def __init__(self, action: Any) -> None:
        super().__init__(InlinePool())
        self.action = action

    async def answer(self, request: Request) -> Reply:
        reply: Reply = await self.action(request)
        return reply


class ResourceTests(SynchronousTestCase):
    def test_an_error_of_the_house_becomes_its_answer(self) -> None:
        async def refuse(request: Request) -> Reply:
            raise NotPermitted(cause="row 17")

        wire = Wire(_Does(refuse)).get("/")
        self.assertEqual((wire.status, b"row 17" in wire.out), (403, False))

    def test_any_other_exception_is_500_and_logged_with_the_request(self) -> None:
        async def break_down(request: Request) -> Reply:
            raise KeyError("oops")

        wire = Wire(_Does(break_down)).get("/")
        self.assertEqual((wire.status, b"oops" in wire.out), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_other_methods_are_refused(self) -> None:
        wire = Wire(_Does(None)).get("/", method="DELETE")
        self.assertEqual((wire.status, wire.headers["allow"]), (405, "GET, POST"))

    def test_a_protected_resource_challenges_other_methods_first(self) -> None:
        resource = _Does(None)
        resource.challenge_first = True
        bare = Wire(resource).get("/", method="PUT")
        self.assertEqual((bare.status, "www-authenticate" in bare.headers), (401, True))
        self.assertEqual(Wire(resource).get("/", "Authorization: Basic x", method="PUT").status, 405)

    def test_a_client_that_leaves_cancels_what_is_waited_for(self) -> None:
        cancelled: list[Any] = []

        async def wait(request: Request) -> Reply:
            await Deferred(cancelled.append)
            return Reply(b"never")

        wire = Wire(_Does(wait)).get("/")
        self.assertEqual(wire.out, b"")
        wire.lose()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(wire.out, b"")

    def test_who_waits_keeps_only_what_the_answer_depends_on(self) -> None:
        waiting: Deferred[None] = Deferred()
        seen: list[Request] = []

        async def wait(request: Request) -> Reply:
            seen.append(request)
            request.shed()
            await waiting
            return Reply(b"text " * 400, content_type=b"text/plain")

        wire = Wire(_Does(wait)).get("/a", "Cookie: " + "x" * 999, "Accept-Encoding: gzip", body=b"y" * 999)
        (request,) = seen
        self.assertEqual(
            [name for name, _ in request.requestHeaders.getAllRawHeaders()], [b"Accept-Encoding"]
        )
        self.assertEqual(request.content.read(), b"")
        waiting.callback(None)
        self.assertEqual((wire.status, wire.headers["content-encoding"]), (200, "gzip"))
        # The connection goes on.
        wire.transport.clear()
        self.assertEqual(wire.get("/b").status, 200)

    def test_an_answer_that_comes_too_late_is_dropped(self) -> None:
        stubborn: Deferred[None] = Deferred(lambda waiting: waiting.callback(None))

        async def ignore(request: Request) -> Reply:
            await stubborn
            return Reply(b"late")

        wire = Wire(_Does(ignore)).get("/")
        wire.lose()
        self.assertEqual(wire.out, b"")

    def test_something_cancelled_inside_is_an_error_of_ours(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def wait(request: Request) -> Reply:
            await waiting
            return Reply(b"never")

        wire = Wire(_Does(wait)).get("/")
        waiting.cancel()
        self.assertEqual(wire.status, 500)


@implementer(IAuthenticator)
class _Authenticator:
    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, []

    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        self.asked.append((header, peer))
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


class BasicTests(SynchronousTestCase):
    def ask(self, answer: Any, *headers: str) -> tuple[Wire, _Authenticator]:
        authenticator = _Authenticator(answer)

        async def who(request: Request) -> Reply:
            return Reply((await authenticated(request, authenticator)).address.encode())

        return Wire(_Does(who)).get("/", *headers), authenticator

    def test_no_credentials_are_challenged_without_a_check(self) -> None:
        for headers in ((), ("Authorization:",)):
            wire, authenticator = self.ask(ANN, *headers)
            self.assertEqual((wire.status, authenticator.asked), (401, []))
            self.assertEqual(wire.headers["www-authenticate"], 'Basic realm="Posthouse"')

    def test_good_credentials_name_the_account(self) -> None:
        wire, authenticator = self.ask(ANN, "Authorization: Basic YTpi")
        self.assertEqual(wire.body, b"ann@example.org")
        self.assertEqual(authenticator.asked, [(b"Basic YTpi", "192.0.2.9")])

    def test_bad_ones_are_challenged(self) -> None:
        wire, _ = self.ask(AuthFailed(), "Authorization: Basic YTpi")
        self.assertEqual((wire.status, "www-authenticate" in wire.headers), (401, True))

    def test_an_account_that_is_turned_out_loses_its_parked_requests(self) -> None:
        waiting: list[Deferred[None]] = []

        async def park(request: Request) -> Reply:
            await authenticated(request, _Authenticator(ANN))
            waiting.append(Deferred())
            await waiting[-1]
            return Reply(b"news")

        wire = Wire(_Does(park)).get("/", "Authorization: Basic YTpi")
        wire.site.turn_out(ANN.id + 1)
        self.assertFalse(wire.transport.aborted)
        wire.site.turn_out(ANN.id)
        self.assertTrue(wire.transport.aborted)
        wire.lose()
        self.assertEqual(wire.site._present, {})
        self.assertTrue(waiting[0].called)

    def test_an_answered_request_is_not_kept(self) -> None:
        wire, _ = self.ask(ANN, "Authorization: Basic YTpi")
        self.assertEqual((wire.status, wire.site._present), (200, {}))

    def test_throttled_and_busy_say_when_to_come_again(self) -> None:
        for error in (TooManyAttempts(after=42), TryLater(after=42)):
            wire, _ = self.ask(error, "Authorization: Basic YTpi")
            self.assertEqual((wire.status, wire.headers["retry-after"]), (503, "42"))
