import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { signingBytes } from '../src/command.js';
import { Identity, IdentityError, ProfileError, identityOf } from '../src/index.js';
import { Authority } from './authority.js';

let authority: Authority;
let place: string;
let folder: string;

before(async () => {
  authority = await Authority.make();
  place = mkdtempSync(join(tmpdir(), 'countersign-'));
});

after(() => {
  rmSync(place, { recursive: true });
});

beforeEach(async () => {
  folder = await authority.enroll(mkdtempSync(join(place, 'bot-')), 'vault.example:7443');
});

describe('an identity', () => {
  test('is read from its folder', () => {
    const identity = Identity.load(folder);

    assert.equal(identity.name, 'bot');
    assert.equal(identity.address, 'vault.example:7443');
    const { serialNumber } = new X509Certificate(readFileSync(join(folder, 'cert.pem')));
    assert.equal(identity.serial.toString('hex'), serialNumber.toLowerCase());
    assert.equal(identity.renewalAt.getTime() - identity.notBefore.getTime(), 16 * 3_600_000);
    assert(!identity.needsRenewal());
  });

  test('shows no key', () => {
    const identity = Identity.load(folder);
    const key = readFileSync(join(folder, 'key.pem'), 'utf8').split('\n')[1] as string;

    assert(identity.tls().key.includes(key));
    assert(!inspect(identity, { depth: 9, showHidden: true }).includes(key));
    assert(!JSON.stringify(identity).includes(key));
  });

  test('may have another address', () => {
    const identity = Identity.load(folder);

    assert.equal(identity.withAddress('[::1]:7').address, '[::1]:7');
    for (const wrong of [
      'vault',
      'vault:',
      ':1',
      'vault:0',
      'vault:65536',
      '::1:7',
      'a/b:1',
      'a@b:1',
      'a:1x',
    ]) {
      assert.throws(() => identity.withAddress(wrong), IdentityError, wrong);
    }
  });

  const file = (name: string) => join(folder, name);
  const changes: [string, () => void][] = [
    ['no folder', () => rmSync(folder, { recursive: true })],
    ['no key', () => rmSync(file('key.pem'))],
    ['a key that others may read', () => chmodSync(file('key.pem'), 0o640)],
    ['a key of another kind', () => writeFileSync(file('key.pem'), rsa(), { mode: 0o600 })],
    ['a key of another certificate', () => writeFileSync(file('key.pem'), p256(), { mode: 0o600 })],
    ['a certificate that is none', () => writeFileSync(file('cert.pem'), 'none')],
    ['another CA', () => cpSync(file('cert.pem'), file('ca.pem'))],
    ['an identity.json that is none', () => writeFileSync(file('identity.json'), '[]')],
    ['a field too much', () => about({ more: 1 })],
    ['another version', () => about({ version: 2 })],
    ['a role that is none', () => about({ role: 'king' })],
    ['a fingerprint that is none', () => about({ core_fingerprint: 'zz' })],
  ];
  for (const [what, change] of changes) {
    test(`is refused with ${what}`, () => {
      change();
      assert.throws(() => Identity.load(folder), IdentityError);
    });
  }

  function about(more: object): void {
    const stated = JSON.parse(readFileSync(file('identity.json'), 'utf8')) as object;
    writeFileSync(file('identity.json'), JSON.stringify({ ...stated, ...more }));
  }

  for (const [what, cut] of [
    ['before the certificate', () => undefined],
    ['between certificate and key', () => renameSync(file('cert.pem.new'), file('cert.pem'))],
  ] as const) {
    test(`has its renewal finished that was cut short ${what}`, async () => {
      const other = await authority.enroll(mkdtempSync(join(place, 'new-')), 'vault.example:7443');
      cpSync(join(other, 'cert.pem'), file('cert.pem.new'));
      cpSync(join(other, 'key.pem'), file('key.pem.new'));
      cut();

      assert(Identity.load(folder).serial.equals(Identity.load(other).serial));
      assert.throws(() => readFileSync(file('key.pem.new')), { code: 'ENOENT' });
      assert.throws(() => readFileSync(file('cert.pem.new')), { code: 'ENOENT' });
    });
  }

  test('keeps the old files when a renewal was cut short before its answer', () => {
    const { serial } = Identity.load(folder);
    writeFileSync(file('key.pem.new'), p256(), { mode: 0o600 });
    writeFileSync(file('cert.pem.new'), 'half a certif');

    assert(Identity.load(folder).serial.equals(serial));
  });
});

function p256(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
}

function rsa(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
}

describe('profiles', () => {
  let config: string;
  const A = '[profile."a"]\nidentity = "a"\n';
  const B = '[profile."b"]\nidentity = "b"\naddress = "other.example:3"\n';

  beforeEach(async () => {
    const base = mkdtempSync(join(place, 'config-'));
    process.env['XDG_CONFIG_HOME'] = base;
    mkdirSync(join(base, 'countersign'));
    config = join(base, 'countersign', 'config.toml');
    await authority.enroll(join(base, 'countersign', 'a'), 'a.example:1');
    await authority.enroll(join(base, 'countersign', 'b'), 'b.example:2');
  });

  after(() => {
    delete process.env['XDG_CONFIG_HOME'];
  });

  test('are found by name, by default, and as the only one', () => {
    writeFileSync(config, `default_profile = "b"\n${A}${B}`);
    assert.equal(identityOf('a').address, 'a.example:1');
    assert.equal(identityOf().address, 'other.example:3');
    writeFileSync(config, A);
    assert.equal(identityOf().address, 'a.example:1');
  });

  test('are not needed for a folder or an identity', () => {
    const identity = identityOf({ folder });
    assert.equal(identityOf(identity), identity);
    assert.equal(identityOf(new URL(`file://${folder}`)).name, 'bot');
  });

  for (const [text, name, words] of [
    [undefined, undefined, /vaultctl enroll/],
    ['', undefined, /default_profile/],
    [A + B, undefined, /default_profile/],
    [A, 'z', /no profile "z"/],
    [A, 'toString', /no profile/],
    [A, '/some/folder', /\{ folder: path \}/],
    [`default_profile = "z"\n${A}`, undefined, /no profile "z"/],
    ['[profile.a]\n', 'a', /identity/],
    ['[profile.a]\nidentity = "a"\nadress = "b"\n', 'a', /identity/],
    ['[profile.a]\nidentity = 7\n', 'a', /texts/],
    ['profile = 7\n', undefined, /table/],
    ['no toml', undefined, /config\.toml/],
  ] as const) {
    test(`that are wrong say so: ${words}`, () => {
      if (text !== undefined) writeFileSync(config, text);
      assert.throws(
        () => identityOf(name),
        (error) => error instanceof ProfileError && words.test(error.message),
      );
    });
  }
});

test('a command is signed over the bytes that the vault draws', () => {
  const bytes = signingBytes('a.B/C', Buffer.alloc(16, 1), Buffer.alloc(16, 2), 3n, Buffer.from('body'));
  const drawn = [
    Buffer.from('countersign command v1\0').toString('hex'),
    '0005',
    Buffer.from('a.B/C').toString('hex'),
    '01'.repeat(16),
    '02'.repeat(16),
    '0000000000000003',
    '00000004',
    Buffer.from('body').toString('hex'),
  ];
  assert.equal(bytes.toString('hex'), drawn.join(''));
  assert.throws(() => signingBytes('a', Buffer.alloc(15), Buffer.alloc(16), 3n, Buffer.alloc(0)), RangeError);
});
