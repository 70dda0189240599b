/**
 * What a bot asks of the vault, and what it gets: requests, signed requests, responses, receipts.
 *
 * @module
 */

import { create } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import { ProtocolError, type Refused } from './errors.js';
import {
  HeaderSchema,
  VenueRequestSchema,
  type Header as WireHeader,
  type Receipt as WireReceipt,
  type VenueRequest,
} from './generated/vault/v1/common_pb.js';
import type { ExecuteResponse } from './generated/vault/v1/execute_service_pb.js';
import type { LimitLeft } from './generated/vault/v1/scope_service_pb.js';
import {
  SignRequestSchema,
  type SignRequest,
  type SignResponse,
} from './generated/vault/v1/sign_service_pb.js';

/** A parameter's value. Numbers must be integers: what `1e-7` means to a venue, nobody knows. Give text. */
export type Value = string | number | bigint | boolean;
/** Name and value, in the order in which they are sent. */
export type Params = Readonly<Record<string, Value>> | Iterable<readonly [string, Value]>;
/** Name and value. */
export type Headers = Readonly<Record<string, string>> | Iterable<readonly [string, string]>;

/** One request for a venue: without time, nonce, API key and signature, which the vault adds. */
export interface Order {
  /** Name of a credential in the vault; empty for a public endpoint. */
  readonly credential: string;
  /** `GET`, `POST` ... */
  readonly method: string;
  /** With `https://` or `wss://`, taken byte for byte. */
  readonly url: string;
  /** Appended to the URL's query. */
  readonly params?: Params;
  /** Taken byte for byte; text as UTF-8. */
  readonly body?: Uint8Array | string;
  /** Becomes a body without blanks; instead of `body`. */
  readonly json?: unknown;
  /** Headers that the venue wants beside those that the vault adds. */
  readonly headers?: Headers;
  /** 1 to 64 of `A-Z a-z 0-9 _ -`, unique per client; made at random if absent. */
  readonly requestId?: string;
  /** How long to wait for an answer, in milliseconds. */
  readonly timeoutMs?: number;
  /** Gives the call up. Of an Execute that is given up the outcome is not known. */
  readonly signal?: AbortSignal;
}

/** One of many requests to be signed. */
export type SignOrder = Omit<Order, 'timeoutMs' | 'signal'>;

/** Where in the log a decision stands. The entry is on disk before its receipt exists. */
export class Receipt {
  constructor(
    /** `TRUST-DOMAIN/audit/NODE/EPOCH` */
    readonly logOrigin: string,
    readonly index: number,
    /** RFC 6962 leaf hash, 32 bytes. */
    readonly leafHash: Uint8Array,
  ) {}

  /**
   * The receipt's file (`JSON.stringify(receipt)`): `vaultctl audit verify DIR --receipt FILE` proves with it
   * that an export has the entry, unchanged.
   */
  toJSON(): { index: number; leaf_hash: string; origin: string } {
    const leafHash = Buffer.from(this.leafHash).toString('hex');
    return { index: this.index, leaf_hash: leafHash, origin: this.logOrigin };
  }
}

/** A request to be sent as it stands. Its headers and URL authorise: neither is shown by `console.log`. */
export class SignedRequest {
  readonly method: string;
  readonly url!: string;
  readonly headers!: readonly (readonly [string, string])[];
  readonly body!: Uint8Array;

  constructor(
    method: string,
    url: string,
    headers: readonly (readonly [string, string])[],
    body: Uint8Array,
  ) {
    this.method = method;
    for (const [name, value] of Object.entries({ url, headers, body })) {
      Object.defineProperty(this, name, { value, enumerable: false });
    }
  }
}

/** What both kinds of answer say of a decision. */
interface Decided {
  /** The id that was given or made. */
  readonly requestId: string;
  /** Place in the order of decisions. */
  readonly seq: number;
  /** What its orders are worth at the worst price, in USD; absent: there are none, or nobody could say. */
  readonly notionalUsd: string | undefined;
  /** What is left under each cap after it, by the cap's name: `orders/1m`, `notional_usd/24h`. */
  readonly limitsLeft: ReadonlyMap<string, string>;
}

