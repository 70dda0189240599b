// Node: an exchange of ccxt, and requests of one's own, through the vault.
//
//     npm install @countersign/client ccxt
//     COUNTERSIGN_IDENTITY=~/.config/countersign/identities/bot node node.mjs
//
// The folder is what `vaultctl enroll` made; it also says where the vault is. In place of it stands the name of a
// profile, or nothing for the default one. The certificate is renewed while the bot runs.

import { Client, Denied } from '@countersign/client';
import { connect } from '@countersign/client/ccxt';

const folder = process.env.COUNTERSIGN_IDENTITY;
const identity = folder === undefined ? undefined : { folder };

const exchange = connect('bybit', identity, 'bybit-main');
await exchange.loadMarkets();
console.log('balance', (await exchange.fetchBalance()).USDT.total);
const order = await exchange.createOrder('BTC/USDT', 'limit', 'buy', 0.001, 50_000);
console.log('open', (await exchange.fetchOpenOrders('BTC/USDT')).length);
await exchange.cancelOrder(order.id, 'BTC/USDT');
console.log('cancelled', order.id);
try {
  await exchange.createOrder('BTC/USDT', 'limit', 'buy', 50, 50_000);
} catch (error) {
  // Larger than the scope allows: an ExchangeError of ccxt, and this.
  if (!(error instanceof Denied)) throw error;
  console.log('denied', error.reason, error.hint, error.entryIndex);
}

const client = new Client(identity);
const executed = await client.execute({
  credential: 'okx-main',
  method: 'POST',
  url: 'https://www.okx.com/api/v5/trade/order',
  json: { instId: 'BTC-USDT', tdMode: 'cash', side: 'buy', ordType: 'limit', sz: '0.001', px: '50000' },
});
console.log('executed', executed.status, executed.json().data[0].ordId, JSON.stringify(executed.receipt));
client.close();
