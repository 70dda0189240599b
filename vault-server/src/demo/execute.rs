//! What the vault sends itself. No signature leaves it, so that a request is judged as what it is:
//! what else its bytes would be good for is nobody's to use.
//!
//! Bots ask for it with their client library, or with any HTTP client, which puts the venue's URL
//! behind the vault's and a credential's name where the key was.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use vault_audit::{Entry, EntryKind, Reader, tree};
use vault_client::{Client, ExecuteOrder};
use vault_core::DataDir;
use vault_mock_venue::Accepted;

use super::binance::{CHECKED, HOST, PLAIN, READER, SYMBOL, Stage, TRADER, order_id, request};
use super::http_client::{Answer, HttpClient};
use super::mismatch::{Mismatch, instead_of};
use super::report::{Done, Report, Stopped};
use super::tally::Tally;
use super::vault::Place;
use super::venue::Venues;

/// The header in which Binance expects an API key.
pub const KEY_HEADER: &str = "X-MBX-APIKEY";

/// Has the refused read sent, and an HTTP client read, order, and be refused a withdrawal.
pub async fn show(
    stage: &Stage<'_>,
    reader: &Client,
    report: &mut Report,
) -> Result<Tally, Stopped> {
    report.step("Execute: the vault sends the refused read itself", read(stage, reader)).await?;
    report
        .step("any HTTP client: the same read, with a name for a key", read_by_http(stage))
        .await?;
    report
        .step("its order arrives as it was written, and is accepted", order_by_http(stage))
        .await?;
    report.step("its withdrawal is refused", withdraw_by_http(stage)).await?;
    Ok(Tally { sent: 3, unsent: 1, ..Tally::default() })
}

/// Where Binance is asked for what, with its parameters.
pub fn read_target() -> String {
    format!("/api/v3/openOrders?symbol={SYMBOL}")
}

/// An order in the words of its sender: nobody normalises its decimals.
pub fn order_target() -> String {
    let terms = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=50000.00";
    format!("/api/v3/order?symbol={SYMBOL}&{terms}")
}

/// Everything, to somebody else.
pub fn withdrawal_target() -> String {
    "/sapi/v1/capital/withdraw/apply?coin=USDT&network=TRX&address=TDemoAddress&amount=100"
        .to_owned()
}

/// What stands where the key was.
pub fn placeholder(credential: &str) -> String {
    format!("countersign:{credential}")
}

async fn read(stage: &Stage<'_>, reader: &Client) -> Done<()> {
    let mark = Mark::set(stage.venues);
    let target = read_target();
    let order = ExecuteOrder {
        credential: PLAIN.to_owned(),
        request: request("GET", &target)?,
        ..ExecuteOrder::default()
    };
    let executed = reader.execute(order).await.map_err(instead_of("an execution"))?;
    let body: Value = serde_json::from_slice(&executed.body)
        .map_err(instead_of("the venue's answer, in JSON"))?;
    if (executed.status, &body) != (200, &json!([])) {
        let found = format!("{} {body}", executed.status);
        return Err(Mismatch::new("200, and no open orders", found));
    }
    let arrived = mark.one_more(stage.venues)?;
    check_arrived(&arrived, "GET", &target)?;
    let values = executed.headers.iter().map(|header| header.value.as_str());
    check_kept(&arrived, values.chain([body.to_string().as_str()]))?;

    let expected = "a receipt of the entry that says what was sent";
    let receipt = executed.receipt.ok_or_else(|| Mismatch::new(expected, "none"))?;
    let logged = Logged::find(stage.place, receipt.index).await?;
    if logged.leaf_hash != receipt.leaf_hash {
        return Err(Mismatch::new(expected, "one of another entry"));
    }
    logged.check("GET /api/v3/openOrders")?;
    let detail = format!(
        "{} {body}\n\
         arrived   GET https://{HOST}{target}, once, and nothing else\n\
         {logged}\n\
         the bot has the answer, and no signature",
        executed.status,
    );
    Ok(((), detail))
}

