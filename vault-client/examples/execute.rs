//! Orders by `Execute`: the vault judges, signs and sends them, and says where its log has them.
//!
//! ```sh
//! COUNTERSIGN_IDENTITY=~/.config/countersign/identities/bot \
//!     cargo run --package vault-client --example execute
//! ```
//!
//! The folder is what `vaultctl enroll` made. The certificate in it is renewed while the bot runs.

#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::path::PathBuf;

use vault_client::{Client, ClientError, ExecuteOrder, Identity, venue_request};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        std::env::var_os("COUNTERSIGN_IDENTITY").ok_or("COUNTERSIGN_IDENTITY is not set")?;
    let client = Client::connect(Identity::load(&PathBuf::from(folder))?).await?;

    let placed = client.execute(order("0.001")?).await?;
    println!("order {} {}", placed.status, String::from_utf8_lossy(&placed.body));
    if let Some(receipt) = placed.receipt {
        println!("entry {} of {}", receipt.index, receipt.log_origin);
    }

    // The same id again: nothing is sent twice.
    let again = ExecuteOrder { request_id: Some(placed.request_id), ..order("0.001")? };
    match client.execute(again).await {
        Err(ClientError::Refused(refusal)) => println!("again {}", refusal.reason),
        other => return Err(format!("sent again: {other:?}").into()),
    }

    // Larger than the scope allows.
    match client.execute(order("50")?).await {
        Err(ClientError::Refused(refusal)) => println!("denied {}; {}", refusal, refusal.hint),
        other => return Err(format!("not denied: {other:?}").into()),
    }
    Ok(())
}

/// Without time, API key and signature: the vault adds those.
fn order(quantity: &str) -> Result<ExecuteOrder, Box<dyn Error>> {
    let url = format!(
        "https://api.binance.com/api/v3/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC\
         &quantity={quantity}&price=50000"
    );
    Ok(ExecuteOrder {
        credential: "binance-main".to_owned(),
        request: venue_request("POST", &url, "")?,
        ..Default::default()
    })
}
