"""The documents of both phases of Provision."""

from __future__ import annotations

from typing import Any

from posthouse.eas.policy import POLICY_TYPE
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tags import Settings
from posthouse.wbxml.tree import E, Element


def information(model: str = "Phone") -> Element:
    return E(Settings.DeviceInformation, E(Settings.Set, E(Settings.Model, model)))


def offer(version: str = "14.1", kind: str = POLICY_TYPE) -> Element:
    """Phase 1; from 14.1 on with the device's information."""
    told = information() if tuple(map(int, version.split("."))) >= (14, 1) else None
    return E(P.Provision, told, E(P.Policies, E(P.Policy, E(P.PolicyType, kind))))


def acknowledge(key: int, status: int | str = 1) -> Element:
    """Phase 2."""
    return E(
        P.Provision,
        E(
            P.Policies,
            E(P.Policy, E(P.PolicyType, POLICY_TYPE), E(P.PolicyKey, key), E(P.Status, str(status))),
        ),
    )


def policy_of(response: Any) -> Element:
    found = response.root.find(P.Policies, P.Policy)
    assert found is not None
    return found


def key_of(response: Any) -> int:
    return int(policy_of(response).text(P.PolicyKey) or 0)