async fn read_by_http(stage: &Stage<'_>) -> Done<()> {
    let mark = Mark::set(stage.venues);
    let target = read_target();
    let answer = by_http(stage, READER, PLAIN, "GET", &target).await?;
    if (answer.status.as_u16(), &answer.body) != (200, &json!([])) {
        return Err(unexpected("200, and no open orders", &answer));
    }
    let arrived = mark.one_more(stage.venues)?;
    check_arrived(&arrived, "GET", &target)?;
    check_answer_kept(&arrived, &answer)?;
    let logged = Logged::find(stage.place, entry_index(&answer)?).await?;
    logged.check("GET /api/v3/openOrders")?;
    let detail = format!(
        "{} {}\nGET https://{}/https://{HOST}{target}\n{KEY_HEADER}: {}\n{logged}",
        answer.status.as_u16(),
        answer.body,
        stage.bot_address,
        placeholder(PLAIN),
    );
    Ok(((), detail))
}

async fn order_by_http(stage: &Stage<'_>) -> Done<()> {
    let mark = Mark::set(stage.venues);
    let target = order_target();
    // As libraries write it, which sign with the secret that they believe to have.
    let dressed = format!("{target}&timestamp=1700000000000&signature={}", "0".repeat(64));
    let answer = by_http(stage, TRADER, CHECKED, "POST", &dressed).await?;
    if answer.status.as_u16() != 200 {
        return Err(unexpected("an order that is accepted", &answer));
    }
    let order_id = order_id(&answer.body, "NEW")?;
    let arrived = mark.one_more(stage.venues)?;
    let made_anew = check_arrived(&arrived, "POST", &target)?;
    check_answer_kept(&arrived, &answer)?;
    let logged = Logged::find(stage.place, entry_index(&answer)?).await?;
    logged.check("POST /api/v3/order")?;
    if logged.outcome.detail.get("order_id") != Some(&order_id) {
        let found = logged.outcome.detail.get("order_id").map_or("none", String::as_str);
        return Err(Mismatch::new(format!("an outcome with the order {order_id}"), found));
    }
    let detail = format!(
        "order {order_id}\narrived   POST {target}\nthe vault's own: {}\n{logged}",
        made_anew.join(", "),
    );
    Ok(((), detail))
}

async fn withdraw_by_http(stage: &Stage<'_>) -> Done<()> {
    let arrived = stage.venues.arrived();
    let answer = by_http(stage, TRADER, CHECKED, "POST", &withdrawal_target()).await?;
    let denial = &answer.body["countersign"];
    let reason = denial["reason"].as_str().unwrap_or_default();
    if (answer.status.as_u16(), reason) != (422, "CLASS_NOT_GRANTABLE") {
        return Err(unexpected("422, and CLASS_NOT_GRANTABLE in words for machines", &answer));
    }
    if stage.venues.arrived() != arrived {
        return Err(Mismatch::new("a venue that saw nothing", "it saw a request"));
    }
    let index = entry_index(&answer)?;
    if denial["entry"].as_u64() != Some(index) {
        return Err(unexpected("a denial that names its entry", &answer));
    }
    let (entry, _) = entries_from(stage.place, index)?
        .into_iter()
        .next()
        .ok_or_else(|| Mismatch::new("an entry of the refusal", "none"))?;
    if entry.kind != EntryKind::ExecuteDenied {
        return Err(Mismatch::new("an entry execute.denied", format!("{:?}", entry.kind)));
    }
    Ok(((), format!("422 {reason}\n{}", answer.body)))
}

/// Sends a request to Binance as somebody's HTTP client does, with the vault's URL before the venue's.
async fn by_http(
    stage: &Stage<'_>,
    who: &str,
    credential: &str,
    method: &str,
    target: &str,
) -> Result<Answer, Mismatch> {
    let client = HttpClient::open(&stage.place.identity(who), stage.bot_address)?;
    let key = placeholder(credential);
    client.send(method, &format!("/https://{HOST}{target}"), (KEY_HEADER, &key)).await
}

