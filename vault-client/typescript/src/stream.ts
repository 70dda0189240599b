/**
 * Many Signs in one call that stays open.
 *
 * @module
 */

import { ProtocolError, TimedOut, Unreachable, type CountersignError } from './errors.js';
import type { SignRequest, SignResult } from './generated/vault/v1/sign_service_pb.js';
import { Pending, outcomeOf } from './many.js';
import { signRequest, type SignOrder, type SignOutcome } from './order.js';
import type { ReceiptBook } from './receipt.js';
import { SIGN_STREAM, SIGN_TIMEOUT_MS, type Connection, type Duplex } from './transport.js';

/** Orders of one stream without an outcome; the vault has as many under way, and reads no more. */
const UNDER_WAY_MAX = 64;

/** Who waits for an outcome. */
interface Taker {
  resolve(result: IteratorResult<SignOutcome, undefined>): void;
  reject(error: CountersignError): void;
}

/**
 * A stream of Signs: one call for as many orders as come while it lives. Send orders and iterate over the outcomes,
 * in whatever order the vault comes to them; each has the `requestId` of its order. Close it: leaving the iteration
 * does not.
 *
 * The vault ends a stream with its connection, after an hour: then iterating rejects with {@link Unreachable}, and
 * a new one is opened.
 */
export class SignStream implements AsyncIterable<SignOutcome>, AsyncIterator<SignOutcome, undefined> {
  readonly #receipts: ReceiptBook;
  readonly #call: Duplex<SignRequest>;
  readonly #pending = new Pending();
  /** No more than {@link UNDER_WAY_MAX}, with those under way. */
  readonly #outcomes: SignOutcome[] = [];
  readonly #takers: Taker[] = [];
  readonly #senders: (() => void)[] = [];
  #untaken = 0;
  #takesOrders = true;
  #over = false;
  #ended: CountersignError | undefined;

  /** Made by {@link Client.signStream}. */
  constructor(connection: Connection, receipts: ReceiptBook) {
    this.#receipts = receipts;
    this.#call = connection.duplex(SIGN_STREAM, {
      message: (result) => {
        this.#hear(result);
      },
      end: (error) => {
        this.#end(this.#pending.end(error));
      },
    });
  }

  /**
   * Puts an order on the stream and resolves to its id. While 64 orders have no outcome that was taken from here, it
   * waits, for `timeoutMs` at most (5,000).
   *
   * Rejects with {@link TimedOut} after that, and with {@link Unreachable} if the stream has ended: the order was
   * not sent. Rejects with `RangeError` and `TypeError` for what is no order.
   */
  async send(
    order: SignOrder,
    { timeoutMs = SIGN_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<string> {
    const request = signRequest(order);
    const { requestId } = request;
    const room = await this.#room(timeoutMs);
    if (!this.#takesOrders || !room) {
      const error = room
        ? new Unreachable('the stream has ended')
        : new TimedOut('too many orders have outcomes that nobody takes');
      throw Object.assign(error, { requestId, maybeSent: false });
    }
    this.#pending.add(requestId);
    this.#call.write(request);
    return requestId;
  }

  /** No more orders: the stream ends after the last outcome. */
  done(): void {
    if (!this.#takesOrders) return;
    this.#takesOrders = false;
    for (const enter of this.#senders.splice(0)) enter();
    this.#call.end();
  }

  /**
   * The next outcome; the end after {@link done} and the last of them. A refusal is an outcome.
   *
   * Rejects with {@link CountersignError} of the stream as a whole, which has ended: of the orders named by the
   * error's `requestIds` nobody knows whether they were signed, and the same orders under the same ids learn it.
   */
  async next(): Promise<IteratorResult<SignOutcome, undefined>> {
    const value = this.#outcomes.shift();
    if (value !== undefined) {
      this.#leave();
      return { value, done: false };
    }
    return new Promise((resolve, reject) => {
      const taker = { resolve, reject };
      if (this.#over) this.#say(taker);
      else this.#takers.push(taker);
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Gives up what has not come yet. */
  close(): void {
    this.#end(this.#pending.closed());
  }

  #hear(result: SignResult): void {
    if (this.#over) return;
    if (!this.#pending.take(result)) {
      const error = new ProtocolError("the vault's answer is not acceptable: no order has this id");
      this.#end(this.#pending.end(error));
      return;
    }
    const value = outcomeOf(result, this.#receipts);
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#outcomes.push(value);
    } else {
      this.#leave();
      taker.resolve({ value, done: false });
    }
  }

  #end(error: CountersignError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#ended = error;
    this.done();
    this.#call.cancel();
    for (const taker of this.#takers.splice(0)) this.#say(taker);
  }

  #say({ resolve, reject }: Taker): void {
    if (this.#ended === undefined) resolve({ value: undefined, done: true });
    else reject(this.#ended);
  }

  /** Whether there is room for an order, or nobody needs any, within the time. */
  async #room(timeoutMs: number): Promise<boolean> {
    if (this.#untaken < UNDER_WAY_MAX || !this.#takesOrders) {
      this.#untaken += 1;
      return true;
    }
    return new Promise((resolve) => {
      const enter = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#senders.splice(this.#senders.indexOf(enter), 1);
        resolve(false);
      }, timeoutMs);
      this.#senders.push(enter);
    });
  }

  /** An outcome is taken: its place goes to who has waited longest. */
  #leave(): void {
    const enter = this.#senders.shift();
    if (enter === undefined) this.#untaken -= 1;
    else enter();
  }
}
