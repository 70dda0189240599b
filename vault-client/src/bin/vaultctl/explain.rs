//! `vaultctl explain`.

use std::net::IpAddr;

use clap::ValueEnum;
use vault_client::v1::{
    ExplainCommand, ExplainResponse, ExplainedLeg, ExplainedOperation, ExplainedTransfer,
};
use vault_model::Name;

use crate::arguments::Request;
use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::json;
use crate::output::{pairs, table};

/// Exits with 0 if the request would be allowed, with 3 if not.
#[derive(clap::Args)]
pub struct Arguments {
    /// Whose scope, networks and halts to use
    #[arg(long)]
    client: Name,
    #[arg(long)]
    credential: Name,
    #[arg(long, value_enum, default_value = "sign")]
    mode: Mode,
    /// The address it would come from
    #[arg(long, value_name = "IP")]
    from: IpAddr,
    /// Show the whole closure, however long it is
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    request: Request,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Execute,
    Sign,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let command = ExplainCommand {
        client: arguments.client.to_string(),
        credential: arguments.credential.to_string(),
        mode: match arguments.mode {
            Mode::Execute => "execute",
            Mode::Sign => "sign",
        }
        .to_owned(),
        request: Some(arguments.request.into_venue_request()?),
        address: arguments.from.to_string(),
    };
    let answer = context.operator().await?.explain(command).await?;
    let rows_max = if arguments.all { usize::MAX } else { ROWS_MAX };
    context.output.show(&json::explanation(&answer), || people(&answer, rows_max))?;
    Ok(if answer.allowed { Exit::Ok } else { Exit::Denied })
}

fn people(answer: &ExplainResponse, rows_max: usize) -> String {
    let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
    let mut text = pairs(&[
        ("decision", word(answer.allowed).to_owned()),
        ("reason", answer.reason.clone()),
        ("operation", answer.operation.clone()),
        ("message", answer.message.clone()),
        ("hint", answer.hint.clone()),
        ("remedies of sign", answer.remedies.join("  ")),
    ]);
    text += &worth(answer);
    if !answer.verdicts.is_empty() {
        let rows: Vec<Vec<String>> = answer
            .verdicts
            .iter()
            .map(|verdict| {
                vec![
                    verdict.mode.clone(),
                    word(verdict.allowed).to_owned(),
                    verdict.reason.clone(),
                    verdict.operation.clone(),
                ]
            })
            .collect();
        text += "\n";
        text += &table(&["MODE", "DECISION", "REASON", "OPERATION"], &rows);
    }
    let legs = answer.stated.as_ref().map_or(&[][..], |stated| &stated.legs);
    if !legs.is_empty() {
        let rows: Vec<Vec<String>> = legs.iter().map(order).collect();
        text += "\n";
        text += &table(&["ORDER", "PRODUCT", "SYMBOL", "QUANTITY", "PRICE", "FLAGS"], &rows);
    }
    let transfers = answer.stated.as_ref().map_or(&[][..], |stated| &stated.transfers);
    if !transfers.is_empty() {
        let row = |transfer: &ExplainedTransfer| {
            vec![transfer.asset.clone(), transfer.amount.clone(), transfer.address.clone()]
        };
        let rows: Vec<Vec<String>> = transfers.iter().map(row).collect();
        text += "\n";
        text += &table(&["MOVES", "AMOUNT", "TO"], &rows);
    }
    if answer.closure.is_empty() {
        return text;
    }
    text += "\n";
    text += &closure(answer, rows_max);
    text
}

/// What it would cost at worst, by which prices, and what would be left after it.
fn worth(answer: &ExplainResponse) -> String {
    let has_orders = answer.stated.as_ref().is_some_and(|stated| !stated.legs.is_empty());
    let notional = match answer.notional_usd.as_str() {
        "" if has_orders => "cannot be priced".to_owned(),
        "" => String::new(),
        notional => format!("{notional} USD at worst"),
    };
    let prices = answer.prices.iter().map(|seen| format!("{} {}", seen.pair, seen.price));
    let left = answer.limits_left.iter().map(|left| format!("{} {}", left.limit, left.left));
    pairs(&[
        ("notional", notional),
        ("reference prices", prices.collect::<Vec<_>>().join("  ")),
        ("left after it", left.collect::<Vec<_>>().join("  ")),
    ])
}

