"""GetAttachment: an attachment as the body of the answer, at 12.1 and below (MS-ASCMD 2.2.1.7, R6020-R6023).

Promise: what went away is HTTP 500 (R166). From 14.0 on the command does not exist; that is status 138, and since
it has no document to say so in, HTTP 400 at every version (R7559).
"""

from __future__ import annotations

import re

from posthouse.eas.call import Answer, Call
from posthouse.eas.content.attachment import read_attachment
from posthouse.eas.ids import parse_file_reference
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,80}")


@command("GetAttachment")
class GetAttachment(Command):
    """The query names it; there is no document either way."""

    until = (12, 1)
    raw_until = (12, 1)
    may_be_empty = True

    async def run(self, call: Call) -> Answer:
        named = parse_file_reference(call.query.attachment_name)
        if named is None:
            raise StatusError(Status.INVALID_IDS, f"attachment {call.query.attachment_name[:40]!r}")
        mailbox, (number, path) = call.account.mailbox_id, named
        limit = call.services.settings.max_attachment
        if call.policy is not None:
            if not call.policy.attachments_allowed:
                raise StatusError(Status.ACCESS_DENIED, "no attachments by the policy")  # ASPROV R206
            limit = call.policy.attachment_limit(limit)
        found = await call.read(lambda tx: read_attachment(tx, mailbox, number, path, limit))
        call.notes["attachment_bytes"] = len(found.data)
        kind = found.content_type if _TYPE.fullmatch(found.content_type) else "application/octet-stream"
        return Answer(body=found.data, content_type=kind)
