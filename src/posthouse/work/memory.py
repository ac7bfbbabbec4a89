"""Memory that many share: what nobody gave back cannot be taken again.

The promise: never more than ``total`` bytes are out, however many ask. Used in the reactor's thread only.
"""

from __future__ import annotations

from attrs import define, field

__all__ = ["Memory"]


@define(eq=False)
class Memory:
    """A number of bytes to be lent.

    :param total: bytes that may be out at a time.
    """

    total: int
    lent: int = field(init=False, default=0)

    def take(self, size: int) -> bool:
        """Borrow so many bytes; False when there are not so many, and nothing changed."""
        if self.lent + size > self.total:
            return False
        self.lent += size
        return True

    def give(self, size: int) -> None:
        """Bring so many bytes back."""
        self.lent -= size