fn closure(answer: &ExplainResponse, rows_max: usize) -> String {
    let first_outside = answer.closure.iter().position(|member| !member.reason.is_empty());
    // What a reader looks for comes first: what was asked, then what stands in the way.
    let (inside, outside): (Vec<usize>, Vec<usize>) =
        (1..answer.closure.len()).partition(|&index| answer.closure[index].reason.is_empty());
    let order: Vec<usize> = std::iter::once(0).chain(outside).chain(inside).collect();
    let rows: Vec<Vec<String>> = order
        .iter()
        .take(rows_max)
        .map(|&index| member(&answer.closure[index], first_outside == Some(index)))
        .collect();
    let mut text = format!(
        "the signature is good for {} operation{}, {} of them outside; widest: {}\n",
        answer.closure.len(),
        if answer.closure.len() == 1 { "" } else { "s" },
        answer.outside_count,
        answer.closure_widest
    );
    text += &table(&["OPERATION", "CLASS", "PRODUCTS", "SYMBOLS", "VERDICT"], &rows);
    let left = order.len() - rows.len();
    if left > 0 {
        text += &format!("... and {left} more (--all)\n");
    }
    text
}

fn member(member: &ExplainedOperation, is_first_outside: bool) -> Vec<String> {
    let products =
        if member.every_product { "every".to_owned() } else { member.products.join(" ") };
    let symbols = if member.every_symbol {
        "every".to_owned()
    } else {
        let shown = member.symbols.iter().take(SYMBOLS_MAX).cloned().collect::<Vec<_>>().join(" ");
        let left = member.symbols.len().saturating_sub(SYMBOLS_MAX)
            + usize::try_from(member.symbols_left_out).unwrap_or(usize::MAX / 2);
        if left > 0 { format!("{shown} +{left}") } else { shown }
    };
    let verdict = match (member.reason.as_str(), is_first_outside) {
        ("", _) => "inside".to_owned(),
        (reason, true) => format!("OUTSIDE {reason} <- first"),
        (reason, false) => format!("OUTSIDE {reason}"),
    };
    vec![member.operation.clone(), member.class.clone(), products, symbols, verdict]
}

