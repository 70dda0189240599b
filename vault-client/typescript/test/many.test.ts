// Batches and streams of Signs.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { SignResult } from '../src/generated/vault/v1/sign_service_pb.js';
import {
  BadRequest,
  Client,
  Conflict,
  CountersignError,
  Denied,
  Exhausted,
  Identity,
  ProtocolError,
  ReceiptError,
  Refused,
  Sealed,
  TimedOut,
  Unreachable,
  type Signed,
  type SignOrder,
  type SignOutcome,
} from '../src/index.js';
import { Authority } from './authority.js';
import { FakeVault } from './fake-vault.js';

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

function order(requestId?: string, more: Partial<SignOrder> = {}): SignOrder {
  const url = 'https://www.okx.com/api/v5/trade/order';
  const named = requestId === undefined ? {} : { requestId };
  return { credential: 'okx-main', method: 'POST', url, json: { sz: '1' }, ...named, ...more };
}

function orders(...ids: string[]): SignOrder[] {
  return ids.map((id) => order(id));
}

function ids(outcomes: readonly SignOutcome[]): (string | undefined)[] {
  return outcomes.map(({ requestId }) => requestId);
}

function signedOf(outcome: SignOutcome | undefined): Signed {
  assert(outcome !== undefined && !(outcome instanceof CountersignError));
  return outcome;
}

interface Answer {
  readonly outcomes: SignOutcome[];
  readonly error?: CountersignError;
}

async function batch(asked: Iterable<SignOrder>): Promise<Answer> {
  return { outcomes: await client.signBatch(asked) };
}

/** All that comes of a stream. */
async function stream(asked: Iterable<SignOrder>, bot = client): Promise<Answer> {
  const signs = bot.signStream();
  const outcomes: SignOutcome[] = [];
  try {
    for (const each of asked) await signs.send(each);
    signs.done();
    for await (const outcome of signs) outcomes.push(outcome);
    assert.deepEqual(await signs.next(), { value: undefined, done: true });
    return { outcomes };
  } catch (error) {
    assert(error instanceof CountersignError);
    // It stays so.
    await assert.rejects(signs.next(), (again) => again === error);
    return { outcomes, error };
  } finally {
    signs.close();
  }
}

for (const [name, many] of [
  ['a batch', batch],
  ['a stream', stream],
] as const) {
  describe(name, () => {
    test('has an outcome of each order', async () => {
      const metadata = { class: 'trade', entry_index: '7', hint: 'ask an admin', retry_after_ms: '1500' };
      vault.failures.set('second', ['PERMISSION_DENIED', 'SYMBOL_NOT_GRANTED', metadata]);
      vault.failures.set('fourth', ['ALREADY_EXISTS', 'REQUEST_ID_REUSED']);
      const { outcomes, error } = await many([...orders('first', 'second', 'third', 'fourth'), order()]);

      assert.equal(error, undefined);
      assert.deepEqual(ids(outcomes).slice(0, 4), ['first', 'second', 'third', 'fourth']);
      const [first, denied, third, fourth, fifth] = outcomes;
      assert.match(signedOf(fifth).requestId, /^[0-9a-f]{32}$/);
      assert.deepEqual(signedOf(first).request.headers, [['x-signature', 's3cr3t']]);
      assert(signedOf(first).receipt.index < signedOf(third).receipt.index);
      assert(denied instanceof Denied);
      assert.deepEqual([denied.reason, denied.code], ['SYMBOL_NOT_GRANTED', 'PERMISSION_DENIED']);
      assert.deepEqual([denied.operationClass, denied.entryIndex], ['trade', 7]);
      assert.deepEqual([denied.hint, denied.retryAfterMs], ['ask an admin', 1500]);
      assert(fourth instanceof Conflict);
      assert(!inspect(outcomes, { depth: 9 }).includes('s3cr3t'));
    });

    for (const [code, reason, kind] of [
      ['UNAVAILABLE', 'SEALED', Sealed],
      ['RESOURCE_EXHAUSTED', 'OVERLOADED', Exhausted],
      ['INVALID_ARGUMENT', 'BAD_FIELD', BadRequest],
      ['FAILED_PRECONDITION', 'OTHER', Refused],
    ] as const) {
      test(`has ${kind.name} of one that is ${reason}`, async () => {
        vault.failures.set('mine', [code, reason]);
        const { outcomes } = await many(orders('mine'));

        const [refused] = outcomes;
        assert(refused instanceof Refused);
        assert.equal(refused.constructor, kind);
        assert.deepEqual([refused.code, refused.message], [code, `words (${reason})`]);
        assert(!refused.maybeSent);
      });
    }

    test('leaves a receipt that contradicts another to its order', async () => {
      vault.receipt = { index: 41n };
      const { outcomes, error } = await many(orders('first', 'second'));

      assert.equal(error, undefined);
      assert.equal(signedOf(outcomes[0]).requestId, 'first');
      const fault = outcomes[1];
      assert(fault instanceof ReceiptError);
      assert.equal(fault.requestId, 'second');
      // What was signed is signed.
      assert.equal((fault.answer as Signed).request.method, 'POST');
    });

    test('leaves a result without one to its order', async () => {
      vault.results = ([first, second]) => {
        (first as SignResult).result = { case: undefined };
        return [first, second] as SignResult[];
      };
      const { outcomes, error } = await many(orders('first', 'second'));

      assert.equal(error, undefined);
      assert.equal(outcomes[0]?.constructor, ProtocolError);
      assert.equal(outcomes[0].requestId, 'first');
      assert.equal(signedOf(outcomes[1]).requestId, 'second');
    });

    for (const [what, wrong, kind] of [
      ['an id with blanks', order('with spaces'), RangeError],
      ['an id that is too long', order('x'.repeat(65)), RangeError],
      ['an id with a line', order('line\n'), RangeError],
      ['another scheme', order('a', { url: 'http://www.okx.com/' }), RangeError],
      ['a float', order('a', { json: { px: 0.1 } }), TypeError],
    ] as const) {
      test(`sends no order that has ${what}`, async () => {
        const signs = client.signStream();
        await assert.rejects(
          name === 'a batch' ? client.signBatch([order(), wrong]) : signs.send(wrong),
          kind,
        );
        signs.close();
        assert.equal(vault.requests.length + vault.batches.length, 0);
      });
    }
  });
}