fn unexpected(expected: &str, answer: &Answer) -> Mismatch {
    Mismatch::new(expected, format!("{} {}", answer.status.as_u16(), answer.body))
}

/// Where the log speaks of it, as the answer says.
fn entry_index(answer: &Answer) -> Result<u64, Mismatch> {
    let stated = answer.headers.get("countersign-entry").and_then(|index| index.to_str().ok());
    stated
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| unexpected("an answer with a header countersign-entry", answer))
}

/// What had come to the venues, to tell what came after it.
struct Mark {
    arrived: usize,
    accepted: usize,
}

impl Mark {
    fn set(venues: &Venues) -> Self {
        Self { arrived: venues.arrived(), accepted: venues.accepted().len() }
    }

    /// The one request that came since, and was accepted.
    fn one_more(&self, venues: &Venues) -> Result<Accepted, Mismatch> {
        let arrived = venues.arrived() - self.arrived;
        let mut accepted = venues.accepted().split_off(self.accepted);
        match accepted.pop() {
            Some(only) if accepted.is_empty() && arrived == 1 => Ok(only),
            _ => Err(Mismatch::new("one request at the venue", format!("{arrived} requests"))),
        }
    }
}

/// The venue saw what was asked for, byte for byte, and behind it only what the vault makes, whose
/// names are returned.
fn check_arrived<'a>(
    arrived: &'a Accepted,
    method: &str,
    target: &str,
) -> Result<Vec<&'a str>, Mismatch> {
    let expected = || format!("{method} https://{HOST}{target} at the venue");
    let Accepted { method: found, host, target: whole, .. } = arrived;
    let other = || Mismatch::new(expected(), format!("{found} https://{host}{whole}"));
    let rest = whole.strip_prefix(target).ok_or_else(other)?;
    if found != method || host != HOST || !arrived.body.is_empty() {
        return Err(other());
    }
    let rest = rest.strip_prefix('&').ok_or_else(other)?;
    let names: Vec<&str> =
        rest.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name)).collect();
    let fits = names.iter().all(|name| ["recvWindow", "timestamp", "signature"].contains(name));
    if fits && names.contains(&"signature") { Ok(names) } else { Err(other()) }
}

fn check_answer_kept(arrived: &Accepted, answer: &Answer) -> Result<(), Mismatch> {
    let body = answer.body.to_string();
    let values = answer.headers.values().filter_map(|value| value.to_str().ok());
    check_kept(arrived, values.chain([body.as_str()]))
}

/// Neither signature nor key of what was sent is in what came back.
fn check_kept<'a>(
    arrived: &Accepted,
    answer: impl Iterator<Item = &'a str>,
) -> Result<(), Mismatch> {
    let expected = "an answer without signature and key";
    let signature = arrived.query.split('&').find_map(|pair| pair.strip_prefix("signature="));
    let signature = signature.ok_or_else(|| Mismatch::new("a signed request", "none"))?;
    for text in answer {
        for (kept, what) in [(signature, "the signature"), (&arrived.api_key, "the key")] {
            if text.contains(kept) {
                return Err(Mismatch::new(expected, format!("{what} in it")));
            }
        }
    }
    Ok(())
}

/// The two entries of one execution.
struct Logged {
    intent: Entry,
    leaf_hash: Vec<u8>,
    outcome: Entry,
}

impl Logged {
    /// Waits for the outcome, for which nobody else does.
    async fn find(place: &Place, index: u64) -> Result<Self, Mismatch> {
        let mut seen = 0;
        for _ in 0..LOOKS {
            let mut entries = entries_from(place, index)?.into_iter();
            seen = entries.len();
            if let Some((intent, leaf_hash)) = entries.next() {
                let intent_index = index.to_string();
                let of_it = |entry: &Entry| {
                    entry.kind == EntryKind::ExecuteOutcome
                        && entry.detail.get("intent") == Some(&intent_index)
                };
                if let Some((outcome, _)) = entries.find(|(entry, _)| of_it(entry)) {
                    return Ok(Self { intent, leaf_hash, outcome });
                }
            }
            sleep(LOOK_INTERVAL).await;
        }
        let found = format!("none in {seen} entries from {index} on");
        Err(Mismatch::new("an execute.outcome in the log", found))
    }

