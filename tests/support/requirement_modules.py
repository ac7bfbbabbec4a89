"""Which module keeps a requirement that no module cites: by the command or the part of the protocol it speaks of."""

from __future__ import annotations

import re

_COMMANDS = {
    "Sync": "eas.commands.sync",
    "SendMail": "eas.commands.send_mail",
    "SmartForward": "eas.commands.smart",
    "SmartReply": "eas.commands.smart",
    "GetAttachment": "eas.commands.get_attachment",
    "FolderSync": "eas.commands.folder_sync",
    "FolderCreate": "eas.commands.folders",
    "FolderDelete": "eas.commands.folders",
    "FolderUpdate": "eas.commands.folders",
    "MoveItems": "eas.commands.move_items",
    "GetItemEstimate": "eas.commands.estimate",
    "GetHierarchy": "eas.registry",
    "MeetingResponse": "eas.registry",
    "Search": "eas.commands.search",
    "Find": "eas.commands.find",
    "Settings": "eas.commands.settings",
    "Ping": "eas.commands.ping",
    "ItemOperations": "eas.commands.item_operations",
    "Provision": "eas.commands.provision",
    "ResolveRecipients": "eas.commands.resolve_recipients",
    "ValidateCert": "eas.commands.validate_cert",
    "Autodiscover": "autodiscover.pox",
    "Oof": "eas.out_of_office",
    "DeviceInformation": "eas.device_information",
}
_IN = re.compile(r"\[(?:In )?([^\]]*)\]")
_COMMAND = re.compile(rf"\b({'|'.join(_COMMANDS)})\b")

#: (document, section and those below it) -> module; the longest section wins.
_SECTIONS = {
    ("MS-ASCMD", ""): "eas.grammar",
    ("MS-ASCMD", "2.2.2"): "eas.statuses",
    ("MS-ASCMD", "2.2.4"): "eas.statuses",
    ("MS-ASWBXML", ""): "wbxml.pages",
    ("MS-ASDTYPE", ""): "wbxml.tree",
    ("MS-ASHTTP", ""): "eas.endpoint",
    ("MS-ASHTTP", "2.2.1"): "eas.pipeline",
    ("MS-ASHTTP", "2.2.1.1.1"): "eas.query",
    ("MS-ASPROV", ""): "eas.commands.provision",
    ("MS-ASPROV", "2.2.2"): "eas.policy",
    ("MS-ASAIRS", ""): "eas.content.body",
    ("MS-ASEMAIL", ""): "eas.content.email",
    ("MS-ASCON", ""): "eas.commands.conversations",
    ("MS-ASCON", "2.2.2"): "eas.content.email",
    ("MS-ASCON", "3.2.5.6"): "eas.kinship",
}


def modules_of(document: str, section: str, text: str) -> list[str]:
    """The modules that keep a requirement, by its place and by what stands in its brackets."""
    found = _IN.match(text)
    if document == "MS-ASCMD" and found is not None:
        # The last name: Status (Sync), Sync command, ServerId (MoveItems).
        commands = _COMMAND.findall(found[1])
        if commands:
            return [_COMMANDS[commands[-1]]]
    parts = section.split(".")
    for length in range(len(parts), -1, -1):
        module = _SECTIONS.get((document, ".".join(parts[:length])))
        if module is not None:
            return [module]
    return []
