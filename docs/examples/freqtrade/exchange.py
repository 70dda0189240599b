#!/usr/bin/env python3
"""freqtrade through the sidecar: its own exchange class, from the config file beside this one.

    pip install freqtrade && freqtrade create-userdir --userdir user_data
    vaultctl --profile bot proxy -- python exchange.py

A whole bot runs in the same way: `vaultctl --profile bot proxy -- freqtrade trade -c config.json`. What the
config says of the vault is the name of the credential where the key would be, and under `ccxt_config`
that ccxt may use the proxy and the CA of its environment, which `vaultctl proxy` sets. `enable_ws` is
false: WebSockets of freqtrade have not been tried through the sidecar.
"""

from pathlib import Path

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.exceptions import ExchangeError
from freqtrade.resolvers import ExchangeResolver

CONFIG = Path(__file__).with_name("config.json")

config = Configuration({"config": [str(CONFIG)]}, RunMode.LIVE).get_config()
exchange = ExchangeResolver.load_exchange(config)
print("markets", sorted(exchange.markets))
print("balance", exchange.get_balances()["USDT"]["total"])


def buy(amount: float) -> dict:
    return exchange.create_order(
        pair="BTC/USDT",
        ordertype="limit",
        side="buy",
        amount=amount,
        rate=50_000,
        leverage=1,
        time_in_force="GTC",
    )


order = buy(0.001)
print("order", exchange.fetch_order(order["id"], "BTC/USDT")["status"])
print("cancelled", exchange.cancel_order(order["id"], "BTC/USDT")["status"])
try:
    buy(50)
except ExchangeError as error:  # larger than the scope allows
    print("denied", error)
