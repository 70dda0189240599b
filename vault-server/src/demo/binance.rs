//! Binance, whose signature covers parameters alone: neither method, path nor host. The same bytes
//! are good for many operations, and the vault counts every one of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;
use vault_audit::{Entry, Reader, tree};
use vault_client::v1::{
    CredentialMetadata, ExplainCommand, ExplainResponse, Network, Scope, SignedRequest,
    VenueRequest, VenueSymbols,
};
use vault_client::{Client, Operator, Signed, venue_request};
use vault_core::DataDir;

use super::act::{connect, enroll, import, invite, metadata, put_scope, refusal, signed, words};
use super::execute;
use super::mismatch::{Mismatch, instead_of};
use super::report::{Done, Report, Stopped};
use super::tally::Tally;
use super::vault::Place;
use super::venue::Venues;

/// Names of the credential without an assumption, and of who reads with it.
pub const PLAIN: &str = "binance-plain";
pub const READER: &str = "demo-reader";
/// Names of the credential with one, and of who trades with it.
pub const CHECKED: &str = "binance-checked";
pub const TRADER: &str = "demo-trader";

/// Everybody and everything that these steps need.
pub struct Stage<'a> {
    pub place: &'a Place,
    pub venues: &'a Venues,
    pub admin: &'a Operator,
    /// Where bots are served.
    pub bot_address: SocketAddr,
    /// Where bots enrol.
    pub enroll_address: &'a str,
}

/// What has been shown.
pub struct Shown {
    /// The order, with its receipt.
    order: Signed,
    /// All that its signature authorises, as Explain says.
    closure: ExplainResponse,
    /// What it left in the log.
    pub tally: Tally,
}

/// Has a read refused, an order signed, and a read's signature used for a cancel; then has the vault
/// send what it judged.
pub async fn show(stage: &Stage<'_>, report: &mut Report) -> Result<Shown, Stopped> {
    let reader = report
        .step("Binance: an HMAC key is imported, for a bot that reads", async {
            let key = metadata(PLAIN, "binance");
            import(stage.admin, key, stage.venues.binance_secret()).await?;
            let bot = stage.bot(READER, PLAIN, &["read"]).await?;
            Ok((bot, READER.to_owned()))
        })
        .await?;
    report.step("its read of open orders is refused", stage.read_is_refused(&reader)).await?;

    let trader = report
        .step("an Ed25519 key is imported, assume = [\"venue_checks\"]", async {
            let assume = words(&[ASSUMED]);
            let key = CredentialMetadata { assume, ..metadata(CHECKED, "binance") };
            let found = import(stage.admin, key, stage.venues.binance_private_key()).await?;
            if found != "ed25519" {
                return Err(Mismatch::new("a key of the type ed25519", found));
            }
            let bot = stage.bot(TRADER, CHECKED, &["read", "cancel", "trade"]).await?;
            Ok((bot, TRADER.to_owned()))
        })
        .await?;
    let (order, order_id, closure) = report
        .step("a Binance order is signed, and the venue accepts it", stage.order(&trader))
        .await?;
    report
        .step(
            "why: sent as DELETE, a signed read is a cancel",
            stage.read_cancels(&trader, &order_id),
        )
        .await?;
    let mut tally = Tally { signed: 2, denied: 1, ..Tally::default() };
    tally += execute::show(stage, &reader, report).await?;
    Ok(Shown { order, closure, tally })
}

/// Looks the order's entry up in the log of the vault that has stopped.
pub fn entry(place: &Place, shown: &Shown) -> Done<()> {
    let index = shown.order.receipt.index;
    let expected = "an entry that the Binance order's receipt is of";
    let audit = DataDir::new(place.data()).audit();
    let found =
        Reader::open(&audit).entries(index..index + 1).map_err(instead_of(expected))?.next();
    let (_, line) =
        found.ok_or_else(|| Mismatch::new(expected, "none"))?.map_err(instead_of(expected))?;
    if tree::leaf_hash(&line).as_slice() != shown.order.receipt.leaf_hash {
        return Err(Mismatch::new(expected, "another entry"));
    }
    let entry = Entry::from_line(&line).map_err(instead_of(expected))?;
    let lines = check_entry(&entry, &shown.closure)?;
    Ok(((), format!("entry {index}\n{lines}")))
}

