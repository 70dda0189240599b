/**
 * What a bot can check of its receipts by itself.
 *
 * A receipt is a promise of the log. That the log keeps it is proved against a signed checkpoint, by an
 * auditor: `JSON.stringify(receipt)` is what they need. Here a vault is caught that contradicts itself before
 * this one client: an entry that is given out twice, a leaf hash that changes, decisions whose order in the log
 * is another.
 *
 * @module
 */

import { ReceiptError } from './errors.js';
import type { ExecutedHead, Receipt, Signed } from './order.js';

/** How many receipts are remembered per log. */
const REMEMBERED = 4096;

/** The receipts that one client has seen. */
export class ReceiptBook {
  readonly #logs = new Map<string, Log>();
  #trustDomain: string | undefined;

  /**
   * Throws {@link ReceiptError} if the answer's receipt is not well formed or contradicts an earlier one. An
   * answer without receipt (a public endpoint) is taken.
   */
  check(answer: Signed | ExecutedHead): void {
    if (answer.receipt === undefined) return;
    const fault = this.#fault(answer.receipt, answer.seq, answer.requestId);
    if (fault !== undefined) {
      throw new ReceiptError(`the vault's receipt is not acceptable: ${fault}`, answer);
    }
  }

  #fault(receipt: Receipt, seq: number, requestId: string): string | undefined {
    if (receipt.leafHash.length !== 32) return 'its leaf hash is not 32 bytes';
    const domain = trustDomain(receipt.logOrigin);
    if (domain === undefined) return 'its log has no proper name';
    if (this.#trustDomain !== undefined && this.#trustDomain !== domain)
      return "it is of another vault's log";
    this.#trustDomain = domain;
    let log = this.#logs.get(receipt.logOrigin);
    if (log === undefined) this.#logs.set(receipt.logOrigin, (log = new Log()));
    return log.fault(receipt, seq, requestId);
  }
}

interface Seen {
  readonly index: number;
  readonly leafHash: string;
  readonly seq: number;
  readonly requestId: string;
}

/** Receipts of one log origin, in the order of their indices. */
class Log {
  readonly #seen: Seen[] = [];
  readonly #leafHashes = new Set<string>();

  fault(receipt: Receipt, seq: number, requestId: string): string | undefined {
    const leafHash = Buffer.from(receipt.leafHash).toString('hex');
    const place = this.#placeOf(receipt.index);
    const known = this.#seen[place];
    if (known?.index === receipt.index) {
      // The same order asked again is answered from memory.
      const same = known.leafHash === leafHash && known.seq === seq && known.requestId === requestId;
      return same ? undefined : "its entry was another request's, or has changed";
    }
    if (this.#leafHashes.has(leafHash)) return 'two entries are the same';
    // Those that are there are in order, so the neighbours speak for all.
    const before = this.#seen[place - 1]?.seq ?? 0;
    const after = known?.seq ?? seq;
    if (seq < before || seq > after) return "the log's order is not that of the decisions";
    this.#seen.splice(place, 0, { index: receipt.index, leafHash, seq, requestId });
    this.#leafHashes.add(leafHash);
    if (this.#seen.length > REMEMBERED) {
      const oldest = this.#seen.shift();
      if (oldest !== undefined) this.#leafHashes.delete(oldest.leafHash);
    }
    return undefined;
  }

  /** Of the first receipt whose index is not lower. */
  #placeOf(index: number): number {
    let [from, to] = [0, this.#seen.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#seen[middle] as Seen).index < index) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The first part of `TRUST-DOMAIN/audit/NODE/EPOCH`; `undefined` if it is no such name. */
export function trustDomain(origin: string): string | undefined {
  return /^([^/]+)\/audit\/[^/]+\/(0|[1-9]\d*)$/.exec(origin)?.[1];
}
