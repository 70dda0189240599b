"""What a bot can check of its receipts by itself.

A receipt is a promise of the log. That the log keeps it is proved against a signed checkpoint, by an
auditor: :meth:`countersign.Receipt.to_json` is what they need. Here a vault is caught that contradicts
itself before this one client: an entry that is given out twice, a leaf hash that changes, decisions whose
order in the log is another.
"""

from __future__ import annotations

import bisect
import threading

from countersign.errors import ReceiptError
from countersign.order import Executed, Receipt, Signed

#: How many receipts are remembered per log.
REMEMBERED = 4096


class ReceiptBook:
    """The receipts that one client has seen. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}
        self._trust_domain: str | None = None

    def check(self, answer: Signed | Executed) -> None:
        """Raises :class:`ReceiptError` if the answer's receipt is not well formed or contradicts an earlier
        one. An answer without receipt (a public endpoint) is taken."""
        receipt = answer.receipt
        if receipt is None:
            return
        with self._lock:
            fault = self._fault(receipt, answer.seq, answer.request_id)
        if fault is not None:
            raise ReceiptError(f"the vault's receipt is not acceptable: {fault}", answer)

    def _fault(self, receipt: Receipt, seq: int, request_id: str) -> str | None:
        if len(receipt.leaf_hash) != 32:
            return "its leaf hash is not 32 bytes"
        domain = trust_domain(receipt.log_origin)
        if domain is None:
            return "its log has no proper name"
        if self._trust_domain not in (None, domain):
            return "it is of another vault's log"
        self._trust_domain = domain
        return self._logs.setdefault(receipt.log_origin, _Log()).fault(receipt, seq, request_id)


class _Log:
    """Receipts of one log origin, in the order of their indices."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._seen: dict[int, tuple[bytes, int, str]] = {}
        self._leaf_hashes: set[bytes] = set()

    def fault(self, receipt: Receipt, seq: int, request_id: str) -> str | None:
        this = (receipt.leaf_hash, seq, request_id)
        known = self._seen.get(receipt.index)
        if known is not None:
            # The same order asked again is answered from memory.
            return None if known == this else "its entry was another request's, or has changed"
        if receipt.leaf_hash in self._leaf_hashes:
            return "two entries are the same"
        # Those that are there are in order, so the neighbours speak for all.
        place = bisect.bisect_left(self._indices, receipt.index)
        before = self._seen[self._indices[place - 1]][1] if place > 0 else 0
        after = self._seen[self._indices[place]][1] if place < len(self._indices) else seq
        if not before <= seq <= after:
            return "the log's order is not that of the decisions"
        self._indices.insert(place, receipt.index)
        self._seen[receipt.index] = this
        self._leaf_hashes.add(receipt.leaf_hash)
        if len(self._indices) > REMEMBERED:
            leaf_hash, _, _ = self._seen.pop(self._indices.pop(0))
            self._leaf_hashes.remove(leaf_hash)
        return None


def trust_domain(origin: str) -> str | None:
    """The first part of ``TRUST-DOMAIN/audit/NODE/EPOCH``; ``None`` if it is no such name."""
    parts = origin.split("/")
    if len(parts) != 4 or parts[1] != "audit" or not all(parts):
        return None
    epoch = parts[3]
    return parts[0] if epoch.isascii() and epoch.isdigit() and str(int(epoch)) == epoch else None
