"""Settings: what a device tells of itself and asks about its user (MS-ASCMD 2.2.1.18).

Promise: each property is answered with a status of its own, and nothing is accepted that has no effect here.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.eas import out_of_office
from posthouse.eas.call import Call
from posthouse.eas.device_information import keep_information
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.model import Account
from posthouse.store import accounts, devices
from posthouse.wbxml.tags import RightsManagement
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element

#: MS-ASCMD 2.2.3.177.15
OK = 1
PROTOCOL_ERROR = 2
INVALID = 5
DENIED_BY_POLICY = 7

#: Under this name lies the password that opens a device whose owner forgot his (MS-ASCMD 2.2.3.46).
RECOVERY_PASSWORD = "recovery password"
#: MS-ASCMD R3660
MOST_PASSWORD = 255

_MOST_ADDRESSES = 50


@frozen
class _User:
    """Who the user is, for UserInformation."""

    primary: str
    addresses: tuple[str, ...]


@command("Settings")
class Settings(Command):
    """Get and Set of the properties that a device may name."""

    def without_policy(self, call: Call) -> bool:
        # A device that cannot tell its model within Provision (below 14.1) tells it here, before or after.
        request = call.request
        return request is not None and all(child.tag == S.DeviceInformation for child in request.children)

    async def run(self, call: Call) -> Element:
        request = call.request
        assert request is not None
        properties = {
            S.Oof: self._oof,
            S.DeviceInformation: self._information,
            S.DevicePassword: self._password,
            S.UserInformation: self._user,
            S.RightsManagementInformation: self._rights,
        }
        wanted = [child for child in request.children if child.tag in properties]
        seen = {child.tag for child in wanted}
        if not wanted or len(seen) < len(wanted):
            raise StatusError(
                PROTOCOL_ERROR, f"{len(wanted)} properties asked for, {len(seen)} of them different"
            )
        if any(child.tag == S.DevicePassword and child.find(S.Set, S.Password) is None for child in wanted):
            # R4398, R483: of the whole command; no property is answered, and none was touched.
            raise StatusError(PROTOCOL_ERROR, "DevicePassword without a Password")
        # In the order of the request (R469, R480, R5713); that of the schema is free.
        answers = [await properties[child.tag](call, child) for child in wanted]
        call.notes["properties"] = sorted(tag.partition(":")[2] for tag in seen)
        return E(S.Settings, E(S.Status, OK), answers)

    async def _information(self, call: Call, asked: Element) -> Element:
        return E(S.DeviceInformation, E(S.Status, await keep_information(call, asked)))

    async def _password(self, call: Call, asked: Element) -> Element:
        password = asked.find(S.Set, S.Password)
        assert password is not None  # looked at before anything was done
        if len(password.value) > MOST_PASSWORD:
            return E(S.DevicePassword, E(S.Status, INVALID))  # R4400, whatever the policy says
        if call.policy is None or not call.policy.recovers_passwords:
            return E(S.DevicePassword, E(S.Status, DENIED_BY_POLICY))  # R4402
        row = call.device.id
        # R3661: the empty one takes it back.
        kept = password.value.encode() or None
        await call.write(lambda tx: devices.save_value(tx, row, RECOVERY_PASSWORD, kept))
        return E(S.DevicePassword, E(S.Status, OK))

    async def _oof(self, call: Call, asked: Element) -> Element:
        return await out_of_office.answer(call, asked)

    async def _rights(self, call: Call, asked: Element) -> Element:
        return E(
            S.RightsManagementInformation,
            E(S.Status, OK),
            E(S.Get, E(RightsManagement.RightsManagementTemplates)),
        )

    async def _user(self, call: Call, asked: Element) -> Element:
        if asked.find(S.Get) is None:
            return E(S.UserInformation, E(S.Status, PROTOCOL_ERROR))
        account: Account = call.account
        owned = await call.read(lambda tx: accounts.owned_addresses(tx, account.id))
        others = sorted(owned - {account.address})[:_MOST_ADDRESSES]
        user = _User(account.address, (account.address, *others))
        return E(S.UserInformation, E(S.Status, OK), E(S.Get, _user_body(user, call.version)))


def _user_body(user: _User, version: tuple[int, int]) -> Element:
    """Without a full SMTP address here, iOS can receive but not send (Z-Push#185)."""
    addresses = [E(S.SMTPAddress, address) for address in user.addresses]
    if version < (14, 1):
        return E(S.EmailAddresses, addresses)
    # R729: the primary account has no AccountId. PrimarySmtpAddress from 14.1 on (R6979-6981). The names are
    # left out as Exchange does (R5901, R5915).
    return E(
        S.Accounts,
        E(
            S.Account,
            E(S.EmailAddresses, addresses, E(S.PrimarySmtpAddress, user.primary)),
        ),
    )