/// An order of the request, as the vault reads it.
fn order(leg: &ExplainedLeg) -> Vec<String> {
    let said = |parts: &[&str]| {
        let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    };
    let quantity = match (leg.quantity.as_str(), leg.quote_quantity.as_str()) {
        ("", "") => String::new(),
        ("", quote) => format!("{quote} quote"),
        (base, "") => base.to_owned(),
        (base, quote) => format!("{base} / {quote} quote"),
    };
    let price = match (leg.price.as_str(), leg.trigger_price.as_str()) {
        (price, "") => price.to_owned(),
        ("", trigger) => format!("trigger {trigger}"),
        (price, trigger) => format!("{price} trigger {trigger}"),
    };
    let flag = |flag: Option<bool>, word: &str| match flag {
        Some(true) => word.to_owned(),
        Some(false) | None => String::new(),
    };
    let leverage = match leg.leverage.as_str() {
        "" => String::new(),
        leverage => format!("leverage {leverage}"),
    };
    vec![
        said(&[&leg.side, &leg.r#type, &leg.tif]),
        leg.product.clone(),
        leg.symbol.clone(),
        quantity,
        price,
        said(&[
            &flag(leg.reduce_only, "reduce-only"),
            &flag(leg.post_only, "post-only"),
            &flag(Some(leg.amends), "amends"),
            &leverage,
            &leg.margin_mode,
        ]),
    ]
}

/// Rows of a closure that are shown without `--all`.
const ROWS_MAX: usize = 20;
/// Symbols of an operation that are shown.
const SYMBOLS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use vault_client::v1::{
        ExplainResponse, ExplainedLeg, ExplainedOperation, ExplainedTransfer, ExplainedVerdict,
        LimitLeft, PriceSeen,
    };

    use super::{ROWS_MAX, people};

    fn operation(name: &str, reason: &str) -> ExplainedOperation {
        ExplainedOperation {
            operation: name.to_owned(),
            class: "read".to_owned(),
            reason: reason.to_owned(),
            every_symbol: true,
            ..Default::default()
        }
    }

    fn answer(members: usize) -> ExplainResponse {
        let mut closure = vec![operation("GET /stated", "")];
        closure.extend((1..members).map(|index| {
            let reason = if index >= 2 && index % 2 == 0 { "CLASS_NOT_GRANTED" } else { "" };
            operation(&format!("POST /{index}"), reason)
        }));
        ExplainResponse {
            reason: "CLASS_NOT_GRANTED".to_owned(),
            outside_count: closure.iter().filter(|member| !member.reason.is_empty()).count() as u32,
            closure,
            closure_widest: "POST /2".to_owned(),
            remedies: vec!["execute".to_owned(), "assume=venue_checks".to_owned()],
            stated: Some(ExplainedOperation {
                legs: vec![ExplainedLeg {
                    symbol: "BTCUSDT".to_owned(),
                    side: "buy".to_owned(),
                    r#type: "LIMIT".to_owned(),
                    quantity: "0.5".to_owned(),
                    reduce_only: Some(true),
                    ..Default::default()
                }],
                ..operation("GET /stated", "")
            }),
            verdicts: vec![ExplainedVerdict {
                mode: "execute".to_owned(),
                allowed: true,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn what_stands_in_the_way_is_at_the_top_and_marked() {
        let text = people(&answer(5), ROWS_MAX);

        let rows: Vec<&str> =
            text.lines().skip_while(|line| !line.starts_with("OPERATION")).collect();
        assert!(rows[1].starts_with("GET /stated") && rows[1].ends_with("inside"), "{text}");
        assert!(rows[2].starts_with("POST /2 ") && rows[2].ends_with("<- first"), "{text}");
        assert!(
            rows[3].starts_with("POST /4 ") && rows[3].ends_with("CLASS_NOT_GRANTED"),
            "{text}"
        );
        assert_eq!(text.matches("<- first").count(), 1);
        for part in [
            "5 operations, 2 of them outside; widest: POST /2",
            "execute  assume=venue_checks",
            "execute  allowed",
            "buy LIMIT",
            "reduce-only",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_it_would_cost_is_shown() {
        let mut explained = answer(1);
        assert!(people(&explained, ROWS_MAX).contains("notional          cannot be priced\n"));

        explained.notional_usd = "30000".to_owned();
        let price = PriceSeen { pair: "BTC/USD".to_owned(), price: "60000".to_owned() };
        explained.prices = vec![price];
        let left = LimitLeft { limit: "orders/1m".to_owned(), left: "9".to_owned() };
        explained.limits_left = vec![left];
        let stated = explained.stated.as_mut().expect("it was stated");
        stated.legs[0].margin_mode = "isolated".to_owned();
        stated.legs[0].amends = true;
        stated.transfers = vec![ExplainedTransfer {
            asset: "BTC".to_owned(),
            amount: "2".to_owned(),
            address: "bc1q-one".to_owned(),
        }];
        let text = people(&explained, ROWS_MAX);
        for part in [
            "notional          30000 USD at worst\n",
            "reference prices  BTC/USD 60000\n",
            "left after it     orders/1m 9\n",
            "reduce-only amends isolated",
            "MOVES  AMOUNT  TO\nBTC    2       bc1q-one\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_long_closure_is_cut_unless_all_is_asked_for() {
        let cut = people(&answer(700), ROWS_MAX);
        assert_eq!(cut.lines().filter(|line| line.contains(" /")).count(), ROWS_MAX + 1);
        assert!(cut.ends_with("... and 680 more (--all)\n"), "{cut}");

        let all = people(&answer(700), usize::MAX);
        assert_eq!(all.lines().filter(|line| line.contains(" /")).count(), 701);
        assert!(!all.contains("--all"));
    }
}
