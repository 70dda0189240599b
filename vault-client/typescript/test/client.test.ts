import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import {
  Client,
  Conflict,
  CountersignError,
  Denied,
  Exhausted,
  Identity,
  NotSent,
  OutcomeUnknown,
  ProtocolError,
  ReceiptError,
  Refused,
  Sealed,
  TimedOut,
  Unreachable,
} from '../src/index.js';
import { Authority, inHours } from './authority.js';
import { FakeVault } from './fake-vault.js';

const ORDER = {
  credential: 'okx-main',
  method: 'POST',
  url: 'https://www.okx.com/api/v5/trade/order',
  json: { instId: 'BTC-USDT', sz: '1' },
};

let authority: Authority;
let place: string;
let vault: FakeVault;
let folder: string;
let client: Client;

before(async () => {
  authority = await Authority.make();
  place = mkdtempSync(join(tmpdir(), 'countersign-'));
});

after(() => {
  rmSync(place, { recursive: true });
});

beforeEach(async () => {
  vault = await FakeVault.start(authority);
  folder = await authority.enroll(mkdtempSync(join(place, 'bot-')), vault.address);
  client = new Client({ folder });
});

afterEach(() => {
  client.close();
  vault.stop();
});

describe('sign', () => {
  test('returns what is sent, and where the log has it', async () => {
    const signed = await client.sign({ ...ORDER, requestId: 'order-1' });

    assert.equal(signed.requestId, 'order-1');
    assert.equal(signed.request.url, 'https://signed.example/?signature=s3cr3t');
    assert.deepEqual(signed.request.headers, [['x-signature', 's3cr3t']]);
    assert.equal(signed.usableForMs, 5000);
    assert.equal(signed.notionalUsd, '12.50');
    assert.deepEqual([...signed.limitsLeft], [['orders/1m', '9']]);
    assert.equal(signed.receipt.index, 41);
    const file = JSON.parse(JSON.stringify(signed.receipt)) as Record<string, unknown>;
    assert.deepEqual(Object.keys(file), ['index', 'leaf_hash', 'origin']);
    assert(!inspect(signed).includes('s3cr3t') && !JSON.stringify(signed).includes('s3cr3t'));
  });

  test('is asked once more under the same id when the connection breaks', async () => {
    vault.refuse('UNAVAILABLE', 'gone');
    const { requestId } = await client.sign(ORDER);

    assert.deepEqual(
      vault.requests.map((each) => each.requestId),
      [requestId, requestId],
    );
  });

  test('is not asked again when the vault has refused, or the time is over', async () => {
    vault.refuse('FAILED_PRECONDITION', 'vault is sealed', 'SEALED');
    await assert.rejects(client.sign(ORDER), Sealed);
    vault.hold = new Promise(() => undefined);
    await assert.rejects(client.sign({ ...ORDER, timeoutMs: 200 }), TimedOut);

    assert.equal(vault.requests.length, 2);
  });
});

describe('execute', () => {
  test('returns the answer of the venue', async () => {
    const executed = await client.execute(ORDER);

    assert.equal(executed.status, 200);
    assert(executed.ok);
    assert.deepEqual(executed.headers, [['content-type', 'application/json']]);
    // What a number cannot hold is text.
    assert.deepEqual(executed.json(), { id: '12345678901234567890', price: '0.10', n: 7 });
    assert.equal(executed.latencyUs, 1500);
    assert.equal(executed.receipt?.index, 41);
    const sent = vault.requests[0]?.request;
    assert.equal(Buffer.from(sent?.body ?? []).toString(), '{"instId":"BTC-USDT","sz":"1"}');
  });

  test('is never asked twice', async () => {
    vault.refuse('UNAVAILABLE', 'gone');
    await assert.rejects(client.execute({ ...ORDER, requestId: 'order-2' }), (error) => {
      assert(error instanceof Unreachable && !(error instanceof Refused));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.equal(error.requestId, 'order-2');
      return error.maybeSent;
    });

    assert.equal(vault.requests.length, 1);
  });

  test('has no receipt at a public endpoint', async () => {
    const executed = await client.execute({ ...ORDER, credential: '' });

    assert.equal(executed.receipt, undefined);
    assert.equal(executed.seq, 0);
  });

  test('ends with its deadline and with its signal', async () => {
    vault.hold = new Promise(() => undefined);
    await assert.rejects(client.execute({ ...ORDER, timeoutMs: 150 }), TimedOut);
    const controller = new AbortController();
    setTimeout(() => {
      controller.abort();
    }, 100);
    await assert.rejects(client.execute({ ...ORDER, signal: controller.signal }), TimedOut);
    await assert.rejects(client.execute({ ...ORDER, signal: AbortSignal.abort() }), (error) => {
      assert(error instanceof TimedOut);
      return error.code === 'CANCELLED';
    });
  });

  test('comes in pieces', async () => {
    const stream = await client.executeStream(ORDER);
    assert.equal(stream.head.receipt?.index, 41);
    assert.equal(Buffer.from(await stream.bytes()).toString(), 'onetwo');

    const other = await client.executeStream(ORDER);
    await other.close();
    assert.equal((await other.bytes()).length, 0);
    vault.refuse('PERMISSION_DENIED', 'no', 'SYMBOL_NOT_GRANTED');
    await assert.rejects(client.executeStream({ ...ORDER, requestId: 'x' }), { requestId: 'x' });
  });
});