/** A signed request and where the log says so. */
export interface Signed extends Decided {
  readonly request: SignedRequest;
  /** How long the venue accepts it from now on, in milliseconds; absent: it has no expiry. */
  readonly usableForMs: number | undefined;
  readonly receipt: Receipt;
}

/**
 * What became of one order among others: signed; refused; or answered with something that is not believed. Each has
 * its `requestId`.
 */
export type SignOutcome = Signed | Refused | ProtocolError;

/** What there is of a venue's response before its body, and where the log says that the request was sent. */
export interface ExecutedHead extends Decided {
  /** The venue's HTTP status. */
  readonly status: number;
  /** Whether that is one of success. */
  readonly ok: boolean;
  /** The venue's headers, as far as the vault passes them on. */
  readonly headers: readonly (readonly [string, string])[];
  /** From the moment the vault had the request on disk until the venue's status line, in microseconds. */
  readonly latencyUs: number;
  /** Absent for a public endpoint, which is not logged. */
  readonly receipt: Receipt | undefined;
}

/** A venue's response. */
export interface Executed extends ExecutedHead {
  /** The venue's body. */
  readonly body: Uint8Array;
  /** The body as UTF-8; what is none becomes a replacement character. */
  text(): string;
  /**
   * The body as JSON. An integer beyond 2^53, which a number here cannot hold, is text: ids stay whole. Throws
   * `SyntaxError`.
   */
  json(): unknown;
}

/** A new `requestId`: 32 random hex digits. */
export function randomId(): string {
  return randomBytes(16).toString('hex');
}

/**
 * The request on the wire. Throws `TypeError` for floats, `RangeError` for what the vault would refuse anyway.
 */
export function venueRequest(order: Order): VenueRequest {
  const [, scheme, rest = ''] = /^(https|wss):\/\/(.*)$/s.exec(order.url) ?? [];
  if (scheme === undefined) throw new RangeError('the URL must begin with https:// or wss://');
  if (rest.includes('#')) throw new RangeError('the URL must not have a fragment');
  const [, host = '', path = '', query = ''] = /^([^/?]*)([^?]*)\??(.*)$/s.exec(rest) ?? [];
  if (host === '' || /[@:]/.test(host)) {
    throw new RangeError("the URL must name the venue's host, without user or port");
  }
  const pairs = pairsOf(order.params).map(([name, value]) => pair(name, value));
  return create(VenueRequestSchema, {
    method: order.method,
    scheme,
    host,
    path: path || '/',
    query: [...(query ? [query] : []), ...pairs].join('&'),
    body: bodyOf(order),
    headers: pairsOf(order.headers).map(([name, value]) => create(HeaderSchema, { name, value })),
  });
}

/** One of many. Throws as {@link venueRequest}, and `RangeError` for an id that the vault could not say again. */
export function signRequest(order: SignOrder): SignRequest {
  const { credential, requestId = randomId() } = order;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(requestId)) {
    throw new RangeError('a requestId must be 1 to 64 of A-Z a-z 0-9 _ -');
  }
  return create(SignRequestSchema, { requestId, credential, request: venueRequest(order) });
}

function pairsOf<T>(
  pairs: Readonly<Record<string, T>> | Iterable<readonly [string, T]> | undefined,
): (readonly [string, T])[] {
  if (pairs === undefined) return [];
  return Symbol.iterator in pairs
    ? [...(pairs as Iterable<readonly [string, T]>)]
    : Object.entries(pairs as Readonly<Record<string, T>>);
}

