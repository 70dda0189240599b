/**
 * An identity: the folder that `vaultctl enroll` makes, with a key, its certificate, the CA and what was pinned.
 *
 * Rust, Python and this package may share a folder, also while one of them renews it: all lock and rename alike.
 *
 * @module
 */

import {
  X509Certificate,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { inspect } from 'node:util';
import { certificationRequest, pem, signature, spki } from './der.js';
import { IdentityError, ProtocolError } from './errors.js';
import * as files from './folder.js';

const KEY_FILE = 'key.pem';
const CERTIFICATE_FILE = 'cert.pem';
const CA_FILE = 'ca.pem';
const ABOUT_FILE = 'identity.json';

const ROLES = ['admin', 'auditor', 'bot', 'guard', 'pricer'];
/** Extended key usage: TLS client authentication. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

interface About {
  readonly name: string;
  readonly role: string;
  readonly address: string;
  readonly caFingerprint: Buffer;
  readonly coreFingerprint: Buffer;
  readonly instanceId: Buffer;
}

/** Who a program is to one vault, and how that vault is known again. `console.log` shows no key of it. */
export class Identity {
  /** Where it lies. */
  readonly folder: string;
  /** Name of the client. */
  readonly name: string;
  /** `bot` or `pricer`; operators have `admin`, `auditor` or `guard`. */
  readonly role: string;
  /** `host:port` of the vault's listener for this role. */
  readonly address: string;
  /** SHA-256 of the CA certificate, 32 bytes. */
  readonly caFingerprint: Buffer;
  /** SHA-256 of the core's public key, pinned at enrolment, 32 bytes. */
  readonly coreFingerprint: Buffer;
  /** The vault's instance, 16 bytes. */
  readonly instanceId: Buffer;
  /** Serial of the certificate, 16 bytes. */
  readonly serial: Buffer;
  /** From when the certificate is valid. */
  readonly notBefore: Date;
  /** Until when the certificate is valid. */
  readonly notAfter: Date;
  readonly #about: About;
  readonly #key: KeyObject;
  readonly #certificate: X509Certificate;
  readonly #ca: X509Certificate;

  private constructor(
    folder: string,
    about: About,
    key: KeyObject,
    certificate: X509Certificate,
    ca: X509Certificate,
  ) {
    this.folder = folder;
    this.name = about.name;
    this.role = about.role;
    this.address = about.address;
    this.caFingerprint = about.caFingerprint;
    this.coreFingerprint = about.coreFingerprint;
    this.instanceId = about.instanceId;
    this.serial = serialOf(certificate) ?? Buffer.alloc(16);
    this.notBefore = new Date(certificate.validFrom);
    this.notAfter = new Date(certificate.validTo);
    this.#about = about;
    this.#key = key;
    this.#certificate = certificate;
    this.#ca = ca;
  }

  /**
   * Reads an identity from its folder. A renewal that was cut short by a crash is finished first.
   *
   * Throws {@link IdentityError}.
   */
  static load(folder: string): Identity {
    // Without a lock, since each file is renamed whole: a renewal that swaps one of them just now is seen.
    if (!files.isThere(files.withNew(join(folder, CERTIFICATE_FILE)))) {
      const identity = Identity.#read(folder);
      if (identity !== undefined) return identity;
    }
    return files.lockedSync(join(folder, ABOUT_FILE), () => {
      finishRenewal(folder);
      return Identity.#readWhole(folder);
    });
  }

  /** Reads the files as they are; `undefined` if key and certificate do not belong together. */
  static #read(folder: string): Identity | undefined {
    const about = aboutOf(join(folder, ABOUT_FILE));
    const ca = certificateOf(join(folder, CA_FILE));
    if (!sha256(ca.raw).equals(about.caFingerprint)) throw notValid(join(folder, CA_FILE));
    const key = keyOf(join(folder, KEY_FILE));
    const certificate = certificateOf(join(folder, CERTIFICATE_FILE));
    if (serialOf(certificate) === undefined) throw notValid(join(folder, CERTIFICATE_FILE));
    if (!spki(certificate.publicKey).equals(spki(key))) return undefined;
    return new Identity(folder, about, key, certificate, ca);
  }

  static #readWhole(folder: string): Identity {
    const identity = Identity.#read(folder);
    if (identity === undefined) {
      throw new IdentityError(`key and certificate in ${folder} do not belong together`);
    }
    return identity;
  }

  /** The same with another `host:port`, for this value only; the folder stays as it is. */
  withAddress(address: string): Identity {
    const [, host = '', port = ''] = /^(\[[^\][]+\]|[^:[\]/@?# ]+):(\d{1,5})$/.exec(address) ?? [];
    if (host === '' || Number(port) < 1 || Number(port) > 65_535 || /[/@?# ]/.test(host)) {
      throw new IdentityError('the address is not host:port');
    }
    return new Identity(this.folder, { ...this.#about, address }, this.#key, this.#certificate, this.#ca);
  }

  /** When two thirds of the certificate's life are over. */
  get renewalAt(): Date {
    const life = Math.max(this.notAfter.getTime() - this.notBefore.getTime(), 0);
    return new Date(this.notBefore.getTime() + (life * 2) / 3);
  }

  /** Whether two thirds of the certificate's life are over. */
  needsRenewal(now: Date = new Date()): boolean {
    return now >= this.renewalAt;
  }

  /** Signs: ECDSA P-256 with SHA-256 in ASN.1 DER, or Ed25519, as the key is. */
  sign(message: Uint8Array): Buffer {
    return signature(this.#key, message);
  }

  /** What a TLS library needs: certificate, private key (never for a log) and the vault's CA, PEM. */
  tls(): { cert: string; key: string; ca: string; minVersion: 'TLSv1.3' } {
    return {
      cert: pem('CERTIFICATE', this.#certificate.raw),
      key: this.#key.export({ format: 'pem', type: 'pkcs8' }) as string,
      ca: pem('CERTIFICATE', this.#ca.raw),
      minVersion: 'TLSv1.3',
    };
  }

  /** A context for TLS 1.3 to the vault: the identity's certificate, and no CA but the vault's. */
  secureContext(): SecureContext {
    return createSecureContext(this.tls());
  }

  /** Something that differs as soon as another renewal has put its certificate into the folder. */
  stamp(): string {
    const path = join(this.folder, CERTIFICATE_FILE);
    const { ino, mtimeNs, size } = files.io(path, () => statSync(path, { bigint: true }));
    return `${ino} ${mtimeNs} ${size}`;
  }

  [inspect.custom](): string {
    return `Identity { name: '${this.name}', role: '${this.role}', folder: '${this.folder}' }`;
  }

  /**
   * Gets a certificate for a new key and puts both into the folder. The old ones stay as they are until the new
   * ones are on disk. If another process renews the same folder at the same time, its result is taken. `ask`
   * sends the CSR (DER) to the vault and returns the certificates, DER.
   *
   * Throws {@link CountersignError}; the folder still holds the old identity then.
   */
  async renewed(
    ask: (csr: Buffer) => Promise<{ certificate: Uint8Array; caCertificate: Uint8Array }>,
  ): Promise<Identity> {
    return files.locked(join(this.folder, CA_FILE), async () => {
      const there = Identity.load(this.folder).withAddress(this.address);
      if (!there.serial.equals(this.serial) && there.notAfter >= this.notAfter) return there;
      const key =
        this.#key.asymmetricKeyType === 'ed25519'
          ? generateKeyPairSync('ed25519').privateKey
          : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
      const path = files.withNew(join(this.folder, KEY_FILE));
      files.write(path, key.export({ format: 'pem', type: 'pkcs8' }), files.SECRET_MODE);
      let certificate;
      try {
        const answer = await ask(certificationRequest(key));
        certificate = this.#checked(answer.certificate, answer.caCertificate, key);
      } catch (error) {
        // The old identity is whole; the unused key is of no use to anybody.
        files.remove(path);
        throw error;
      }
      return this.#putInPlace(certificate).withAddress(this.address);
    });
  }

  #checked(der: Uint8Array, ca: Uint8Array, key: KeyObject): X509Certificate {
    const unacceptable = (what: string): ProtocolError =>
      new ProtocolError(`the vault's answer is not acceptable: ${what}`);
    if (!sha256(ca).equals(this.caFingerprint)) throw unacceptable('its CA is another one');
    let certificate;
    try {
      certificate = new X509Certificate(der);
    } catch {
      throw unacceptable('its certificate is not valid');
    }
    // `undefined` without the extension, whatever the types say.
    const usage = certificate.keyUsage as string[] | undefined;
    const fits =
      certificate.checkIssued(this.#ca) &&
      certificate.verify(this.#ca.publicKey) &&
      (usage === undefined || usage.includes(CLIENT_AUTH)) &&
      serialOf(certificate) !== undefined;
    if (!fits) throw unacceptable('its certificate is not valid');
    if (!spki(certificate.publicKey).equals(spki(key)))
      throw unacceptable('its certificate is for another key');
    return certificate;
  }

  #putInPlace(certificate: X509Certificate): Identity {
    const { folder } = this;
    const path = join(folder, CERTIFICATE_FILE);
    const key = join(folder, KEY_FILE);
    return files.lockedSync(join(folder, ABOUT_FILE), () => {
      files.write(files.withNew(path), pem('CERTIFICATE', certificate.raw), files.PLAIN_MODE);
      files.rename(files.withNew(path), path);
      // From here on the new key is needed, whatever happens.
      files.rename(files.withNew(key), key);
      return Identity.#readWhole(folder);
    });
  }
}

/**
 * Puts the files of a renewal into place, as far as a crash left it undone. The certificate goes first; so the
 * states to be met are: both new files; a new key whose certificate is in place. A new certificate is written
 * only under the lock that the caller holds, so one that is there is nobody else's work in progress.
 */
function finishRenewal(folder: string): void {
  const [key, certificate] = [join(folder, KEY_FILE), join(folder, CERTIFICATE_FILE)];
  const [newKey, newCertificate] = [files.withNew(key), files.withNew(certificate)];
  let half: Buffer;
  try {
    half = spki(keyOf(newKey));
  } catch {
    files.remove(newCertificate);
    return;
  }
  const belongs = (path: string): boolean => {
    try {
      return spki(certificateOf(path).publicKey).equals(half);
    } catch {
      return false;
    }
  };
  if (belongs(newCertificate)) files.rename(newCertificate, certificate);
  else files.remove(newCertificate);
  if (belongs(certificate)) files.rename(newKey, key);
}

/** `identity.json`, whose fields are those and no others. */
function aboutOf(path: string): About {
  const text = files.read(path).toString();
  try {
    const { version, name, role, address, ...stated } = JSON.parse(text) as Record<string, unknown>;
    const { ca_fingerprint, core_fingerprint, instance_id, ...unknown } = stated;
    const texts = [name, role, address].every((each) => typeof each === 'string');
    if (version === 1 && texts && ROLES.includes(role as string) && Object.keys(unknown).length === 0) {
      return {
        name: name as string,
        role: role as string,
        address: address as string,
        caFingerprint: unhex(ca_fingerprint, 32),
        coreFingerprint: unhex(core_fingerprint, 32),
        instanceId: unhex(instance_id, 16),
      };
    }
  } catch {
    // Said below.
  }
  throw new IdentityError(`${path} is not an identity`);
}

function unhex(text: unknown, length: number): Buffer {
  if (typeof text !== 'string' || text.length !== 2 * length || !/^[0-9a-f]*$/i.test(text))
    throw new TypeError();
  return Buffer.from(text, 'hex');
}

function certificateOf(path: string): X509Certificate {
  const text = files.read(path);
  try {
    return new X509Certificate(text);
  } catch {
    throw notValid(path);
  }
}

function notValid(path: string): IdentityError {
  return new IdentityError(`the certificate in ${path} is not valid`);
}

function keyOf(path: string): KeyObject {
  const text = files.readSecret(path);
  try {
    const key = createPrivateKey(text);
    const isP256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    if (isP256 || key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Said below.
  }
  throw new IdentityError(`the key in ${path} is not a P-256 or Ed25519 key`);
}

/** 16 bytes; `undefined` for a serial that is none of the vault's. */
function serialOf(certificate: X509Certificate): Buffer | undefined {
  const digits = certificate.serialNumber;
  return digits.length <= 32 ? Buffer.from(digits.padStart(32, '0'), 'hex') : undefined;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