impl Stage<'_> {
    /// A bot that may do this with one credential, at every product, in one symbol.
    async fn bot(
        &self,
        name: &str,
        credential: &str,
        classes: &[&str],
    ) -> Result<Client, Mismatch> {
        let symbols = VenueSymbols { venue: "binance".to_owned(), symbols: words(&[SYMBOL]) };
        let scope = Scope {
            name: name.to_owned(),
            credentials: words(&[credential]),
            classes: words(classes),
            modes: words(&["sign", "execute"]),
            // Of some operations the bytes do not say which product they touch.
            products: words(&["*"]),
            symbols: vec![symbols],
            network: Some(Network { allow: words(&["127.0.0.0/8"]), ..Network::default() }),
            ..Scope::default()
        };
        put_scope(self.admin, scope).await?;
        let token = invite(self.admin, name, name).await?;
        connect(enroll(self.place, &token, name, self.enroll_address).await?).await
    }

    async fn read_is_refused(&self, reader: &Client) -> Done<()> {
        let read = request("GET", &format!("/api/v3/openOrders?symbol={SYMBOL}"))?;
        let size = self.closure(READER, PLAIN, &read).await?.closure.len();
        let refusal = refusal(reader, PLAIN, read, "CLASS_NOT_GRANTED").await?;

        let outside = format!("{} ({})", refusal.operation, refusal.class);
        if outside != "DELETE /api/v3/openOrders (cancel)" {
            return Err(Mismatch::new("a refusal that names the cancel of all orders", outside));
        }
        // It would cancel at a venue that checks everything, too: no assumption helps.
        if refusal.remedies != ["execute"] {
            let found = refusal.remedies.join(" ");
            return Err(Mismatch::new("the remedy execute and no other", found));
        }
        let mut lines = vec![
            refusal.reason,
            format!("the same bytes are good for {size} operations"),
            format!("outside   {outside}: cancel all"),
            format!("remedies  {}", refusal.remedies.join(" ")),
        ];
        let heads = std::iter::once("hint").chain(std::iter::repeat(""));
        let hints = heads.zip(refusal.hint.split("; "));
        lines.extend(hints.map(|(head, words)| format!("{head:<9} {words}")));
        Ok(((), lines.join("\n")))
    }

    async fn order(&self, trader: &Client) -> Done<(Signed, String, ExplainResponse)> {
        let order = format!(
            "/api/v3/order?symbol={SYMBOL}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000"
        );
        let order = request("POST", &order)?;
        let closure = self.closure(TRADER, CHECKED, &order).await?;
        if !closure.allowed || closure.outside_count != 0 {
            let expected = "a closure that the scope covers";
            return Err(Mismatch::new(expected, format!("{} outside", closure.outside_count)));
        }
        let without = self.closure(READER, PLAIN, &order).await?.closure.len();
        let size = closure.closure.len();
        if size < 2 || size >= without {
            let expected = "an assumption that leaves fewer operations, and the futures' order";
            return Err(Mismatch::new(expected, format!("{size} of {without}")));
        }

        let signed = signed(trader, CHECKED, order).await?;
        let answer = self.venues.send(&signed.request).await?;
        let order_id = order_id(&answer, "NEW")?;
        let products = closure.closure.iter().flat_map(|member| &member.products);
        let products: Vec<&str> =
            products.map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        let detail = format!(
            "order {order_id}\ngood for {size} operations ({}), all in the scope\n\
             without the assumption it would be {without}",
            products.join(", "),
        );
        Ok(((signed, order_id, closure), detail))
    }

    /// Reads an order, and sends the very bytes again under another method.
    async fn read_cancels(&self, trader: &Client, order_id: &str) -> Done<()> {
        let read = request("GET", &format!("/api/v3/order?symbol={SYMBOL}&orderId={order_id}"))?;
        let signed = signed(trader, CHECKED, read).await?;
        let read = self.venues.send(&signed.request).await?;
        let cancel = SignedRequest { method: "DELETE".to_owned(), ..signed.request };
        let cancelled = self.venues.send(&cancel).await?;
        for (answer, status) in [(&read, "NEW"), (&cancelled, "CANCELED")] {
            if self::order_id(answer, status)? != order_id {
                return Err(Mismatch::new("an answer about the order", "one about another"));
            }
        }
        Ok(((), format!("order {order_id}\nso a scope that grants the one must grant the other")))
    }

    async fn closure(
        &self,
        client: &str,
        credential: &str,
        request: &VenueRequest,
    ) -> Result<ExplainResponse, Mismatch> {
        let command = ExplainCommand {
            client: client.to_owned(),
            credential: credential.to_owned(),
            mode: "sign".to_owned(),
            request: Some(request.clone()),
            address: "127.0.0.1".to_owned(),
        };
        self.admin.explain(command).await.map_err(instead_of("an explanation"))
    }
}

