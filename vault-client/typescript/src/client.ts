/**
 * The client of a bot.
 *
 * @module
 */

import { create } from '@bufbuild/protobuf';
import { CountersignError, ProtocolError, TimedOut, Unreachable } from './errors.js';
import {
  ExecuteRequestSchema,
  type ExecuteRequest,
  type ExecuteStreamResponse,
} from './generated/vault/v1/execute_service_pb.js';
import { SignRequestSchema } from './generated/vault/v1/sign_service_pb.js';
import type { Identity } from './identity.js';
import { Keeper } from './keeper.js';
import { batchOf, idsOf, outcomesOf } from './many.js';
import {
  executed,
  executedHead,
  randomId,
  signed,
  venueRequest,
  type Executed,
  type ExecutedHead,
  type Order,
  type Signed,
  type SignOrder,
  type SignOutcome,
} from './order.js';
import { identityOf, type IdentityLike } from './profile.js';
import { ReceiptBook } from './receipt.js';
import { SignStream } from './stream.js';
import {
  Connection,
  EXECUTE,
  EXECUTE_STREAM,
  EXECUTE_TIMEOUT_MS,
  SIGN,
  SIGN_BATCH,
  SIGN_TIMEOUT_MS,
  type Patience,
} from './transport.js';

/**
 * A bot's connection to the vault.
 *
 * It renews its identity by itself when two thirds of the certificate's life are over, for as long as the value
 * lives, and makes its connection anew with the new one.
 */
export class Client {
  readonly #keeper: Keeper;
  readonly #receipts = new ReceiptBook();
  #connection: Connection | undefined;
  #closed = false;

  /**
   * Takes an identity, the folder of one (`{ folder }` or a file URL), the name of a profile (text), or nothing
   * for the default profile. Connects at the first call.
   *
   * Throws {@link IdentityError}, {@link ProfileError}.
   */
  constructor(identity?: IdentityLike) {
    this.#keeper = Keeper.of(identityOf(identity));
  }

  /** The identity in use. */
  get identity(): Identity {
    return this.#keeper.identity;
  }