    /// They say that this operation was sent, and answered with 200.
    fn check(&self, operation: &str) -> Result<(), Mismatch> {
        let Self { intent, outcome, .. } = self;
        let detail = |name: &str| outcome.detail.get(name).map_or("none", String::as_str);
        let stated = intent.operation.as_deref().unwrap_or("none");
        if intent.kind != EntryKind::ExecuteIntent || stated != operation {
            let expected = format!("an execute.intent of {operation}");
            return Err(Mismatch::new(expected, format!("{:?} of {stated}", intent.kind)));
        }
        if (detail("sent"), detail("status")) != ("yes", "200") {
            let found = format!("sent: {}, status: {}", detail("sent"), detail("status"));
            return Err(Mismatch::new("an outcome that says sent, and 200", found));
        }
        Ok(())
    }
}

impl std::fmt::Display for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { intent, outcome, .. } = self;
        let took = outcome.detail.get("latency_us").map_or("?", String::as_str);
        let (intent, outcome) = (intent.idx, outcome.idx);
        write!(f, "entries   {intent} execute.intent, {outcome} execute.outcome, {took} µs")
    }
}

/// The log of the living vault from an entry on, with the entries' hashes.
fn entries_from(place: &Place, index: u64) -> Result<Vec<(Entry, Vec<u8>)>, Mismatch> {
    let expected = "a log that can be read";
    let log = Reader::open(&DataDir::new(place.data()).audit());
    let lines = log.entries(index..u64::MAX).map_err(instead_of(expected))?;
    lines
        .map(|line| {
            let (_, line) = line.map_err(instead_of(expected))?;
            let entry = Entry::from_line(&line).map_err(instead_of(expected))?;
            Ok((entry, tree::leaf_hash(&line).to_vec()))
        })
        .collect()
}

/// Together a little less than a step may take.
const LOOKS: u32 = 1000;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use vault_mock_venue::{Accepted, Venue};

    use super::{check_arrived, check_kept};

    fn arrived(target: &str) -> Accepted {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        Accepted {
            venue: Venue::Binance,
            method: "GET".to_owned(),
            host: "api.binance.com".to_owned(),
            target: target.to_owned(),
            path: "/a".to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: String::new(),
            http2: false,
            api_key: "key".to_owned(),
            at_ms: 1,
        }
    }

    #[test]
    fn what_arrived_is_what_was_asked_for_and_what_the_vault_makes() {
        let right = arrived("/a?b=1&timestamp=2&signature=3");
        assert_eq!(check_arrived(&right, "GET", "/a?b=1"), Ok(vec!["timestamp", "signature"]));

        for target in [
            "/a?b=1",
            "/a?b=1&timestamp=2",
            "/a?b=10&timestamp=2&signature=3",
            "/a?b=1&c=1&signature=3",
            "/a?timestamp=2&b=1&signature=3",
        ] {
            assert!(check_arrived(&arrived(target), "GET", "/a?b=1").is_err(), "{target}");
        }
        for wrong in [
            Accepted { method: "DELETE".to_owned(), ..right.clone() },
            Accepted { host: "127.0.0.1".to_owned(), ..right.clone() },
            Accepted { body: "b=1".to_owned(), ..right.clone() },
        ] {
            assert!(check_arrived(&wrong, "GET", "/a?b=1").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_answer_with_the_signature_or_the_key_does_not_hold() {
        let arrived = arrived("/a?b=1&signature=5f3c");
        assert_eq!(check_kept(&arrived, ["200", "[]"].into_iter()), Ok(()));
        for text in ["signature=5f3c", "a key"] {
            assert!(check_kept(&arrived, ["200", text].into_iter()).is_err(), "{text}");
        }
        let unsigned = Accepted { query: String::new(), ..arrived };
        assert!(check_kept(&unsigned, ["[]"].into_iter()).is_err());
    }
}
