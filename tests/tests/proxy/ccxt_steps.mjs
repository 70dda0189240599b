// Runs a bot's everyday steps with the JavaScript ccxt, as ccxt_steps.py does with the Python one, and says the
// same lines.
//
// Stock ccxt, with nothing but configuration changed:
//
//     node ccxt_steps.mjs --venue binance --proxy-url https://127.0.0.1:9000/ --credential binance-main \
//         --cert client.pem --key client.key --ca vault-ca.pem --steps load_markets,create_limit
//
// An exchange that @countersign/client/ccxt has connected: `--identity FOLDER` instead of URL and files. What it
// throws must then also be an error of @countersign/client. With `--pro` it is one of ccxt.pro, for the steps
// watch_orders, create_order_ws and outside_symbol_ws, which go over WebSockets.
//
// Must lie beside a folder node_modules that has ccxt, undici and @countersign/client.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import ccxt from 'ccxt';
import * as countersign from '@countersign/client';
import { connect } from '@countersign/client/ccxt';
import { Agent, fetch } from 'undici';

// No key of anybody's: ccxt must be able to sign with them to get as far as sending.
const KRAKEN_SECRET = 'Y291bnRlcnNpZ24gcGxhY2Vob2xkZXIsIG5vdCBhIHNlY3JldA==';
const COINBASE_SECRET = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49
AwEHoUQDQgAEb/A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY8T3U6Vb8B
3FP2wLDH7ueLQMb/fSWpbiKCuYnO9xwUSg==
-----END EC PRIVATE KEY-----
`;

// Per venue: the markets, and what a withdrawal needs beyond coin, amount and address.
const VENUES = {
  binance: { symbol: 'BTC/USDT', outside: 'ETH/USDT' },
  binanceusdm: { symbol: 'BTC/USDT:USDT', outside: 'ETH/USDT:USDT' },
  bybit: {
    symbol: 'BTC/USDT',
    outside: 'ETH/USDT',
    // ccxt warns, as an error, that it looks among the last 500 orders only.
    fetchOrder: { acknowledged: true },
    withdraw: { network: 'BTC' },
  },
  okx: { symbol: 'BTC/USDT', outside: 'ETH/USDT', withdraw: { network: 'BTC', fee: '0.0001' } },
  kraken: { symbol: 'BTC/USD', outside: 'ETH/USD', withdraw: { key: 'my-wallet' } },
  coinbase: { symbol: 'BTC/USD', outside: 'ETH/USD' },
};
const ADDRESS = '1BoatSLRHtKNngkdXEeobR76b53LETtpyT';
const [AMOUNT, OVER_CAP, PRICE] = [0.001, 50, 50_000];

const { values: given } = parseArgs({
  options: Object.fromEntries([
    ...['venue', 'steps', 'proxy-url', 'credential', 'cert', 'key', 'ca', 'identity'].map((name) => [
      name,
      { type: 'string' },
    ]),
    ['pro', { type: 'boolean' }],
  ]),
});
const venue = VENUES[given.venue];
const exchange = given.identity === undefined ? stock() : connected();

/** As a user would configure it. */
function stock() {
  const keys = { apiKey: `countersign:${given.credential}`, secret: 'placeholder' };
  if (given.venue === 'kraken') keys.secret = KRAKEN_SECRET;
  if (given.venue === 'coinbase') keys.secret = COINBASE_SECRET;
  if (given.venue === 'okx') keys.password = 'placeholder';
  const [cert, key, ca] = [given.cert, given.key, given.ca].map((file) => readFileSync(file));
  const dispatcher = new Agent({ connect: { cert, key, ca } });
  const made = new ccxt[given.venue]({ ...keys, proxyUrl: given['proxy-url'], enableRateLimit: false });
  made.fetchImplementation = (url, { method, headers, body, signal }) =>
    fetch(url, { method, headers, body, signal, dispatcher });
  return made;
}

function connected() {
  const config = { enableRateLimit: false };
  return connect(given.venue, { folder: given.identity }, given.credential, { config, pro: given.pro ?? false });
}

let orderId;
const limit = (symbol, amount) => exchange.createOrder(symbol, 'limit', 'buy', amount, PRICE);
const shown = ({ id, symbol, status, amount, price }) => ({ id, symbol, status, amount, price });
const STEPS = {
  load_markets: async () => ({ symbols: Object.keys(await exchange.loadMarkets()).sort() }),
  fetch_balance: async () => ({ total: (await exchange.fetchBalance()).total }),
  create_limit: async () => {
    const order = await limit(venue.symbol, AMOUNT);
    orderId = order.id;
    return shown(order);
  },
  fetch_order: async () => shown(await exchange.fetchOrder(orderId, venue.symbol, venue.fetchOrder)),
  fetch_open_orders: async () => {
    const ids = (await exchange.fetchOpenOrders(venue.symbol)).map((order) => order.id);
    if (!ids.includes(orderId)) throw new Error(`the order ${orderId} is not among ${ids}`);
    return { ids };
  },
  cancel_order: async () => shown(await exchange.cancelOrder(orderId, venue.symbol)),
  create_market: async () => shown(await exchange.createOrder(venue.symbol, 'market', 'sell', AMOUNT)),
  outside_symbol: async () => shown(await limit(venue.outside, AMOUNT)),
  over_cap: async () => shown(await limit(venue.symbol, OVER_CAP)),
  withdraw: async () => {
    const { id } = await exchange.withdraw('BTC', 0.01, ADDRESS, undefined, venue.withdraw);
    return { id };
  },
  watch_orders: async () => {
    const watched = exchange.watchOrders(venue.symbol);
    watched.catch(() => undefined); // heard below
    // Of what was placed before it listens, it would not be told.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const { id } = await limit(venue.symbol, AMOUNT);
    const seen = await watched;
    if (!seen.some((order) => order.id === id)) throw new Error(`${id} was not seen`);
    return { id };
  },
  create_order_ws: async () => shown(await exchange.createOrderWs(venue.symbol, 'limit', 'buy', AMOUNT, PRICE)),
  outside_symbol_ws: async () =>
    shown(await exchange.createOrderWs(venue.outside, 'limit', 'buy', AMOUNT, PRICE)),
};

function basesOf(error) {
  const names = [];
  for (let kind = error.constructor; kind !== Error && kind !== null; kind = Object.getPrototypeOf(kind)) {
    if (kind.name) names.push(kind.name);
  }
  return names;
}

for (const step of given.steps.split(',')) {
  const start = performance.now();
  let report;
  try {
    report = { ok: true, result: await STEPS[step]() };
  } catch (error) {
    // What ccxt throws is the finding.
    report = {
      ok: false,
      error_class: error.constructor.name,
      error_bases: basesOf(error),
      error: String(error),
      denied: error instanceof countersign.Denied,
      reason: error.reason,
      entry: error.entryIndex,
    };
  }
  report.elapsed_ms = performance.now() - start;
  console.log(JSON.stringify({ step, ...report }));
}
await exchange.close();
