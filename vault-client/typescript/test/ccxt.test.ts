import ccxt from 'ccxt';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import * as countersign from '../src/index.js';
import * as through from '../src/ccxt.js';
import { Authority } from './authority.js';

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

let authority: Authority;
let place: string;
let server: Server;
let folder: string;
let answer: Answer;
let asked: { method: string; url: string; headers: NodeJS.Dict<string | string[]>; serial: string }[];
let upgrades: string[];

before(async () => {
  authority = await Authority.make();
  place = mkdtempSync(join(tmpdir(), 'countersign-'));
});

after(() => {
  rmSync(place, { recursive: true });
});

beforeEach(async () => {
  asked = [];
  upgrades = [];
  answer = { status: 200, body: [], headers: { 'countersign-latency-us': '1' } };
  server = createServer(
    { ...(await authority.server()), ca: authority.pem, requestCert: true },
    (request, reply) => {
      const { method = '', url = '', headers } = request;
      const serial = (request.socket as TLSSocket).getPeerCertificate().serialNumber;
      asked.push({ method, url, headers, serial });
      reply.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
      reply.end(JSON.stringify(answer.body));
    },
  );
  server.on('upgrade', (request, socket) => {
    upgrades.push(request.url ?? '');
    const body = JSON.stringify(answer.body);
    socket.end(`HTTP/1.1 ${answer.status} No\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  folder = await authority.enroll(mkdtempSync(join(place, 'bot-')), `127.0.0.1:${port}`);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function binance() {
  return through.connect('binance', { folder }, 'binance-main', {
    config: { options: { fetchCurrencies: false }, enableRateLimit: false },
  });
}

test('an exchange asks the vault, with the certificate and a placeholder', async () => {
  const exchange = binance();
  await (
    exchange as unknown as { privateGetOpenOrders(params: object): Promise<unknown> }
  ).privateGetOpenOrders({
    symbol: 'BTCUSDT',
  });

  const [request] = asked;
  assert.match(request?.url ?? '', /^\/https%3A%2F%2Fapi\.binance\.com%2Fapi%2Fv3%2FopenOrders%3F/);
  assert.equal(request?.headers['x-mbx-apikey'], 'countersign:binance-main');
  assert.equal(request?.serial.toLowerCase(), countersign.Identity.load(folder).serial.toString('hex'));
  assert.equal(exchange.id, 'binance');
  assert.equal(exchange.constructor.name, 'binance');
  assert(exchange instanceof ccxt.binance);
});

for (const [status, reason, kind, parent, maybeSent] of [
  [422, 'SYMBOL_NOT_GRANTED', 'Denied', ccxt.ExchangeError, false],
  [422, 'NOT_FOUND', 'NotFound', ccxt.ExchangeError, false],
  [400, 'TARGET', 'Refused', ccxt.ExchangeError, false],
  [502, 'NOT_SENT', 'NotSent', ccxt.ExchangeNotAvailable, false],
  [502, 'NOT_CONNECTED', 'NotSent', ccxt.ExchangeNotAvailable, false],
  [503, 'OVERLOADED', 'Exhausted', ccxt.ExchangeNotAvailable, false],
  [503, 'STREAMS_EXHAUSTED', 'Exhausted', ccxt.ExchangeNotAvailable, false],
  [503, 'SHUTTING_DOWN', 'Unavailable', ccxt.RequestTimeout, true],
  [504, 'OUTCOME_UNKNOWN', 'OutcomeUnknown', ccxt.RequestTimeout, true],
] as const) {
  test(`${reason} with ${status} is ${kind} and ccxt's ${parent.name}`, async () => {
    const stated = { reason, message: 'no', hint: 'why', operation: 'POST /x', class: 'trade', entry: 9 };
    answer = { status, body: { countersign: { ...stated, remedies: ['execute'], retry_after_ms: 5 } } };
    const exchange = binance();
    await assert.rejects(exchange.fetchTime(), (error: unknown) => {
      assert(error instanceof countersign[kind] && error instanceof through[kind], String(error));
      assert(error instanceof parent && error instanceof countersign.Refused);
      assert(error instanceof countersign.CountersignError && error instanceof Error);
      assert(!(error instanceof countersign.Sealed));
      assert.equal(error.name, kind);
      assert.equal(error.message, `binance no (${reason}); why`);
      assert.deepEqual([error.entryIndex, error.operationClass, error.retryAfterMs], [9, 'trade', 5]);
      assert.deepEqual(error.remedies, ['execute']);
      assert.equal(error.maybeSent, maybeSent);
      return true;
    });
  });
}

test('what a venue says is not taken for the vault', async () => {
  answer = {
    status: 422,
    body: { countersign: { reason: 'SYMBOL_NOT_GRANTED' } },
    headers: { 'countersign-latency-us': '7' },
  };
  await assert.rejects(binance().fetchTime(), (error) => {
    assert(error instanceof ccxt.ExchangeError);
    return !(error instanceof countersign.CountersignError);
  });
});

test('no connection to the vault is a NetworkError of ccxt', async () => {
  const exchange = binance();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(exchange.fetchTime(), ccxt.NetworkError);
});

test('a vault of another CA is not asked', async () => {
  const stranger = await Authority.make();
  const other = await stranger.enroll(
    mkdtempSync(join(place, 'other-')),
    countersign.Identity.load(folder).address,
  );
  const exchange = through.connect('kraken', { folder: other }, 'kraken-main');
  await assert.rejects(exchange.fetchTime(), ccxt.NetworkError);
  assert.equal(asked.length, 0);
});

test('nothing goes past the vault when a bot takes the proxy away', async () => {
  const exchange = binance();
  exchange.proxyUrl = undefined as unknown as string;
  await assert.rejects(exchange.fetchTime(), ccxt.NetworkError);
  assert.equal(asked.length, 0);
});

test('a config with keys, another proxy or another way to fetch is refused', () => {
  for (const config of [
    { apiKey: 'a' },
    { secret: 'a' },
    { httpsProxy: 'a' },
    { fetchImplementation: fetch },
  ]) {
    assert.throws(() => through.connect('binance', { folder }, 'binance-main', { config }), TypeError);
  }
  for (const name of ['nobodys', 'version', 'toString']) {
    assert.throws(() => through.connect(name, { folder }, 'binance-main'), TypeError, name);
  }
});

test('placeholders have the shape that a class insists on', () => {
  const keys = (name: string) => through.connect(name, { folder }, `${name}-main`);
  assert.match(keys('coinbase').secret, /EC PRIVATE KEY/);
  assert.equal(Buffer.from(keys('kraken').secret, 'base64').toString('base64'), keys('kraken').secret);
  assert.equal(keys('okx').password, 'placeholder');
  const own = through.connect(class kraken extends ccxt.kraken {}, { folder }, 'kraken-main');
  assert.equal(own.secret, keys('kraken').secret);
});

test('streams of ccxt.pro go to the vault', async () => {
  const exchange = through.connect('okx', { folder }, 'okx-main', { pro: true });
  const stream = exchange.client('wss://ws.okx.com:8443/ws/v5/public');
  const first = stream.future('first');
  answer = { status: 422, body: { countersign: { reason: 'CLASS_NOT_GRANTED', message: 'no' } } };
  void stream.connect();
  await assert.rejects(
    first,
    (error) => error instanceof through.Denied && error.reason === 'CLASS_NOT_GRANTED',
  );

  assert.deepEqual(upgrades, ['/wss://ws.okx.com:8443/ws/v5/public']);
  assert.equal(stream.url, 'wss://ws.okx.com:8443/ws/v5/public');
  assert.equal(exchange.client(stream.url), exchange.client(stream.url));
  await exchange.close();
});

test('a stream that nobody answers is a NetworkError', async () => {
  const exchange = through.connect('okx', { folder }, 'okx-main', { pro: true });
  const stream = exchange.client('wss://ws.okx.com:8443/ws/v5/public');
  const first = stream.future('first');
  answer = { status: 502, body: 'no vault' };
  void stream.connect();
  await assert.rejects(first, ccxt.NetworkError);
});

test('streams go past the vault when that is asked for', () => {
  const exchange = through.connect('okx', { folder }, 'okx-main', { pro: true, streams: 'direct' });
  const stream = exchange.client('wss://ws.okx.com:8443/ws/v5/public');
  assert(!Object.hasOwn(stream, 'createConnection'));
});

test('a message of a stream that the vault refuses ends the call that waits for it', async () => {
  const exchange = through.connect('okx', { folder }, 'okx-main', { pro: true });
  const stream = exchange.client('wss://ws.okx.com:8443/ws/v5/private');
  const [seventh, other] = [stream.future('7'), stream.future('orders')];
  let ended = false;
  other.catch(() => (ended = true));
  const refusal = { reason: 'SYMBOL_NOT_GRANTED', message: 'no', entry: 3 };
  exchange.handleMessage(stream, { countersign: refusal, id: '7' });

  await assert.rejects(seventh, (error) => error instanceof countersign.Denied && error.entryIndex === 3);
  assert(!ended);
  exchange.handleMessage(stream, { countersign: refusal });
  await assert.rejects(other, ccxt.ExchangeError);
});

for (const [reason, kind, parent] of [
  ['CLASS_NOT_GRANTED', 'Denied', ccxt.ExchangeError],
  ['NOT_SENT', 'NotSent', ccxt.ExchangeNotAvailable],
  ['OVERLOADED', 'Exhausted', ccxt.ExchangeNotAvailable],
  ['AUDIT_DISK_FULL', 'Exhausted', ccxt.ExchangeNotAvailable],
  ['OUTCOME_UNKNOWN', 'OutcomeUnknown', ccxt.RequestTimeout],
] as const) {
  test(`${reason} against a message of a stream is ${kind} and ccxt's ${parent.name}`, async () => {
    const exchange = through.connect('okx', { folder }, 'okx-main', { pro: true });
    const stream = exchange.client('wss://ws.okx.com:8443/ws/v5/private');
    const first = stream.future('7');
    exchange.handleMessage(stream, { countersign: { reason, message: 'no' }, id: '7' });
    await assert.rejects(
      first,
      (error) =>
        error instanceof through[kind] && error instanceof countersign[kind] && error instanceof parent,
    );
  });
}

/** An exchange with a stream that connects to nobody, and what it was to send. */
function subscriber() {
  const exchange = through.connect('binance', { folder }, 'binance-main', {
    pro: true,
    config: { enableRateLimit: false },
  });
  const stream = exchange.client('wss://stream.binance.com:9443/ws/0');
  const sent: unknown[] = [];
  Object.assign(stream, {
    connect: () => Promise.resolve(),
    send: (message: unknown) => Promise.resolve(sent.push(message)),
  });
  return {
    sent,
    stream,
    /** What ccxt's own `watch*` do: `hash` is waited for, `message` is sent unless `under` is subscribed. */
    watch: async (hash: string, message: string, subscription?: object, under = hash) => {
      const data = exchange.watch(stream.url, hash, message, under, subscription) as Promise<unknown>;
      // Awaited later, and may end before that.
      data.catch(() => undefined);
      await new Promise(setImmediate);
      return { data };
    },
    refuse: (ids: object) => {
      exchange.handleMessage(stream, { countersign: { reason: 'CLASS_NOT_GRANTED', message: 'no' }, ...ids });
    },
  };
}

test('a subscription that was refused without an id is sent again by the next watch', async () => {
  const { sent, stream, watch, refuse } = subscriber();
  const first = await watch('trades', 'subscribe trades');
  const other = await watch('orders', 'subscribe orders', { id: 8 });
  refuse({});
  await assert.rejects(first.data, through.Denied);
  await assert.rejects(other.data, through.Denied);
  assert.deepEqual(stream.subscriptions, {});

  const second = await watch('trades', 'subscribe trades');
  assert.deepEqual(sent, ['subscribe trades', 'subscribe orders', 'subscribe trades']);
  stream.resolve('a trade', 'trades');
  assert.equal(await second.data, 'a trade');
});

for (const [what, subscription, named] of [
  ['the id of its message', { id: 7 }, '7'],
  ['its own name', undefined, 'trades'],
] as const) {
  test(`a subscription that was refused under ${what} is sent again, and others stay`, async () => {
    const { sent, stream, watch, refuse } = subscriber();
    const first = await watch('trades', 'subscribe trades', subscription);
    const other = await watch('orders', 'subscribe orders', { id: 8 });
    refuse({ id: named });
    await assert.rejects(first.data, through.Denied);
    assert.deepEqual(Object.keys(stream.subscriptions), ['orders']);

    await watch('trades', 'subscribe trades', subscription);
    await watch('orders', 'subscribe orders', { id: 8 });
    assert.deepEqual(sent, ['subscribe trades', 'subscribe orders', 'subscribe trades']);
    stream.resolve('an order', 'orders');
    assert.equal(await other.data, 'an order');
  });
}

test('a refused subscription ends the call that waits for it under another name', async () => {
  const { sent, stream, watch, refuse } = subscriber();
  const first = await watch('trade::BTC/USDT', 'subscribe trades', { id: 7 }, 'btcusdt@trade');
  await watch('orders', 'subscribe orders', { id: 8 });
  refuse({ id: 7 });
  await assert.rejects(first.data, through.Denied);
  assert.deepEqual(Object.keys(stream.subscriptions), ['orders']);

  await watch('trade::BTC/USDT', 'subscribe trades', { id: 7 }, 'btcusdt@trade');
  assert.deepEqual(sent, ['subscribe trades', 'subscribe orders', 'subscribe trades']);
});
