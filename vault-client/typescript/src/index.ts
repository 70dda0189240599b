/**
 * Client of the Countersign vault, for bots that hold no secret.
 *
 * {@link Client} has requests signed, or executes them; `connect` of `@countersign/client/ccxt` makes an ordinary
 * ccxt exchange that trades through the vault. Every failure is a {@link CountersignError}.
 *
 * @module
 */

export { Client, ExecutedStream } from './client.js';
export {
  BadRequest,
  Conflict,
  CountersignError,
  DeadlineExceeded,
  Denied,
  Exhausted,
  IdentityError,
  Internal,
  NotFound,
  NotSent,
  OutcomeUnknown,
  ProfileError,
  ProtocolError,
  ReceiptError,
  Refused,
  Sealed,
  TimedOut,
  Unauthenticated,
  Unavailable,
  Unreachable,
  type Refusal,
} from './errors.js';
export { Identity } from './identity.js';
export {
  Receipt,
  SignedRequest,
  type Executed,
  type ExecutedHead,
  type Headers,
  type Order,
  type Params,
  type Signed,
  type SignOrder,
  type SignOutcome,
  type Value,
} from './order.js';
export { identityOf, type IdentityLike } from './profile.js';
export { SignStream } from './stream.js';