/// A request to Binance without a body.
pub fn request(method: &str, target: &str) -> Result<VenueRequest, Mismatch> {
    venue_request(method, &format!("https://{HOST}{target}"), Vec::new())
        .map_err(instead_of("a URL of a venue"))
}

/// The id in Binance's answer about one order of this status.
pub fn order_id(answer: &Value, status: &str) -> Result<String, Mismatch> {
    match (answer["orderId"].as_u64(), answer["status"].as_str()) {
        (Some(id), Some(found)) if found == status => Ok(id.to_string()),
        _ => Err(Mismatch::new(format!("Binance accepts it: {status}"), answer)),
    }
}

/// The entry says what was assumed, and what else the signature authorises; returns it in lines.
fn check_entry(entry: &Entry, closure: &ExplainResponse) -> Result<String, Mismatch> {
    let hash = entry.closure_hash.map(hex::encode).unwrap_or_default();
    let widest = entry.closure_widest.as_deref().unwrap_or_default();
    let assume = entry.assume.join(" ");
    for (what, found, expected) in [
        ("what was assumed", assume.as_str(), ASSUMED),
        ("the closure's hash", &hash, &hex::encode(&closure.closure_hash)),
        ("the closure's widest operation", widest, &closure.closure_widest),
    ] {
        if found != expected || found.is_empty() {
            let expected = format!("an entry with {what}: {expected}");
            return Err(Mismatch::new(expected, format!("\"{found}\"")));
        }
    }
    let rows = [("assume", assume.as_str()), ("closure_widest", widest), ("closure_hash", &hash)];
    let lines: Vec<String> = rows.map(|(name, value)| format!("{name:<15} {value}")).into();
    Ok(lines.join("\n"))
}

const ASSUMED: &str = "venue_checks";
/// Where Binance is asked about spot.
pub const HOST: &str = "api.binance.com";
/// The symbol that both bots may touch.
pub const SYMBOL: &str = "BTCUSDT";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vault_audit::{Entry, EntryKind};
    use vault_client::v1::ExplainResponse;
    use vault_model::Timestamp;

    use super::{ASSUMED, check_entry, order_id};

    #[test]
    fn only_what_the_venue_says_is_so() {
        let answer = json!({ "orderId": 7, "status": "NEW" });
        assert_eq!(order_id(&answer, "NEW").as_deref(), Ok("7"));
        for answer in [
            json!({ "code": -1022, "msg": "Signature for this request is not valid." }),
            json!({ "orderId": 7, "status": "CANCELED" }),
            json!({ "orderId": 7 }),
            json!({ "status": "NEW" }),
        ] {
            assert!(order_id(&answer, "NEW").is_err(), "{answer}");
        }
    }
    #[test]
    fn an_entry_without_the_assumption_does_not_hold() {
        let closure = ExplainResponse {
            closure_hash: vec![7; 32],
            closure_widest: "POST /order".to_owned(),
            ..ExplainResponse::default()
        };
        let mut entry = Entry::new(EntryKind::Sign, 1, Timestamp::from_millis(1), "n", 1, "build");
        entry.assume = vec![ASSUMED.to_owned()];
        entry.closure_hash = Some([7; 32]);
        entry.closure_widest = Some("POST /order".to_owned());
        assert!(check_entry(&entry, &closure).is_ok());

        let bare = Entry { assume: Vec::new(), ..entry.clone() };
        let other = Entry { closure_hash: Some([8; 32]), ..entry.clone() };
        let narrow = Entry { closure_widest: None, ..entry };
        for wrong in [bare, other, narrow] {
            assert!(check_entry(&wrong, &closure).is_err());
        }
    }
}
