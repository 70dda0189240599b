/**
 * What a batch and a stream of orders have in common: whose outcome is whose, and which are missing.
 *
 * @module
 */

import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { CountersignError, ProtocolError, Unreachable, fromFailure } from './errors.js';
import {
  SignBatchRequestSchema,
  type SignBatchRequest,
  type SignBatchResponse,
  type SignResult,
} from './generated/vault/v1/sign_service_pb.js';
import { signRequest, signed, type SignOrder, type SignOutcome } from './order.js';
import type { ReceiptBook } from './receipt.js';

/** The request of a batch. Throws as {@link signRequest}. */
export function batchOf(orders: Iterable<SignOrder>): SignBatchRequest {
  return create(SignBatchRequestSchema, { requests: Array.from(orders, signRequest) });
}

/** The ids of its orders, in their order. */
export function idsOf(batch: SignBatchRequest): string[] {
  return batch.requests.map(({ requestId }) => requestId);
}

/** What became of each. Throws {@link ProtocolError} if the results are not those of the orders. */
export function outcomesOf(
  batch: SignBatchRequest,
  answer: SignBatchResponse,
  receipts: ReceiptBook,
): SignOutcome[] {
  const ids = idsOf(batch);
  const { results } = answer;
  if (results.length !== ids.length || results.some(({ requestId }, place) => requestId !== ids[place])) {
    throw new ProtocolError("the vault's answer is not acceptable: its results are not those of the orders");
  }
  return results.map((result) => outcomeOf(result, receipts));
}

/** Reads one. A fault of it is its own: the others are as good as they were. */
export function outcomeOf({ requestId, result }: SignResult, receipts: ReceiptBook): SignOutcome {
  try {
    if (result.case === 'failure') {
      const { code, message, reason, metadata } = result.value;
      throw fromFailure(status[code] ?? 'UNKNOWN', message, reason, metadata);
    }
    if (result.case !== 'signed') {
      throw new ProtocolError("the vault's answer is not acceptable: a result without one");
    }
    const read = signed(requestId, result.value);
    receipts.check(read);
    return read;
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    error.requestId = requestId;
    return error as SignOutcome;
  }
}

/** Ids of the orders of a stream that have no outcome yet, in the order in which they were sent. */
export class Pending {
  // The same order may be asked twice at once, and is answered twice.
  readonly #ids: string[] = [];

  /** Another. */
  add(requestId: string): void {
    this.#ids.push(requestId);
  }

  /** Whether the result is anybody's. */
  take({ requestId }: SignResult): boolean {
    const place = this.#ids.indexOf(requestId);
    if (place < 0) return false;
    this.#ids.splice(place, 1);
    return true;
  }

  /** How a stream ends that ended so: as it should, only if every order has its outcome. */
  end(error: CountersignError | undefined): CountersignError | undefined {
    if (error === undefined && this.#ids.length > 0) {
      error = new ProtocolError("the vault's answer is not acceptable: outcomes are missing");
    }
    if (error !== undefined) error.requestIds = [...this.#ids];
    return error;
  }

  /** How it ends if it was closed on this side. */
  closed(): CountersignError | undefined {
    return this.#ids.length > 0 ? this.end(new Unreachable('the stream was closed', 'CANCELLED')) : undefined;
  }
}
