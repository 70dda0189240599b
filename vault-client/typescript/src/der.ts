/**
 * The little DER that is written here: a certification request without names or extensions.
 *
 * @module
 */

import { createPublicKey, sign, type KeyObject } from 'node:crypto';

const [BIT_STRING, SEQUENCE, ATTRIBUTES] = [0x03, 0x30, 0xa0];
/** `INTEGER 0`: version 1 of PKCS#10. */
const VERSION_1 = Buffer.from('020100', 'hex');
/** Source: RFC 5758, 3.2 (ecdsa-with-SHA256: 1.2.840.10045.4.3.2); RFC 8410, 3 (Ed25519: 1.3.101.112). */
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const ED25519 = Buffer.from('300506032b6570', 'hex');

/** Tag, length, content. */
function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const digits = Buffer.from(length.toString(16).padStart(length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length]), digits, content]);
}

/** SubjectPublicKeyInfo of a private or public key, DER. */
export function spki(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ format: 'der', type: 'spki' });
}

/** Signs: ECDSA P-256 with SHA-256 in ASN.1 DER, or Ed25519, as the key is. */
export function signature(key: KeyObject, message: Uint8Array): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', message, key);
}

/** A CSR of a P-256 or Ed25519 key: PKCS#10 (RFC 2986), DER, without names or extensions. */
export function certificationRequest(key: KeyObject): Buffer {
  const info = tlv(SEQUENCE, VERSION_1, tlv(SEQUENCE), spki(key), tlv(ATTRIBUTES));
  const algorithm = key.asymmetricKeyType === 'ed25519' ? ED25519 : ECDSA_WITH_SHA256;
  // The first byte of a bit string says how many bits of the last are none.
  return tlv(SEQUENCE, info, algorithm, tlv(BIT_STRING, Buffer.from([0]), signature(key, info)));
}

/** A certificate or key as PEM. */
export function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
