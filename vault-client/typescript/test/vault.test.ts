// Against a vault with mock venues behind it, as tests/tests/proxy of the repository starts it.
//
// COUNTERSIGN_VAULT_BOT_FOLDER is the identity of a bot that trades BTC by `execute` alone, with the credentials
// `binance-main`, `bybit-main`, `coinbase-main`, `kraken-main` and `okx-main`.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, Denied, Identity, NotFound, OutcomeUnknown, Refused, TimedOut } from '../src/index.js';
import { connect } from '../src/ccxt.js';

const folder = process.env['COUNTERSIGN_VAULT_BOT_FOLDER'] ?? '';
const ORDER = 'https://api.binance.com/api/v3/order';

function order(symbol: string) {
  const params = {
    symbol,
    side: 'BUY',
    type: 'LIMIT',
    timeInForce: 'GTC',
    quantity: '0.001',
    price: '50000',
  };
  return { credential: 'binance-main', method: 'POST', url: ORDER, params };
}

describe('a vault', { skip: folder === '' && 'COUNTERSIGN_VAULT_BOT_FOLDER names no identity' }, () => {
  let client: Client;
  before(() => {
    client = new Client({ folder });
  });
  after(() => {
    client.close();
  });

  test('executes orders', async () => {
    const first = await client.execute(order('BTCUSDT'));
    const second = await client.execute(order('BTCUSDT'));

    assert.deepEqual([first.status, second.status], [200, 200]);
    const ids = [first, second].map((each) => (each.json() as { orderId: number }).orderId);
    assert.notEqual(ids[0], ids[1]);
    assert(first.receipt !== undefined && second.receipt !== undefined);
    assert.equal(first.receipt.logOrigin, second.receipt.logOrigin);
    assert(first.receipt.index < second.receipt.index);
    assert(first.seq < second.seq);
  });

  test('executes many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.execute(order('BTCUSDT'))));

    assert(answers.every((each) => each.ok));
    assert.equal(new Set(answers.map((each) => (each.json() as { orderId: number }).orderId)).size, 50);
  });

  test('sends nothing twice', async () => {
    const { requestId, receipt } = await client.execute(order('BTCUSDT'));

    await assert.rejects(client.execute({ ...order('BTCUSDT'), requestId }), (error) => {
      assert(error instanceof OutcomeUnknown);
      assert.equal(error.entryIndex, receipt?.index);
      assert.equal(error.requestId, requestId);
      return error.maybeSent;
    });
  });

  test('says why it denies', async () => {
    await assert.rejects(client.execute(order('ETHUSDT')), (error) => {
      assert(error instanceof Denied && error instanceof Refused);
      assert.equal(error.reason, 'SYMBOL_NOT_GRANTED');
      assert.equal(error.code, 'PERMISSION_DENIED');
      assert.equal(error.operation, 'POST /api/v3/order');
      assert.equal(error.operationClass, 'trade');
      assert.match(error.hint, /symbol/);
      assert(error.entryIndex !== undefined);
      return !error.maybeSent;
    });
    await assert.rejects(client.sign(order('BTCUSDT')), { name: 'Denied', reason: 'MODE_NOT_GRANTED' });
    await assert.rejects(client.execute({ ...order('BTCUSDT'), credential: 'nobodys' }), NotFound);
  });

  test('judges each of many Signs for itself', async () => {
    // This bot may execute, and sign nothing.
    const orders = [order('BTCUSDT'), { ...order('BTCUSDT'), credential: 'nobodys', requestId: 'nobodys' }];
    const stream = client.signStream();
    for (const each of orders) await stream.send(each);
    stream.done();
    const outcomes = await client.signBatch(orders);
    for await (const outcome of stream) outcomes.push(outcome);

    const denied = outcomes.filter((each) => each instanceof Denied);
    assert.deepEqual(
      denied.map(({ reason }) => reason),
      ['MODE_NOT_GRANTED', 'MODE_NOT_GRANTED'],
    );
    assert.notEqual(denied[0]?.entryIndex, denied[1]?.entryIndex);
    const unknown = outcomes.filter((each) => each instanceof NotFound);
    assert.deepEqual(
      unknown.map(({ requestId }) => requestId),
      ['nobodys', 'nobodys'],
    );
    await assert.rejects(client.signBatch([]), { name: 'BadRequest', reason: 'BATCH_SIZE' });
  });

  test('streams long answers', async () => {
    const url = 'https://api.binance.com/api/v3/exchangeInfo';
    const stream = await client.executeStream({ credential: '', method: 'GET', url });

    assert.equal(stream.head.status, 200);
    assert.equal(stream.head.receipt, undefined);
    assert.match(Buffer.from(await stream.bytes()).toString(), /BTCUSDT/);
    await assert.rejects(client.executeStream(order('ETHUSDT')), Denied);
  });

  test('is not waited for beyond the deadline', async () => {
    await assert.rejects(client.execute({ ...order('BTCUSDT'), timeoutMs: 0 }), (error) => {
      assert(error instanceof TimedOut || (error instanceof Refused && error.reason === 'DEADLINE_EXCEEDED'));
      return true;
    });
  });

  test('renews certificates, and calls and exchanges go on', async () => {
    const { serial } = client.identity;
    const exchange = connect('kraken', { folder }, 'kraken-main');
    assert((await exchange.fetchBalance()).total);
    await client.renew();

    assert(!client.identity.serial.equals(serial));
    assert(Identity.load(folder).serial.equals(client.identity.serial));
    assert.equal((await client.execute(order('BTCUSDT'))).status, 200);
    assert((await exchange.fetchBalance()).total);
    await exchange.close();
  });
});
