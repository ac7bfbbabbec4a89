"""Who is asking? HTTP's side of the authenticator."""

from __future__ import annotations

from posthouse.errors import AuthFailed
from posthouse.http.request import Request
from posthouse.interfaces import IAuthenticator
from posthouse.model import Account

__all__ = ["authenticated"]


async def authenticated(request: Request, authenticator: IAuthenticator) -> Account:
    """The account whose credentials the request carries. To be asked before anything else is looked at: a
    request without credentials gets 401 and the challenge, whatever else is wrong with it (Outlook's proxy
    needs that).

    :raises AuthFailed: none, or bad ones. :raises TooManyAttempts: throttled. :raises TryLater: busy.
        ``posthouse.http.errors.reply_for`` makes the right answers of these, challenge and Retry-After
        included.
    """
    header = request.getHeader(b"authorization")
    if not header:
        raise AuthFailed(cause="no credentials")
    account = await authenticator.check_basic(header, request.peer)
    request.site.enter(account.id, request)
    return account