test('an order says what sign takes', async () => {
  const whole = {
    ...order('mine', { params: { b: 2 }, headers: { 'x-simulated-trading': '1' } }),
    credential: 'main',
  };
  await client.sign(whole);
  await client.signBatch([whole]);
  await stream([whole]);

  const [alone, streamed] = vault.requests;
  assert.equal(alone?.request?.query, 'b=2');
  assert.deepEqual(vault.batches[0]?.requests, [alone]);
  assert.deepEqual(streamed, alone);
});

describe('results of a batch', () => {
  for (const [what, results] of [
    ['too few', (all: SignResult[]) => all.slice(1)],
    ['too many', (all: SignResult[]) => [...all, ...all]],
    ['none', () => []],
    ['in another order', (all: SignResult[]) => all.reverse()],
  ] as const) {
    test(`that are not those of its orders are not taken: ${what}`, async () => {
      vault.results = results;
      await assert.rejects(client.signBatch(orders('first', 'second')), (error) => {
        assert(error instanceof ProtocolError);
        assert.deepEqual(error.requestIds, ['first', 'second']);
        return /not those of the orders/.test(error.message);
      });
    });
  }
});

describe('a batch as a whole', () => {
  test('says which orders are open when its connection breaks', async () => {
    vault.refuse('UNAVAILABLE', 'broken');
    await assert.rejects(client.signBatch([order('first'), order()]), (error) => {
      assert(error instanceof Unreachable);
      // Nothing is sent again, and ids that were made are known.
      assert.equal(vault.batches.length, 1);
      assert.deepEqual(
        error.requestIds,
        vault.batches[0]?.requests.map(({ requestId }) => requestId),
      );
      return error.requestIds[0] === 'first';
    });
  });

  test('may be refused', async () => {
    vault.refuse('INVALID_ARGUMENT', 'a batch has 1 to 256 requests', 'BATCH_SIZE');
    await assert.rejects(client.signBatch([]), { name: 'BadRequest', reason: 'BATCH_SIZE' });
  });

  test('ends with its deadline and with its signal', async () => {
    vault.hold = new Promise(() => undefined);
    await assert.rejects(client.signBatch(orders('a'), { timeoutMs: 100 }), TimedOut);
    await assert.rejects(client.signBatch(orders('a'), { signal: AbortSignal.abort() }), TimedOut);
  });
});

