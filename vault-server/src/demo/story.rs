//! The steps, in order. Each shows one thing, and fails if it is not so.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use vault_audit::{export, verify};
use vault_client::v1::{
    HaltCommand, HaltLevel, Network, ResumeCommand, RevokeClientCommand, Role, Scope, VenueRequest,
    VenueSymbols,
};
use vault_client::{Client, Operator, Signed};
use vault_core::DataDir;

use super::act::{
    connect, enroll, import, invite, metadata, put_scope, refusal, request, signed, through, words,
};
use super::binance;
use super::mismatch::{Mismatch, instead_of};
use super::relay::Relay;
use super::report::{Done, Report, Stopped};
use super::rules;
use super::tally::{Tally, check_log};
use super::vault::{Place, Vault, init, send_to, unseal};
use super::venue::Venues;

/// Names that the demonstration gives.
pub const ADMIN: &str = "admin";
pub const AUDITOR: &str = "auditor";
pub const BOT: &str = "demo-bot";
pub const KRAKEN: &str = "kraken-demo";
pub const OKX: &str = "okx-demo";
pub const SCOPE: &str = "demo-scope";

/// A URL and a body that the scope allows, for people who try their own client.
pub const ORDER_URL: &str = "https://www.okx.com/api/v5/trade/order";
pub const ORDER_BODY: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"50000","sz":"0.01"}"#;

/// Everything that has been set up.
pub struct Stage {
    /// Where its files are.
    pub place: Place,
    /// The mock venues and their keys.
    pub venues: Venues,
    /// The vault while it runs: out here, so that it can be stopped whatever becomes of the steps.
    pub vault: Option<Vault>,
    /// Whether the passphrase is written to a file.
    pub keep: bool,
}

/// Who is on the stage once all have come.
pub struct Cast {
    admin: Operator,
    bot: Client,
    /// What the Binance steps leave to be looked up.
    binance: binance::Shown,
    log_vkey: String,
    /// An OKX order of this run, with its receipt.
    order: Signed,
    tally: Tally,
}