function pair(name: string, value: Value): string {
  if (!isWhole(value)) throw new TypeError(`parameter ${name} must be text, an integer or a boolean`);
  const text = String(value);
  if (!/^[!-~]*$/.test(name + text) || /[&=%#+]/.test(name + text)) {
    throw new RangeError(`parameter ${name} needs an escape, which the vault does not take`);
  }
  return `${name}=${text}`;
}

function isWhole(value: unknown): boolean {
  return ['string', 'bigint', 'boolean'].includes(typeof value) || Number.isSafeInteger(value);
}

function bodyOf(order: Order): Uint8Array {
  if (order.json === undefined) {
    return typeof order.body === 'string'
      ? new TextEncoder().encode(order.body)
      : (order.body ?? new Uint8Array());
  }
  if (order.body !== undefined) throw new TypeError('give body or json, not both');
  return new TextEncoder().encode(jsonOf(order.json));
}

/** JSON without blanks, with big integers as they are. */
function jsonOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (isWhole(value)) return String(value);
  if (typeof value === 'object') {
    const fields = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${fields.map(([name, each]) => `${JSON.stringify(name)}:${jsonOf(each)}`).join(',')}}`;
  }
  throw new TypeError('a value of json must be text, an integer, a boolean, null, a list or an object');
}

/** Reads an answer. Throws {@link ProtocolError}. */
export function signed(requestId: string, answer: SignResponse): Signed {
  const { request, receipt } = answer;
  if (request === undefined || receipt === undefined) throw unacceptable('a part is missing');
  const usableForMs = answer.usableForMs === undefined ? undefined : whole(answer.usableForMs);
  return {
    requestId,
    request: new SignedRequest(request.method, request.url, headersOf(request.headers), request.body),
    usableForMs,
    receipt: receiptOf(receipt),
    seq: whole(answer.seq),
    notionalUsd: decimal(answer.notionalUsd),
    limitsLeft: limitsOf(answer.limitsLeft),
  };
}

/** Reads all of an answer but its body. Throws {@link ProtocolError}. */
export function executedHead(requestId: string, answer: ExecuteResponse): ExecutedHead {
  const { status, execution } = answer;
  if (status < 100 || status > 999) throw unacceptable('a status is none of HTTP');
  return {
    requestId,
    status,
    ok: status >= 200 && status < 300,
    headers: headersOf(answer.headers),
    latencyUs: whole(answer.latencyUs),
    receipt: execution?.receipt && receiptOf(execution.receipt),
    seq: whole(execution?.seq ?? 0n),
    notionalUsd: decimal(execution?.notionalUsd ?? ''),
    limitsLeft: limitsOf(execution?.limitsLeft ?? []),
  };
}

/** Reads an answer. Throws {@link ProtocolError}. */
export function executed(requestId: string, answer: ExecuteResponse): Executed {
  const { body } = answer;
  const text = (): string => new TextDecoder().decode(body);
  return { ...executedHead(requestId, answer), body, text, json: () => parsed(text()) };
}

/** JSON in which integers that a number cannot hold have become text. */
function parsed(text: string): unknown {
  const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
  return JSON.parse(
    text.replace(token, (found) =>
      /^-?\d{16,}$/.test(found) && !Number.isSafeInteger(Number(found)) ? `"${found}"` : found,
    ),
  );
}

function headersOf(headers: readonly WireHeader[]): (readonly [string, string])[] {
  return headers.map(({ name, value }) => [name, value] as const);
}

function receiptOf(receipt: WireReceipt): Receipt {
  return new Receipt(receipt.logOrigin, whole(receipt.index), receipt.leafHash);
}

function limitsOf(limits: readonly LimitLeft[]): ReadonlyMap<string, string> {
  return new Map(limits.map(({ limit, left }) => [limit, decimal(left) ?? '']));
}

function decimal(text: string): string | undefined {
  if (text === '') return undefined;
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw unacceptable('a number is none');
  return text;
}

function whole(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw unacceptable('a number is beyond 2^53');
  return number;
}

function unacceptable(what: string): ProtocolError {
  return new ProtocolError(`the vault's answer is not acceptable: ${what}`);
}
