import assert from 'node:assert/strict';
import { test } from 'node:test';
import { venueRequest, type Order } from '../src/order.js';

const ORDER = { credential: 'a', method: 'POST', url: 'https://www.okx.com/api/v5/trade/order' };

function body(more: Partial<Order>): string {
  return Buffer.from(venueRequest({ ...ORDER, ...more }).body).toString();
}

test('takes URLs apart byte for byte', () => {
  const request = venueRequest({ ...ORDER, url: 'https://www.okx.com/api//v5/balance?ccy=BTC,%45TH?x' });
  assert.equal(request.scheme, 'https');
  assert.equal(request.host, 'www.okx.com');
  assert.equal(request.path, '/api//v5/balance');
  assert.equal(request.query, 'ccy=BTC,%45TH?x');

  const bare = venueRequest({ ...ORDER, url: 'wss://ws.okx.com?a=1', params: { b: 2n, c: true } });
  assert.deepEqual([bare.scheme, bare.path, bare.query], ['wss', '/', 'a=1&b=2&c=true']);
});

test('refuses URLs that would not be sent as they stand', () => {
  for (const url of [
    'www.okx.com/',
    'http://www.okx.com/',
    'https://',
    'https:///path',
    'https://me@www.okx.com/',
    'https://www.okx.com:443/',
    'https://www.okx.com/#a',
  ]) {
    assert.throws(() => venueRequest({ ...ORDER, url }), RangeError, url);
  }
});

test('keeps parameters in order, and refuses what needs an escape', () => {
  const params: [string, string | number][] = [
    ['b', 1],
    ['a', 'x,y'],
    ['b', '2'],
  ];
  assert.equal(venueRequest({ ...ORDER, params }).query, 'b=1&a=x,y&b=2');
  for (const value of ['a b', 'a&b', 'a=b', 'a%20', 'a#', 'ä', 'a+b', 'a\n']) {
    assert.throws(() => venueRequest({ ...ORDER, params: { a: value } }), RangeError, value);
  }
  for (const value of [0.1, 1e21, NaN, undefined, null, {}]) {
    assert.throws(() => venueRequest({ ...ORDER, params: { a: value as number } }), TypeError, String(value));
  }
});

test('writes JSON without blanks and without floats', () => {
  const json = { a: [1, 'x', null, true], b: undefined, big: 2n ** 70n, 'ü"': { c: '0.10' } };
  assert.equal(body({ json }), '{"a":[1,"x",null,true],"big":1180591620717411303424,"ü\\"":{"c":"0.10"}}');
  assert.equal(body({ body: 'a=1' }), 'a=1');
  assert.equal(body({}), '');
  assert.throws(() => body({ json: { a: 0.1 } }), TypeError);
  assert.throws(() => body({ json: [undefined] }), TypeError);
  assert.throws(() => body({ json: {}, body: '' }), TypeError);
});