  /**
   * Has one request signed; what comes back is sent as it stands. A connection that breaks is made anew, and the
   * request sent once more under the same id, which the vault counts once. `timeoutMs` is of each of the two
   * tries (5,000).
   *
   * Rejects with {@link Refused} and the vault's reason; anything else means that the outcome is not known, and
   * that the same order may be asked again with the error's `requestId`.
   */
  async sign(order: Order): Promise<Signed> {
    const requestId = order.requestId ?? randomId();
    const { credential } = order;
    const request = create(SignRequestSchema, { requestId, credential, request: venueRequest(order) });
    const patience = { timeoutMs: order.timeoutMs ?? SIGN_TIMEOUT_MS, signal: order.signal };
    return knownAs(requestId, async () => {
      let answer;
      try {
        answer = await this.#current().unary(SIGN, request, patience);
      } catch (error) {
        if (this.#closed || error instanceof TimedOut || !(error instanceof Unreachable)) throw error;
        answer = await this.#current().unary(SIGN, request, patience);
      }
      const read = signed(requestId, answer);
      this.#receipts.check(read);
      return read;
    });
  }

  /**
   * Has 1 to 256 requests signed in one call, each judged, counted and logged for itself. The outcomes are in the
   * order of the orders: a {@link Signed}, or what {@link sign} would have rejected with. Nothing is asked twice.
   * `timeoutMs` is for all of them (5,000).
   *
   * Rejects with {@link CountersignError} of the call as a whole: unless it is {@link Refused}, nobody knows which
   * of the orders were signed, and the same orders under the ids of the error's `requestIds` learn it. Rejects
   * with `RangeError` and `TypeError` for what is no order; nothing was asked then.
   */
  async signBatch(
    orders: Iterable<SignOrder>,
    { timeoutMs = SIGN_TIMEOUT_MS, signal }: Partial<Patience> = {},
  ): Promise<SignOutcome[]> {
    const batch = batchOf(orders);
    try {
      const answer = await this.#current().unary(SIGN_BATCH, batch, { timeoutMs, signal });
      return outcomesOf(batch, answer, this.#receipts);
    } catch (error) {
      if (error instanceof CountersignError) error.requestIds = idsOf(batch);
      throw error;
    }
  }

  /**
   * Opens a stream of Signs, which stays open when the certificate is renewed and until it is closed. That it
   * cannot be opened is what iterating rejects with.
   *
   * Throws {@link Unreachable} if the client is closed.
   */
  signStream(): SignStream {
    return new SignStream(this.#current(), this.#receipts);
  }

  /**
   * Has one request judged, signed and sent by the vault. Nothing is asked twice. The venue's own refusals are
   * responses: look at `status`. Without `timeoutMs` the call waits as long as the vault does (35 s).
   *
   * Rejects with {@link CountersignError}; its `maybeSent` says whether the venue may have the request: never
   * after {@link Denied}, always after {@link OutcomeUnknown}. The same order with the error's `requestId`
   * learns what became of it, as far as the vault knows, without being sent again.
   */
  async execute(order: Order): Promise<Executed> {
    const request = executeRequest(order);
    return knownAs(request.requestId, async () => {
      const answer = await this.#current().unary(EXECUTE, request, patienceOf(order));
      const read = executed(request.requestId, answer);
      this.#receipts.check(read);
      return read;
    });
  }

  /**
   * As {@link execute}, for responses that are too long for one message. The time is for all of it, up to the
   * last piece.
   */
  async executeStream(order: Order): Promise<ExecutedStream> {
    const request = executeRequest(order);
    return knownAs(request.requestId, async () => {
      const pieces = this.#current().stream(EXECUTE_STREAM, request, patienceOf(order));
      const first = await pieces.next();
      try {
        if (first.done || first.value.part.case !== 'head') {
          throw new ProtocolError("the vault's answer is not acceptable: a response without a head");
        }
        const head = executedHead(request.requestId, first.value.part.value);
        this.#receipts.check(head);
        return new ExecutedStream(head, pieces);
      } catch (error) {
        await pieces.return();
        throw error;
      }
    });
  }

  /**
   * Renews now and goes on with the new identity.
   *
   * Rejects with {@link CountersignError}; the old identity stays in use then.
   */
  async renew(): Promise<void> {
    await this.#keeper.renew();
  }

  /** Ends the connection; calls that are under way end first. */
  close(): void {
    this.#closed = true;
    this.#connection?.retire();
    this.#connection = undefined;
  }

  /** The connection with the newest certificate. */
  #current(): Connection {
    if (this.#closed) throw new Unreachable('the client is closed');
    const { identity } = this.#keeper;
    if (this.#connection?.identity !== identity) {
      const old = this.#connection;
      this.#connection = new Connection(identity);
      old?.retire();
    }
    return this.#connection;
  }
}

/**
 * A venue's response that comes in pieces: iterate over it for the body, once. Close it if the body is not read
 * to its end.
 */
export class ExecutedStream implements AsyncIterable<Uint8Array> {
  readonly #pieces: AsyncGenerator<ExecuteStreamResponse, void>;

  /** Made by {@link Client.executeStream}. */
  constructor(
    /** Everything but the body. */
    readonly head: ExecutedHead,
    pieces: AsyncGenerator<ExecuteStreamResponse, void>,
  ) {
    this.#pieces = pieces;
  }

  /** The pieces of the body. Rejects with {@link CountersignError} if it does not come whole. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const { part } of this.#pieces) {
        if (part.case !== 'body') {
          throw new ProtocolError("the vault's answer is not acceptable: a piece of a body is none");
        }
        yield part.value;
      }
    } catch (error) {
      throw named(error, this.head.requestId);
    }
  }

  /** The rest of the body. */
  async bytes(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** Gives up what has not come yet. */
  async close(): Promise<void> {
    await this.#pieces.return();
  }
}

function executeRequest(order: Order): ExecuteRequest {
  const { credential, requestId = randomId() } = order;
  return create(ExecuteRequestSchema, { requestId, credential, request: venueRequest(order) });
}

function patienceOf(order: Order): { timeoutMs: number; signal: AbortSignal | undefined } {
  return { timeoutMs: order.timeoutMs ?? EXECUTE_TIMEOUT_MS, signal: order.signal };
}

/** Gives errors of a call the id of its order. */
async function knownAs<T>(requestId: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw named(error, requestId);
  }
}

function named(error: unknown, requestId: string): unknown {
  if (error instanceof CountersignError) error.requestId = requestId;
  return error;
}