/// Sets everything up, has orders signed and refused, halts and resumes.
pub async fn set_up(stage: &mut Stage, report: &mut Report) -> Result<Cast, Stopped> {
    let Stage { place, venues, vault: slot, keep } = stage;
    let made = report
        .step("the vault is made: keys, database, log, CA", async {
            let made = init(place).await?;
            // Before its first start: nothing of this ever reaches a real venue.
            send_to(place, venues.tls_address()?, venues.ca_pem()?)?;
            if *keep {
                super::vault::keep_passphrase(place, &made.passphrase)
                    .map_err(instead_of("the passphrase of a vault that is kept is written"))?;
            }
            Ok((made, String::new()))
        })
        .await?;
    let vault = report
        .step("it starts, sealed", async {
            let vault = Vault::start(place).await?;
            if vault.ready.state != "sealed" {
                return Err(Mismatch::new("a vault that starts sealed", &vault.ready.state));
            }
            let ready = &vault.ready;
            let pids = format!(
                "supervisor {}, front {}, core {}, egress {}",
                ready.pid, ready.pid_front, ready.pid_core, ready.pid_egress
            );
            Ok((vault, pids))
        })
        .await?;
    let ready = slot.insert(vault).ready.clone();
    report
        .step("it is unsealed over its local socket", async {
            unseal(place, &made.passphrase).await?;
            Ok(((), String::new()))
        })
        .await?;

    let enroll_address = ready.enroll.to_string();
    let admin = report
        .step("admin and auditor enrol, each with a one-time token", async {
            let admin = enroll(place, &made.admin_token, ADMIN, &enroll_address).await?;
            let auditor = enroll(place, &made.auditor_token, AUDITOR, &enroll_address).await?;
            for (identity, role) in [(&admin, Role::Admin), (&auditor, Role::Auditor)] {
                if identity.role() != role {
                    return Err(Mismatch::new("identities of an admin and an auditor", "others"));
                }
            }
            let admin = Operator::connect(admin).await;
            Ok((admin.map_err(instead_of("the admin connects"))?, String::new()))
        })
        .await?;
    report
        .step("API keys are imported, sealed to the core", async {
            import(&admin, metadata(OKX, "okx"), venues.okx_secret()).await?;
            import(&admin, metadata(KRAKEN, "kraken"), venues.kraken_secret()).await?;
            Ok(((), format!("{OKX}, {KRAKEN}")))
        })
        .await?;
    report
        .step("a scope says what a bot may do", async {
            put_scope(&admin, scope()).await?;
            Ok(((), "spot, one pair each, no withdrawals".to_owned()))
        })
        .await?;
    let bot = report
        .step("a bot is invited, and enrols with a key of its own", async {
            let token = invite(&admin, BOT, SCOPE).await?;
            let identity = enroll(place, &token, BOT, &enroll_address).await?;
            Ok((connect(identity).await?, BOT.to_owned()))
        })
        .await?;

    let mut tally = Tally::default();
    let (order, order_id) = report
        .step("an OKX order is signed, and the venue accepts it", async {
            let signed = signed(&bot, OKX, okx_order("BTC-USDT")?).await?;
            let answer = venues.send(&signed.request).await?;
            let order_id = okx_order_id(&answer)?;
            Ok(((signed, order_id.clone()), format!("order {order_id}")))
        })
        .await?;
    report
        .step("a Kraken order is signed, and the venue accepts it", async {
            let body = "ordertype=limit&type=buy&pair=XBTUSD&price=50000&volume=0.01";
            let request = request("https://api.kraken.com/0/private/AddOrder", body)?;
            let signed = signed(&bot, KRAKEN, request).await?;
            let answer = venues.send(&signed.request).await?;
            Ok(((), format!("order {}", kraken_order_id(&answer)?)))
        })
        .await?;
    tally.signed += 2;

    report
        .step("a withdrawal is refused", async {
            let body = r#"{"ccy":"USDT","amt":"100","dest":"4","toAddr":"TDemoAddress","fee":"1"}"#;
            let request = request("https://www.okx.com/api/v5/asset/withdrawal", body)?;
            refused(&bot, request, "CLASS_NOT_GRANTABLE").await
        })
        .await?;
    report
        .step("an order in a foreign symbol is refused", async {
            refused(&bot, okx_order("DOGE-USDT")?, "SYMBOL_NOT_GRANTED").await
        })
        .await?;
    report
        .step("a batch that hides one is refused as a whole", async {
            let body = format!("[{ORDER_BODY},{}]", ORDER_BODY.replace("BTC-USDT", "DOGE-USDT"));
            let request = request("https://www.okx.com/api/v5/trade/batch-orders", &body)?;
            refused(&bot, request, "SYMBOL_NOT_GRANTED").await
        })
        .await?;
    report
        .step("the bot's own key from another address is refused", async {
            let expected = "a connection from another address";
            let relay = Relay::start(ready.bot, FOREIGN_ADDRESS).await;
            let relay = relay.map_err(instead_of(expected))?;
            let thief = through(place, BOT, &relay).await?;
            refused(&thief, okx_order("BTC-USDT")?, "CLIENT_NETWORK_NOT_ALLOWED").await
        })
        .await?;
    tally.denied += 4;

    report
        .step("trading is halted (NO_NEW_RISK): orders are refused", async {
            let command = HaltCommand {
                level: HaltLevel::NoNewRisk.into(),
                target: "all".to_owned(),
                reason: "demonstration".to_owned(),
            };
            admin.halt(command).await.map_err(instead_of("a halt"))?;
            refused(&bot, okx_order("BTC-USDT")?, "HALT_NO_NEW_RISK").await
        })
        .await?;
    report
        .step("a cancel still passes, and the venue accepts it", async {
            let body = format!(r#"{{"instId":"BTC-USDT","ordId":"{order_id}"}}"#);
            let request = request("https://www.okx.com/api/v5/trade/cancel-order", &body)?;
            let signed = signed(&bot, OKX, request).await?;
            let cancelled = okx_order_id(&venues.send(&signed.request).await?)?;
            if cancelled != order_id {
                return Err(Mismatch::new("the order is cancelled", "another one is"));
            }
            Ok(((), format!("order {cancelled}")))
        })
        .await?;
    report
        .step("trading is resumed: an order passes again", async {
            let command = ResumeCommand { target: "all".to_owned(), ..Default::default() };
            admin.resume(command).await.map_err(instead_of("a resume"))?;
            let signed = signed(&bot, OKX, okx_order("BTC-USDT")?).await?;
            let answer = venues.send(&signed.request).await?;
            Ok(((), format!("order {}", okx_order_id(&answer)?)))
        })
        .await?;
    tally.denied += 1;
    tally.signed += 2;

    let shown = {
        let (bot_address, enroll_address) = (ready.bot, &enroll_address);
        let stage = binance::Stage { place, venues, admin: &admin, bot_address, enroll_address };
        tally += rules::show(&stage, report).await?;
        binance::show(&stage, report).await?
    };
    tally += shown.tally;

    Ok(Cast { admin, bot, binance: shown, log_vkey: made.log_vkey, order, tally })
}

/// Revokes the bot, stops the vault and verifies its log.
pub async fn wind_up(stage: &mut Stage, cast: Cast, report: &mut Report) -> Result<(), Stopped> {
    let Cast { admin, bot, binance: shown, log_vkey, order, tally } = cast;
    let Stage { place, venues, vault: slot, .. } = stage;
    let bot_address = slot.as_ref().map(|vault| vault.ready.bot);
    report
        .step("the bot is revoked: connection cut, next call refused", async {
            let expected = "a bot that is connected";
            let address = bot_address.ok_or_else(|| Mismatch::new(expected, "no vault"))?;
            let relay = Relay::start(address, Ipv4Addr::LOCALHOST).await;
            let relay = relay.map_err(instead_of(expected))?;
            let watched = through(place, BOT, &relay).await?;
            // Used once, so that the cut is one of a connection at work.
            signed(&watched, OKX, okx_order("BTC-USDT")?).await?;

            let command =
                RevokeClientCommand { name: BOT.to_owned(), reason: "demonstration".to_owned() };
            admin.revoke_client(command).await.map_err(instead_of("a revocation"))?;
            timeout(CUT, relay.connection_ended()).await.map_err(|_| {
                let expected = format!("the bot's connection is cut within {} s", CUT.as_secs());
                Mismatch::new(expected, "it is open")
            })?;
            for client in [&watched, &bot] {
                refused(client, okx_order("BTC-USDT")?, "CERTIFICATE_REVOKED").await?;
            }
            Ok(((), "CERTIFICATE_REVOKED".to_owned()))
        })
        .await?;
    let tally = Tally { signed: tally.signed + 1, ..tally };
    drop((bot, admin));

    report
        .step("the vault stops in order", async {
            if let Some(vault) = slot.take() {
                vault.stop().await?;
            }
            Ok(((), String::new()))
        })
        .await?;
    let options = verify::Options { expected_vkey: Some(log_vkey), ..verify::Options::default() };
    report
        .step("its log is exported and verified offline", async {
            let audit = DataDir::new(place.data()).audit();
            export::export(&audit, &place.export(), None)
                .map_err(instead_of("an export of the log"))?;
            let verified = verify::verify(&place.export(), &options, &mut |_| ())
                .map_err(instead_of("a log that verifies"))?;
            check_log(&verified, tally)?;
            Ok(((), format!("{} entries, all signed", verified.entries)))
        })
        .await?;
    report
        .step("the OKX order's receipt is found in it", async {
            let receipt = vault_audit::Receipt {
                index: order.receipt.index,
                leaf_hash: order.receipt.leaf_hash.as_slice().try_into().map_err(|_| {
                    Mismatch::new("a receipt with a hash of 32 bytes", "another length")
                })?,
                origin: order.receipt.log_origin.clone(),
            };
            let options = verify::Options { receipts: vec![receipt], ..options.clone() };
            verify::verify(&place.export(), &options, &mut |_| ())
                .map_err(instead_of("an entry that the receipt is of"))?;
            Ok(((), format!("entry {}", order.receipt.index)))
        })
        .await?;
    report
        .step("the Binance order's entry says what was assumed", async {
            binance::entry(place, &shown)
        })
        .await?;
    report
        .step("the venues saw nothing but what they accepted", async {
            match venues.refused().first() {
                Some(refused) => {
                    let found = format!("{} ({})", refused.code, refused.reason);
                    Err(Mismatch::new("no refusal by a venue", found))
                }
                None => Ok(((), format!("{} requests", venues.accepted().len()))),
            }
        })
        .await
}

/// What the first bot may do.
fn scope() -> Scope {
    let symbols = |venue: &str, symbol: &str| VenueSymbols {
        venue: venue.to_owned(),
        symbols: words(&[symbol]),
    };
    Scope {
        name: SCOPE.to_owned(),
        description: "spot trading in one pair of each venue".to_owned(),
        credentials: words(&[OKX, KRAKEN]),
        classes: words(&["read", "cancel", "trade"]),
        modes: words(&["sign"]),
        products: words(&["spot"]),
        symbols: vec![symbols("okx", "BTC-USDT"), symbols("kraken", "XBTUSD")],
        network: Some(Network { allow: words(&["127.0.0.0/8"]), ..Network::default() }),
        ..Scope::default()
    }
}

fn okx_order(symbol: &str) -> Result<VenueRequest, Mismatch> {
    request(ORDER_URL, &ORDER_BODY.replace("BTC-USDT", symbol))
}

/// Asks for a signature with the OKX key, which must be refused for this reason.
async fn refused(bot: &Client, request: VenueRequest, reason: &str) -> Done<()> {
    let refusal = refusal(bot, OKX, request, reason).await?;
    Ok(((), refusal.reason))
}

/// The id in OKX's answer to one order or cancel.
fn okx_order_id(answer: &Value) -> Result<String, Mismatch> {
    let order_id = answer["data"][0]["ordId"].as_str().filter(|id| !id.is_empty());
    match (answer["code"].as_str(), order_id) {
        (Some("0"), Some(order_id)) => Ok(order_id.to_owned()),
        _ => Err(Mismatch::new("OKX accepts it", answer)),
    }
}

/// The id in Kraken's answer to one order.
pub fn kraken_order_id(answer: &Value) -> Result<String, Mismatch> {
    let txid = answer["result"]["txid"][0].as_str();
    match (answer["error"].as_array().map(Vec::is_empty), txid) {
        (Some(true), Some(txid)) => Ok(txid.to_owned()),
        _ => Err(Mismatch::new("Kraken accepts it", answer)),
    }
}

/// An address of this machine that the bot was not invited for.
const FOREIGN_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 9);
/// Much longer than a cut takes, and much shorter than a keep-alive.
const CUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{kraken_order_id, okx_order_id};

    #[test]
    fn only_what_a_venue_accepted_is_an_order() {
        let okx = json!({ "code": "0", "data": [{ "ordId": "7" }] });
        assert_eq!(okx_order_id(&okx).as_deref(), Ok("7"));
        for answer in [
            json!({ "code": "50113", "data": [], "msg": "Invalid Sign" }),
            json!({ "code": "1", "data": [{ "ordId": "7" }] }),
            json!({ "code": "0", "data": [{ "ordId": "" }] }),
        ] {
            assert!(okx_order_id(&answer).is_err(), "{answer}");
        }

        let kraken = json!({ "error": [], "result": { "txid": ["O1"] } });
        assert_eq!(kraken_order_id(&kraken).as_deref(), Ok("O1"));
        for answer in [
            json!({ "error": ["EAPI:Invalid nonce"], "result": { "txid": ["O1"] } }),
            json!({ "error": [], "result": {} }),
            json!({ "result": { "txid": ["O1"] } }),
        ] {
            assert!(kraken_order_id(&answer).is_err(), "{answer}");
        }
    }
}
