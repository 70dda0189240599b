//! The life of the product, through the real binary.

mod approval;
mod batch;
mod caps;
mod life;
mod list;
mod log;
mod people;
mod policy;
mod price;
mod replay;
mod sign;

use vault_audit::{Entry, EntryKind};
use vault_client::{Client, ClientError, Signed, v1};
use vault_tests::{TestVault, order};

const DAY_S: i64 = 24 * 3_600;

async fn sign(
    bot: &Client,
    credential: &str,
    request: v1::VenueRequest,
) -> Result<Signed, ClientError> {
    bot.sign(order(credential, request)).await
}

/// Signs; if the connection had been cut, once more on a new one.
async fn sign_anew(
    bot: &Client,
    credential: &str,
    request: v1::VenueRequest,
) -> Result<Signed, ClientError> {
    match sign(bot, credential, request.clone()).await {
        Err(error) if error.refusal().is_none() => sign(bot, credential, request).await,
        other => other,
    }
}

/// Has Kraken's XBTUSD approved, priced by BTC/USD.
async fn approve_xbtusd(vault: &TestVault) {
    let instrument = v1::Instrument {
        venue: "kraken".to_owned(),
        product: "spot".to_owned(),
        symbol: "XBTUSD".to_owned(),
        base: "BTC".to_owned(),
        quote: "USD".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USD".to_owned(),
        ..v1::Instrument::default()
    };
    let import = v1::ImportInstrumentsCommand { instruments: vec![instrument] };
    let _: v1::ImportInstrumentsResponse =
        vault.command("vault.v1.InstrumentService/Import", &import).await;
}

fn halt_on(target: &str, level: v1::HaltLevel) -> v1::HaltCommand {
    v1::HaltCommand { level: level.into(), target: target.to_owned(), reason: "a test".to_owned() }
}

fn resume_on(target: &str) -> v1::ResumeCommand {
    v1::ResumeCommand { target: target.to_owned(), ..Default::default() }
}

fn of_kind(entries: &[Entry], kind: EntryKind) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.kind == kind).collect()
}