describe('refusals', () => {
  for (const [code, reason, kind, maybeSent] of [
    ['PERMISSION_DENIED', 'SYMBOL_NOT_GRANTED', Denied, false],
    ['ALREADY_EXISTS', 'REQUEST_ID_REUSED', Conflict, false],
    ['FAILED_PRECONDITION', 'CREDENTIAL_LEASED', Exhausted, false],
    ['UNAVAILABLE', 'NOT_SENT', NotSent, false],
    ['UNAVAILABLE', 'OUTCOME_UNKNOWN', OutcomeUnknown, true],
    ['OUT_OF_RANGE', 'NEW_REASON', Refused, false],
  ] as const) {
    test(`${reason} is ${kind.name}`, async () => {
      vault.refuse(code, 'words', reason, {
        class: 'trade',
        entry_index: '17',
        hint: 'ask an admin',
        operation: 'POST /order',
        remedies: 'execute rights=A,B',
        retry_after_ms: '1500',
        venue: 'okx',
      });
      await assert.rejects(client.execute(ORDER), (error) => {
        assert(error instanceof kind && error instanceof Refused && error instanceof CountersignError);
        assert.equal(error.constructor, kind);
        assert.equal(error.message, `words (${reason}); ask an admin`);
        assert.equal(error.entryIndex, 17);
        assert.equal(error.operation, 'POST /order');
        assert.equal(error.operationClass, 'trade');
        assert.deepEqual(error.remedies, ['execute', 'rights=A,B']);
        assert.equal(error.retryAfterMs, 1500);
        assert.deepEqual(error.refusal.more, { venue: 'okx' });
        assert.equal(error.maybeSent, maybeSent);
        return true;
      });
    });
  }

  test('of something on the way are not the vault’s', async () => {
    vault.refuse('PERMISSION_DENIED', 'a proxy says no');
    await assert.rejects(client.execute(ORDER), (error) => {
      assert(!(error instanceof Refused));
      return error instanceof Unreachable && error.maybeSent;
    });
    vault.refuse('UNIMPLEMENTED', 'unknown service');
    await assert.rejects(client.execute(ORDER), ProtocolError);
  });
});

describe('receipts', () => {
  for (const [what, faked] of [
    ['a leaf hash of another length', { leafHash: Buffer.alloc(31) }],
    ['a log without a proper name', { logOrigin: 'vault.example/audit/node-1/07' }],
    ['another vault’s log', { logOrigin: 'other.example/audit/node-1/7' }],
    ['an entry of another request', { index: 41n }],
    ['an order that is not that of the decisions', { seq: 40n }],
  ] as const) {
    test(`are refused: ${what}`, async () => {
      await client.execute(ORDER);
      vault.receipt = faked;
      await assert.rejects(client.execute(ORDER), (error) => {
        assert(error instanceof ReceiptError);
        assert.equal((error.answer as { status: number }).status, 200);
        return error.requestId !== undefined;
      });
    });
  }

  test('that are the same again are taken', async () => {
    await client.sign({ ...ORDER, requestId: 'again' });
    const { receipt } = await client.sign({ ...ORDER, requestId: 'other' });
    vault.receipt = { index: BigInt(receipt.index), leafHash: receipt.leafHash, seq: BigInt(receipt.index) };

    await client.sign({ ...ORDER, requestId: 'other' });
    await assert.rejects(client.sign({ ...ORDER, requestId: 'third' }), ReceiptError);
  });
});

