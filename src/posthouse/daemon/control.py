"""The control socket: what the operations of an administrator get of the running house."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from posthouse.admin.control import ControlFactory
from posthouse.admin.operations import Ports
from posthouse.auth.passwords import hash_password
from posthouse.daemon.ground import Ground
from posthouse.daemon.mail import Mail
from posthouse.daemon.preflight import now
from posthouse.daemon.web import Web
from posthouse.delivery.sorting import trial
from posthouse.eas.live import live_view, recent_view
from posthouse.mailauth.dkim_sign import make_key

__all__ = ["open_control"]


def open_control(
    ground: Ground,
    mail: Mail,
    web: Web,
    forget: Callable[[int, int], None],
    status: Callable[[], dict[str, Any]],
) -> None:
    """Listen for the ``posthouse`` command.

    :param forget: an account and its mailbox, whose credentials changed.
    :param status: the answer to "posthouse status".
    """
    config, hashing = ground.config, ground.hashing
    path = config.control_path
    ports = Ports(
        db=ground.database,
        now=now,
        random=os.urandom,
        hash_password=lambda password: hashing.run(hash_password, password, config.auth.bcrypt_cost),
        forget=forget,
        changed=mail.forget,
        run_queue=mail.runner.poke,
        status=status,
        release=web.phones.yard.release,
        live=lambda: live_view(web.phones),
        recent=lambda device: recent_view(web.phones, device),
        default_policy=config.eas.policy,
        make_key=lambda kind: hashing.run(make_key, kind),
        lookup=mail.resolver.lookup,
        hostname=config.server.hostname,
        certificate=lambda: ground.certificates.pair.certificate,
        quota=config.mailboxes.quota,
        try_rules=trial,
    )
    # We hold the database's lock: whatever lies there was left by a process that is dead.
    path.unlink(missing_ok=True)
    port = ground.reactor.listenUNIX(str(path), ControlFactory(ports), backlog=50, mode=0o600)
    ground.stages.started("control", port.stopListening)
