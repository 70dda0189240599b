/**
 * What can go wrong between a program and the vault.
 *
 * Every error of this package is a {@link CountersignError}. {@link Refused} and its kinds mean that the vault
 * heard the call and said no; with anything else that a call raises, nobody here knows what became of it, and
 * the same order may be asked again under the same `requestId`: the vault neither counts nor sends it twice.
 *
 * @module
 */

import { fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema, RetryInfoSchema, StatusSchema } from './generated/countersign/rpc_pb.js';

/** Domain of the vault's own error details. */
export const DOMAIN = 'countersign';

/** Names the class of this package that an error of another family (ccxt's) also is. */
export const ALSO: unique symbol = Symbol('countersign');

/** Everything that this package throws. */
export class CountersignError extends Error {
  /** Id of the order that the call was about, if it was about one. */
  requestId: string | undefined = undefined;
  /**
   * Of a batch or a stream as a whole: ids of its orders that have no outcome, as they were given or made, in
   * their order. The same orders under the same ids learn it.
   */
  requestIds: readonly string[] = [];
  /** Whether an Execute that ended so may have reached the venue. */
  readonly maybeSent: boolean = true;

  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }

  /** Errors of `@countersign/client/ccxt` are ccxt's and also of these classes: JavaScript has one parent only. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    const also: unknown = (value as { [ALSO]?: unknown })[ALSO];
    const held = (prototype: unknown): boolean =>
      Object.prototype.isPrototypeOf.call(this.prototype as object, prototype as object);
    if (typeof also === 'function' && (also === this || held(also.prototype))) return true;
    return held(value);
  }
}

/** An identity's folder cannot be used. Says nothing of the key. */
export class IdentityError extends CountersignError {
  override readonly maybeSent: boolean = false;
}

/** The config file has no such profile, or cannot be read. */
export class ProfileError extends CountersignError {
  override readonly maybeSent: boolean = false;
}

/** The vault answered with something that this version does not understand or does not believe. */
export class ProtocolError extends CountersignError {}

/**
 * A receipt contradicts itself or an earlier one of the same log: keep both, and show them to an auditor.
 * `answer` is what the vault answered, since what was done is done.
 */
export class ReceiptError extends ProtocolError {
  constructor(
    message: string,
    readonly answer: unknown,
  ) {
    super(message);
  }
}

/**
 * No answer of the vault: it cannot be reached, does not accept the certificate, or the connection broke.
 * `code` is gRPC's own word for it (`UNAVAILABLE`).
 */
export class Unreachable extends CountersignError {
  constructor(
    message: string,
    readonly code: string = '',
  ) {
    super(message);
  }
}

/** No answer of the vault in time, or the caller did not wait for it. */
export class TimedOut extends Unreachable {}

/** What the vault says of a refusal. */
export interface Refusal {
  /** Stable and machine-readable: `SYMBOL_NOT_GRANTED`. docs/reference/errors.md lists them. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** Kind, as gRPC names it: `PERMISSION_DENIED`. Empty if it came through the HTTPS proxy. */
  readonly code: string;
  /** The catalogue's name of the operation outside the scope; may be empty. */
  readonly operation: string;
  /** Class of that operation: `trade`; may be empty. */
  readonly operationClass: string;
  /** What may be done about it; may be empty. */
  readonly hint: string;
  /** What would change the answer, each alone: `execute`, `assume=venue_checks`, `rights=A,B`. */
  readonly remedies: readonly string[];
  /** Index of the log entry that records it. */
  readonly entryIndex: number | undefined;
  /** When to try again, if that helps, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** What was said beside these. */
  readonly more: Readonly<Record<string, string>>;
}

/** The vault heard the call and refused it. Nothing was sent to the venue, unless `maybeSent`. */
export class Refused extends CountersignError implements Omit<Refusal, 'more'> {
  override readonly maybeSent: boolean = false;

  /** `refusal` is all of it in one value. */
  constructor(
    readonly refusal: Refusal,
    about = '',
  ) {
    super(about + words(refusal));
  }

  /** As in {@link Refusal}. */
  get reason(): string {
    return this.refusal.reason;
  }

  /** As in {@link Refusal}. */
  get code(): string {
    return this.refusal.code;
  }

  /** As in {@link Refusal}. */
  get operation(): string {
    return this.refusal.operation;
  }

  /** As in {@link Refusal}. */
  get operationClass(): string {
    return this.refusal.operationClass;
  }

