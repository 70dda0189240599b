/**
 * Signed commands, as docs/reference/formats.md of the vault draws them.
 *
 * @module
 */

import { create } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import { SignedCommandSchema, type SignedCommand } from './generated/vault/v1/common_pb.js';
import type { Identity } from './identity.js';

/** A little less than the 60 s that the vault allows, for a clock that is ahead of the vault's. */
const LIFETIME_MS = 55_000;
const NONCE_BYTES = 16;

/**
 * What the signature covers: `"countersign command v1\0" | u16 BE method length | method | serial 16 | nonce 16
 * | i64 BE expires_at_ms | u32 BE body length | body`.
 *
 * Throws `RangeError` if serial or nonce are not 16 bytes, or a part is longer than its length field can say.
 */
export function signingBytes(
  method: string,
  serial: Uint8Array,
  nonce: Uint8Array,
  expiresAtMs: bigint,
  body: Uint8Array,
): Buffer {
  if (serial.length !== 16 || nonce.length !== NONCE_BYTES)
    throw new RangeError('serial and nonce are 16 bytes');
  const name = Buffer.from(method);
  const nameLength = Buffer.alloc(2);
  nameLength.writeUInt16BE(name.length);
  const expiry = Buffer.alloc(8);
  expiry.writeBigInt64BE(expiresAtMs);
  const bodyLength = Buffer.alloc(4);
  bodyLength.writeUInt32BE(body.length);
  const head = Buffer.from('countersign command v1\0');
  return Buffer.concat([head, nameLength, name, serial, nonce, expiry, bodyLength, body]);
}

/**
 * Signs one command with the identity's key. `method` is the RPC's full name, `vault.v1.ClientService/Renew`.
 * Good for 55 s and one use.
 */
export function signedCommand(identity: Identity, method: string, body: Uint8Array): SignedCommand {
  const nonce = randomBytes(NONCE_BYTES);
  const expiresAtMs = BigInt(Date.now() + LIFETIME_MS);
  const message = signingBytes(method, identity.serial, nonce, expiresAtMs, body);
  return create(SignedCommandSchema, { method, body, nonce, expiresAtMs, signature: identity.sign(message) });
}