describe('connections', () => {
  test('are to the pinned vault alone', async () => {
    const stranger = await Authority.make();
    const other = await FakeVault.start(stranger);
    const there = new Client(Identity.load(folder).withAddress(other.address));
    await assert.rejects(there.execute(ORDER), Unreachable);
    assert.equal(other.requests.length, 0);
    there.close();
    other.stop();
  });

  test('are to the name that the certificate has', async () => {
    const { port } = new URL(`https://${vault.address}`);
    const there = new Client(Identity.load(folder).withAddress(`localhost:${port}`));
    await assert.rejects(there.execute(ORDER), Unreachable);
    assert.equal(vault.requests.length, 0);
    there.close();
  });

  test('end with the client', async () => {
    await client.execute(ORDER);
    client.close();
    await assert.rejects(client.execute(ORDER), { message: 'the client is closed' });
  });
});

describe('renewal', () => {
  for (const type of ['p256', 'ed25519'] as const) {
    test(`goes on with a new ${type} key`, async () => {
      const own = await authority.enroll(mkdtempSync(join(place, 'renew-')), vault.address, type);
      const bot = new Client({ folder: own });
      const before = bot.identity;
      await bot.execute(ORDER);
      await bot.renew();
      await bot.execute(ORDER);

      assert(!bot.identity.serial.equals(before.serial));
      assert(Identity.load(own).serial.equals(bot.identity.serial));
      assert.equal(statSync(join(own, 'key.pem')).mode & 0o777, 0o600);
      const serials = vault.serials.map((each) => each.toLowerCase());
      assert.deepEqual(
        serials,
        [before, before, bot.identity].map((each) => each.serial.toString('hex')),
      );
      bot.close();
    });
  }

  test('happens by itself when two thirds of the life are over', async () => {
    const life = { begin: inHours(-17), end: inHours(7) };
    const own = await authority.enroll(mkdtempSync(join(place, 'old-')), vault.address, 'p256', life);
    const bot = new Client({ folder: own });
    const old = bot.identity;
    assert(old.needsRenewal());
    for (let tries = 0; tries < 100 && bot.identity.serial.equals(old.serial); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }

    assert(!bot.identity.needsRenewal());
    assert(Identity.load(own).serial.equals(bot.identity.serial));
    bot.close();
  });

  test('takes what another process has put there', async () => {
    const there = Identity.load(folder);
    await client.renew();
    const before = vault.requests.length;
    const taken = await there.renewed(() => Promise.reject(new Error('asked')));

    assert(taken.serial.equals(client.identity.serial));
    assert.equal(vault.requests.length, before);
  });

  test('leaves the folder as it was when the answer does not fit', async () => {
    const { serial } = client.identity;
    const strange = await Authority.make();
    const other = await authority.enroll(mkdtempSync(join(place, 'other-')), vault.address);
    vault.caDer = strange.der;
    await assert.rejects(client.renew(), /its CA is another one/);
    vault.caDer = authority.der;
    vault.issued = Buffer.from('no certificate');
    await assert.rejects(client.renew(), /its certificate is not valid/);
    const foreign = Identity.load(other)
      .tls()
      .cert.replace(/-----[^-]+-----|\n/g, '');
    vault.issued = Buffer.from(foreign, 'base64');
    await assert.rejects(client.renew(), /its certificate is for another key/);
    vault.issued = undefined;
    vault.refuse('PERMISSION_DENIED', 'no', 'NOT_RENEWABLE');
    await assert.rejects(client.renew(), { name: 'Unauthenticated' });

    assert(Identity.load(folder).serial.equals(serial));
    assert(client.identity.serial.equals(serial));
    assert.equal(statSync(join(folder, 'key.pem.new'), { throwIfNoEntry: false }), undefined);
  });

  test('of several at once asks one after the other', async () => {
    const other = new Client({ folder });
    await Promise.all([client.renew(), other.renew()]);
    assert(client.identity.serial.equals(other.identity.serial));
    writeFileSync(join(folder, 'unrelated'), '');
    other.close();
  });
});