  /** As in {@link Refusal}. */
  get hint(): string {
    return this.refusal.hint;
  }

  /** As in {@link Refusal}. */
  get remedies(): readonly string[] {
    return this.refusal.remedies;
  }

  /** As in {@link Refusal}. */
  get entryIndex(): number | undefined {
    return this.refusal.entryIndex;
  }

  /** As in {@link Refusal}. */
  get retryAfterMs(): number | undefined {
    return this.refusal.retryAfterMs;
  }
}

/** The call has not its form. */
export class BadRequest extends Refused {}

/** The id was used for another request (`REQUEST_ID_REUSED`). */
export class Conflict extends Refused {}

/**
 * The call's time was over in the vault. Of an Execute the outcome is not known: ask again with the same
 * `requestId`.
 */
export class DeadlineExceeded extends Refused {
  override readonly maybeSent: boolean = true;
}

/**
 * Policy, or a request that the vault cannot read. The same request is denied again until somebody changes the
 * scope, the market or the request.
 */
export class Denied extends Refused {}

/**
 * Too much at once, or another client holds the credential; `retryAfterMs` says how long to wait. Nothing was
 * sent.
 */
export class Exhausted extends Refused {}

/** A defect of the vault. Of an Execute the outcome is not known. */
export class Internal extends Refused {
  override readonly maybeSent: boolean = true;
}

/** It is not there, or not yours to know. Both answer alike. */
export class NotFound extends Refused {}

/** The venue could not be reached, and not a byte was sent: the order does not exist. */
export class NotSent extends Refused {}

/**
 * The venue may have the request: the entry `entryIndex` says where it stands in the log. Ask the venue what
 * became of it, and go on with a new id; the vault sends nothing twice. Also `RESPONSE_TOO_LONG`: it was sent
 * and answered, and `Client.executeStream` takes such answers.
 */
export class OutcomeUnknown extends Refused {
  override readonly maybeSent: boolean = true;
}

/** The vault is sealed: an admin unseals it. Nothing was sent. */
export class Sealed extends Refused {}

/** The vault does not accept the identity: expired, revoked or unknown certificate. */
export class Unauthenticated extends Refused {}

/** The vault stops, or one of its processes has died. Of an Execute the outcome is not known. */
export class Unavailable extends Refused {
  override readonly maybeSent: boolean = true;
}

/** A class of refusals. */
export type RefusedClass = new (refusal: Refusal, about?: string) => Refused;

/** Reasons that say more than the kind of the failure does. */
export const BY_REASON: ReadonlyMap<string, RefusedClass> = new Map<string, RefusedClass>([
  ['AUDIT_DISK_FULL', Exhausted],
  ['CERTIFICATE_EXPIRED', Unauthenticated],
  ['CERTIFICATE_MISSING', Unauthenticated],
  ['CERTIFICATE_REVOKED', Unauthenticated],
  ['CERTIFICATE_UNKNOWN', Unauthenticated],
  ['CREDENTIAL_LEASED', Exhausted],
  ['DEADLINE_EXCEEDED', DeadlineExceeded],
  ['NOT_CONNECTED', NotSent],
  ['NOT_FOUND', NotFound],
  ['NOT_RENEWABLE', Unauthenticated],
  ['NOT_SENT', NotSent],
  ['OUTCOME_UNKNOWN', OutcomeUnknown],
  ['OVERLOADED', Exhausted],
  ['REQUEST_ID_REUSED', Conflict],
  ['RESPONSE_TOO_LONG', OutcomeUnknown],
  ['SEALED', Sealed],
  ['STREAMS_EXHAUSTED', Exhausted],
  ['WRONG_LISTENER', Unauthenticated],
]);

/** Kinds of failures, as gRPC names them. */
const BY_CODE: ReadonlyMap<string, RefusedClass> = new Map<string, RefusedClass>([
  ['ALREADY_EXISTS', Conflict],
  ['DEADLINE_EXCEEDED', DeadlineExceeded],
  ['INTERNAL', Internal],
  ['INVALID_ARGUMENT', BadRequest],
  ['NOT_FOUND', NotFound],
  ['PERMISSION_DENIED', Denied],
  ['RESOURCE_EXHAUSTED', Exhausted],
  ['UNAUTHENTICATED', Unauthenticated],
  ['UNAVAILABLE', Unavailable],
]);

