"""Provision: the policy is downloaded, then acknowledged (MS-ASPROV 2.2.2, 3.2.5; MS-ASCMD 2.2.1.14).

Promise: a temporary key is good for acknowledging exactly the document that it came with; the final key
stays the same until the policy changes, however often a device asks.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.eas import wipe
from posthouse.eas.call import Call
from posthouse.eas.device_information import keep_information
from posthouse.eas.policy import POLICY_TYPE, Policy
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import NoSuchThing
from posthouse.model import Device
from posthouse.store import devices
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tags import Settings
from posthouse.wbxml.tree import E, Element

#: MS-ASPROV 2.2.2.54.2
PROTOCOL_ERROR = 2
#: MS-ASPROV 2.2.2.54.1
OK = 1
NO_POLICY = 2
UNKNOWN_TYPE = 3
WRONG_KEY = 5

#: What a device says in its acknowledgement (MS-ASPROV R386-389).
_APPLIED, _PARTLY, _NOT_AT_ALL, _EXTERNAL = "1", "2", "3", "4"

#: Under this name lies the digest of the document that the temporary key came with.
_PENDING = "policy"


@frozen
class _Keys:
    """What became of a request in the transaction: the Policy status, and the key to name."""

    status: int
    key: int = 0


@command("Provision")
class Provision(Command):
    """Both phases, told apart by what the request holds."""

    before_policy = True

    async def run(self, call: Call) -> Element:
        request = call.request
        assert request is not None
        information = request.find(Settings.DeviceInformation)
        policies = request.findall(P.Policies)
        erased = await wipe.answer(call, request)
        if erased is not None:
            return erased
        if request.find(P.Policy) is not None:
            raise StatusError(PROTOCOL_ERROR, "a policy outside Policies")  # ASPROV R395
        if not request.children:
            # Whoever asks whether it is to be erased, as after status 140, and is not: that is all there is to say.
            return E(P.Provision, E(P.Status, OK))
        if len(policies) > 1 or (not policies and information is None):
            raise StatusError(PROTOCOL_ERROR, "neither policy nor device information")
        told = None
        if information is not None and call.version >= (14, 1):
            told = E(
                Settings.DeviceInformation, E(Settings.Status, await keep_information(call, information))
            )
        if not policies:
            return E(P.Provision, told, E(P.Status, OK))
        asked = policies[0].findall(P.Policy)
        if len(asked) != 1 or asked[0].find(P.PolicyType) is None:
            raise StatusError(PROTOCOL_ERROR, "not exactly one policy")
        answered = await self._policy(call, asked[0], has_information=told is not None)
        return E(P.Provision, told, E(P.Status, OK), E(P.Policies, answered))

    async def _policy(self, call: Call, asked: Element, *, has_information: bool) -> Element:
        kind = asked.text(P.PolicyType) or ""
        policy = call.policy
        # MS-WAP-Provisioning-XML is of version 2.5 (R965, R971).
        if kind != POLICY_TYPE:
            return _answer(kind, UNKNOWN_TYPE)
        if policy is None:
            return _answer(kind, NO_POLICY)
        key, status = asked.find(P.PolicyKey), asked.find(P.Status)
        if key is not None and status is not None:
            return _answer(kind, await self._acknowledge(call, policy, key.value, status.value))
        # R368: with the first request; a device that has told before is not turned away for a renewed one.
        if call.version >= (14, 1) and not has_information and not call.device.information:
            raise StatusError(Status.DEVICE_INFORMATION_REQUIRED, "no DeviceInformation")
        beyond = policy.beyond(call.version)
        if beyond and not policy.allow_partial:
            # R4899: its version has no words for all that is demanded.
            raise StatusError(
                Status.DEVICE_NOT_FULLY_PROVISIONABLE, f"{beyond[0]} and {len(beyond) - 1} more"
            )
        keys = await self._offer(call, policy)
        return _answer(kind, keys, policy.document(call.version))

    async def _offer(self, call: Call, policy: Policy) -> _Keys:
        fresh, row, digest = call.services.random_policy_key(), call.device.id, policy.digest

        def offer(tx: Transaction) -> _Keys:
            device = _device(tx, row)
            if device.pending_policy_key and devices.load_value(tx, row, _PENDING) == digest.encode():
                return _Keys(OK, device.pending_policy_key)
            devices.update_device(tx, row, pending_policy_key=fresh)
            devices.save_value(tx, row, _PENDING, digest.encode())
            return _Keys(OK, fresh)

        call.notes["phase"] = "offer"
        return await call.write(offer)

    async def _acknowledge(self, call: Call, policy: Policy, key: str, status: str) -> _Keys:
        await self._accept(call, policy, status.strip())
        number = int(key) if key.isascii() and key.isdigit() and len(key) <= 10 else 0
        fresh, row, digest = call.services.random_policy_key(), call.device.id, policy.digest

        def acknowledge(tx: Transaction) -> _Keys:
            device = _device(tx, row)
            settled = device.provisioned and device.policy_hash == digest and device.policy_key
            if settled and number in (device.policy_key, device.pending_policy_key):
                # A repetition, or a renewed request while the policy is the same: the key stays.
                return _Keys(OK, device.policy_key)
            if (
                not number
                or number != device.pending_policy_key
                or devices.load_value(tx, row, _PENDING) != digest.encode()
            ):
                return _Keys(WRONG_KEY)
            devices.update_device(tx, row, policy_key=fresh, policy_hash=digest, provisioned=True)
            return _Keys(OK, fresh)

        call.notes["phase"] = "acknowledge"
        return await call.write(acknowledge)

    async def _accept(self, call: Call, policy: Policy, status: str) -> None:
        """Whether what the device says is enough (R659, R660); if not, that is remembered against this policy."""
        refused = 0
        if status in (_PARTLY, _NOT_AT_ALL) and not policy.allow_partial:
            refused = int(Status.DEVICE_NOT_FULLY_PROVISIONABLE)
        if status == _EXTERNAL and not policy.allow_external:
            refused = int(Status.EXTERNALLY_MANAGED_NOT_ALLOWED)
        if refused:
            row = call.device.id
            await call.write(
                lambda tx: devices.update_device(
                    tx, row, provisioned=False, policy_key=0, policy_hash=policy.refusal
                )
            )
            raise StatusError(refused, f"acknowledged with {status}")
        if status not in (_APPLIED, _PARTLY, _NOT_AT_ALL, _EXTERNAL):
            raise StatusError(PROTOCOL_ERROR, f"policy status {status[:10]!r}")


def _device(tx: Transaction, row: int) -> Device:
    device = devices.device_by_id(tx, row)
    if device is None:
        raise NoSuchThing(cause="the device was removed meanwhile")
    return device


def _answer(kind: str, keys: _Keys | int, document: Element | None = None) -> Element:
    """MS-ASPROV R310: PolicyType, Status, PolicyKey, Data."""
    status, key = (keys, 0) if isinstance(keys, int) else (keys.status, keys.key)
    return E(
        P.Policy,
        E(P.PolicyType, kind),
        E(P.Status, status),
        E(P.PolicyKey, key) if key else None,
        E(P.Data, document) if document is not None else None,
    )