describe('a stream as a whole', () => {
  test('has outcomes as the vault comes to them', async () => {
    vault.results = (results) => results.reverse();

    assert.deepEqual(ids((await stream(orders('a', 'b', 'c'))).outcomes), ['c', 'b', 'a']);
  });

  test('answers an order twice that was asked twice', async () => {
    assert.deepEqual(ids((await stream(orders('a', 'b', 'a'))).outcomes), ['a', 'b', 'a']);
  });

  test('says which orders are open when it breaks', async () => {
    const signs = client.signStream();
    await signs.send(order('a'));
    assert.equal((await signs.next()).value?.requestId, 'a');
    vault.refuse('UNAVAILABLE', 'the connection’s hour is over');
    await signs.send(order('b'));
    await signs.send(order('c'));

    await assert.rejects(signs.next(), (error) => {
      assert(error instanceof Unreachable);
      assert.equal(error.code, 'UNAVAILABLE');
      assert.deepEqual(error.requestIds, ['b', 'c']);
      return true;
    });
    await assert.rejects(signs.send(order('late')), (error) => {
      assert(error instanceof Unreachable && !error.maybeSent);
      assert.equal(error.message, 'the stream has ended');
      return error.requestId === 'late';
    });
  });

  test('may be refused', async () => {
    vault.refuse('UNAVAILABLE', 'sealed', 'SEALED');
    const { outcomes, error } = await stream(orders('a'));

    assert.deepEqual(outcomes, []);
    assert(error instanceof Sealed);
    assert.deepEqual(error.requestIds, ['a']);
  });

  for (const [what, results, open] of [
    ['of others', (all: SignResult[]) => all.map((each) => ({ ...each, requestId: 'x' })), ['a', 'b']],
    ['too few', (all: SignResult[]) => all.slice(1), ['a']],
    ['too many', (all: SignResult[]) => [...all, ...all], []],
  ] as const) {
    test(`takes no results that are not those of its orders: ${what}`, async () => {
      vault.results = results;
      const { outcomes, error } = await stream(orders('a', 'b'));

      assert.equal(outcomes.length, 2 - open.length);
      assert.equal(error?.constructor, ProtocolError);
      assert.deepEqual(error.requestIds, open);
    });
  }

  test('is not opened where nobody is', async () => {
    const bot = new Client(Identity.load(folder).withAddress('127.0.0.1:1'));
    const signs = bot.signStream();
    await assert.rejects(signs.next(), Unreachable);
    bot.close();
    assert.throws(() => bot.signStream(), { message: 'the client is closed' });
  });

  test('is sent to and taken from by many at once', async () => {
    vault.failures.set('2-7', ['PERMISSION_DENIED', 'NO']);
    const signs = client.signStream();
    const take = async (): Promise<SignOutcome[]> => {
      const taken: SignOutcome[] = [];
      for await (const outcome of signs) taken.push(outcome);
      return taken;
    };
    const taking = Promise.all([take(), take()]);
    await Promise.all(
      Array.from({ length: 400 }, (_, place) => signs.send(order(`${place % 4}-${place >> 2}`))),
    );
    signs.done();
    const outcomes = (await taking).flat();

    assert.equal(new Set(ids(outcomes)).size, 400);
    assert.equal(outcomes.filter((each) => each instanceof Denied).length, 1);
    assert.equal(vault.requests.length, 400);
  });

  test('takes no more orders than have outcomes that are taken', async () => {
    const signs = client.signStream();
    for (let number = 0; number < 64; number += 1) await signs.send(order(String(number)));
    await assert.rejects(signs.send(order('64'), { timeoutMs: 30 }), (error) => {
      assert(error instanceof TimedOut && !error.maybeSent);
      return error.requestId === '64';
    });
    const waiting = signs.send(order('64'));
    assert.equal((await signs.next()).value?.requestId, '0');
    assert.equal(await waiting, '64');
    signs.done();
    const rest: SignOutcome[] = [];
    for await (const outcome of signs) rest.push(outcome);

    assert.deepEqual(
      ids(rest),
      Array.from({ length: 64 }, (_, place) => String(place + 1)),
    );
  });

  test('tells who waits for room that it has ended', async () => {
    let release = (): void => undefined;
    vault.hold = new Promise((resolve) => (release = resolve));
    const signs = client.signStream();
    for (let number = 0; number < 64; number += 1) await signs.send(order());
    const waiting = Promise.allSettled([signs.send(order()), signs.send(order())]);
    vault.refuse('UNAVAILABLE', 'broken');
    release();

    for (const sent of await waiting) {
      assert.equal(sent.status, 'rejected');
      assert((sent as PromiseRejectedResult).reason instanceof Unreachable);
    }
  });

  test('says which orders are open when it is closed', async () => {
    vault.hold = new Promise(() => undefined);
    const signs = client.signStream();
    await signs.send(order('open'));
    const taking = signs.next();
    signs.close();
    await assert.rejects(taking, (error) => {
      assert(error instanceof Unreachable);
      assert.deepEqual(error.requestIds, ['open']);
      return error.message === 'the stream was closed';
    });
    const idle = client.signStream();
    idle.close();
    assert((await idle.next()).done);
  });

  test('outlives a renewal', async () => {
    const signs = client.signStream();
    await signs.send(order('a'));
    await signs.next();
    await client.renew();
    await client.signBatch(orders('b'));
    await signs.send(order('c'));

    assert.equal((await signs.next()).value?.requestId, 'c');
    const serials = vault.serials.map((each) => each.toLowerCase());
    assert.equal(serials.at(-1), serials[0]);
    assert.equal(serials.at(-2), client.identity.serial.toString('hex'));
    signs.close();
  });
});
