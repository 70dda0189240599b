// A certificate authority like the vault's, and identities that it issues.

import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createHash, randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;
const { subtle } = webcrypto;
const crypto = webcrypto as never;
x509.cryptoProvider.set(crypto);

export function inHours(hours: number): Date {
  return new Date(Date.now() + hours * HOUR_MS);
}

export interface Life {
  readonly begin?: Date;
  readonly end?: Date;
}

export type KeyType = 'p256' | 'ed25519';

async function makeKey(type: KeyType = 'p256'): Promise<webcrypto.CryptoKeyPair> {
  const algorithm = type === 'p256' ? P256 : { name: 'Ed25519' };
  return (await subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

async function keyPem(key: webcrypto.CryptoKeyPair): Promise<string> {
  return x509.PemConverter.encode(await subtle.exportKey('pkcs8', key.privateKey), 'PRIVATE KEY');
}

/** Signs certificates of servers and clients. */
export class Authority {
  private constructor(
    private readonly key: webcrypto.CryptoKeyPair,
    private readonly certificate: x509.X509Certificate,
  ) {}

  static async make(): Promise<Authority> {
    const key = await makeKey();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=vault.example',
      notBefore: inHours(-1),
      notAfter: inHours(24),
      keys: key,
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(key.publicKey, false, crypto),
      ],
    });
    return new Authority(key, certificate);
  }

  get pem(): string {
    return this.certificate.toString('pem');
  }

  get der(): Uint8Array {
    return new Uint8Array(this.certificate.rawData);
  }

  async issue(
    publicKey: x509.PublicKeyType,
    { begin = inHours(-1), end = inHours(23), server = false }: Life & { server?: boolean } = {},
  ): Promise<x509.X509Certificate> {
    const usage = server ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    return x509.X509CertificateGenerator.create({
      serialNumber: `01${randomBytes(15).toString('hex')}`,
      issuer: this.certificate.subject,
      notBefore: begin,
      notAfter: end,
      publicKey,
      signingKey: this.key.privateKey,
      signingAlgorithm: P256,
      extensions: [
        new x509.ExtendedKeyUsageExtension([usage]),
        await x509.AuthorityKeyIdentifierExtension.create(this.key.publicKey, false, crypto),
        ...(server ? [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])] : []),
      ],
    });
  }

  /** Certifies the key of a CSR, which must be signed by it and name nobody. */
  async certify(csr: Uint8Array): Promise<Uint8Array> {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(csr));
    if (!(await request.verify(crypto)) || request.subject !== '' || request.extensions.length > 0) {
      throw new Error('the CSR is not acceptable');
    }
    return new Uint8Array((await this.issue(request.publicKey)).rawData);
  }

  /** Of a server at 127.0.0.1, PEM. */
  async server(): Promise<{ key: string; cert: string }> {
    const key = await makeKey();
    const certificate = await this.issue(key.publicKey, { server: true });
    return { key: await keyPem(key), cert: certificate.toString('pem') };
  }

  /** The folder that `vaultctl enroll` makes. */
  async enroll(folder: string, address: string, type: KeyType = 'p256', life: Life = {}): Promise<string> {
    mkdirSync(folder, { mode: 0o700, recursive: true });
    const key = await makeKey(type);
    const certificate = await this.issue(key.publicKey, life);
    writeFileSync(join(folder, 'key.pem'), await keyPem(key), { mode: 0o600 });
    writeFileSync(join(folder, 'cert.pem'), certificate.toString('pem'));
    writeFileSync(join(folder, 'ca.pem'), this.pem);
    const about = {
      version: 1,
      name: 'bot',
      role: 'bot',
      address,
      ca_fingerprint: createHash('sha256').update(this.der).digest('hex'),
      core_fingerprint: '22'.repeat(32),
      instance_id: '33'.repeat(16),
    };
    writeFileSync(join(folder, 'identity.json'), JSON.stringify(about, undefined, 2));
    return folder;
  }
}