/** A refusal in one line: message, reason, hint. */
export function words(refusal: Refusal): string {
  let said = refusal.message || 'refused';
  // Denials say their reason by themselves.
  if (refusal.reason && !said.endsWith(refusal.reason)) said += ` (${refusal.reason})`;
  return refusal.hint ? `${said}; ${refusal.hint}` : said;
}

/**
 * Reads a gRPC status. The vault's own refusals carry details of its domain; a status without them comes from
 * the way to the vault, and says nothing of what became of the call.
 *
 * `code` is the code's name, `details` the value of `grpc-status-details-bin`.
 */
export function fromStatus(code: string, message: string, details: Uint8Array | undefined): CountersignError {
  const refusal = details && fromDetails(code, message, details);
  if (refusal) return refused(refusal);
  if (code === 'DEADLINE_EXCEEDED') return new TimedOut('the vault did not answer in time', code);
  if (code === 'CANCELLED') return new TimedOut('the call was given up', code);
  if (code === 'UNIMPLEMENTED')
    return new ProtocolError('the vault does not serve this call at this address');
  return new Unreachable(`no answer of the vault: ${code}: ${message}`, code);
}

/**
 * Reads the vault's refusal of one among others: what {@link fromStatus} finds in a status. `code` is the code's
 * name.
 */
export function fromFailure(
  code: string,
  message: string,
  reason: string,
  metadata: Readonly<Record<string, string>>,
): Refused {
  return refused(said(code, message, reason, metadata));
}

function refused(refusal: Refusal): Refused {
  const kind = BY_REASON.get(refusal.reason) ?? BY_CODE.get(refusal.code) ?? Refused;
  return new kind(refusal);
}

function fromDetails(code: string, message: string, details: Uint8Array): Refusal | undefined {
  let info;
  let wait = 0;
  try {
    for (const detail of fromBinary(StatusSchema, details).details) {
      const name = detail.typeUrl.slice(detail.typeUrl.lastIndexOf('/') + 1);
      if (name === 'google.rpc.ErrorInfo') {
        info = fromBinary(ErrorInfoSchema, detail.value);
      } else if (name === 'google.rpc.RetryInfo') {
        const delay = fromBinary(RetryInfoSchema, detail.value).retryDelay;
        if (delay) wait = Number(delay.seconds) * 1000 + Math.floor(delay.nanos / 1_000_000);
      }
    }
  } catch {
    // What does not decode is not the vault's.
    return undefined;
  }
  return info?.domain === DOMAIN ? said(code, message, info.reason, info.metadata, wait) : undefined;
}

function said(
  code: string,
  message: string,
  reason: string,
  metadata: Readonly<Record<string, string>>,
  wait = 0,
): Refusal {
  const {
    operation = '',
    class: operationClass = '',
    hint = '',
    remedies = '',
    entry_index: entryIndex,
    retry_after_ms: retryAfterMs,
    ...more
  } = metadata;
  return {
    reason,
    message,
    code,
    operation,
    operationClass,
    hint,
    remedies: remedies.split(' ').filter((each) => each !== ''),
    entryIndex: index(entryIndex),
    retryAfterMs: milliseconds(retryAfterMs) ?? milliseconds(wait),
    more,
  };
}

/** Reads a refusal of the HTTPS proxy: its status and the decoded JSON; `undefined` if it is none. */
export function fromAnswer(status: number, answer: unknown): Refusal | undefined {
  if (status < 400 || typeof answer !== 'object' || answer === null) return undefined;
  const stated = (answer as Record<string, unknown>)[DOMAIN];
  if (typeof stated !== 'object' || stated === null) return undefined;
  const fields = stated as Record<string, unknown>;
  if (typeof fields['reason'] !== 'string') return undefined;
  const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
  return {
    reason: text('reason'),
    message: text('message'),
    code: '',
    operation: text('operation'),
    operationClass: text('class'),
    hint: text('hint'),
    remedies: Array.isArray(fields['remedies']) ? fields['remedies'].map(String) : [],
    entryIndex: index(fields['entry']),
    retryAfterMs: milliseconds(fields['retry_after_ms']),
    more: {},
  };
}

/** A number of the wire, as text or number; `undefined` for what is none. */
function index(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return Number.isSafeInteger(number) && (number as number) >= 0 ? (number as number) : undefined;
}

function milliseconds(value: unknown): number | undefined {
  const number = index(value);
  // A day is longer than any wait that helps, and short enough for every timer.
  return number ? Math.min(number, 86_400_000) : undefined;
}
