#!/bin/sh
# curl through the vault's HTTPS proxy: a client certificate, a prefix, and a placeholder as API key.
#
#     COUNTERSIGN_VAULT=vault.example:7443 sh curl.sh
#
# COUNTERSIGN_IDENTITY is the folder that `vaultctl enroll` made. Time and signature are left out: the
# vault adds them.
set -eu

vault=https://$COUNTERSIGN_VAULT
identity=${COUNTERSIGN_IDENTITY:-$HOME/.config/countersign/identities/bot}

binance() {
    method=$1 target=$2
    curl --silent --show-error --request "$method" \
        --cert "$identity/cert.pem" --key "$identity/key.pem" --cacert "$identity/ca.pem" \
        --header 'X-MBX-APIKEY: countersign:binance-main' \
        --write-out ' (HTTP %{http_code})\n' \
        "$vault/https://api.binance.com$target"
}

limit='symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=50000'
echo "order $(binance POST "/api/v3/order?$limit&quantity=0.001&newClientOrderId=curl-1")"
echo "open $(binance GET '/api/v3/openOrders?symbol=BTCUSDT')"
echo "cancelled $(binance DELETE '/api/v3/order?symbol=BTCUSDT&origClientOrderId=curl-1')"
echo "denied $(binance POST "/api/v3/order?$limit&quantity=50")"
