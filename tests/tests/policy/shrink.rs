//! Makes a case small that shows a difference.

use vault_model::Leg;
use vault_policy::{Grant, OrdersDocument, PricingDocument};

use crate::case::Case;

type Change = Box<dyn Fn(&mut Case)>;

/// The smallest case found for which `still` holds, by leaving out one thing after the other.
pub fn shrink(mut case: Case, still: impl Fn(&Case) -> bool) -> Case {
    loop {
        let before = format!("{case:?}");
        for change in changes(&case) {
            let mut smaller = case.clone();
            change(&mut smaller);
            // What was left out may have been there no more.
            if format!("{smaller:?}") != format!("{case:?}") && still(&smaller) {
                case = smaller;
            }
        }
        if format!("{case:?}") == before {
            return case;
        }
    }
}

fn changes(case: &Case) -> Vec<Change> {
    let mut changes: Vec<Change> = vec![
        Box::new(|case| case.halts.clear()),
        Box::new(|case| case.client_networks.clear()),
        Box::new(|case| case.ended = 0),
        Box::new(|case| case.country = None),
        Box::new(|case| case.document.network.countries = None),
        Box::new(|case| case.document.network.deny.clear()),
        Box::new(|case| case.document.hours = None),
        Box::new(|case| case.document.withdrawal = None),
        Box::new(|case| case.document.duplicates.client_order_id = None),
        Box::new(|case| case.document.duplicates.order = None),
        Box::new(|case| case.document.cumulative.notional_usd.clear()),
        Box::new(|case| case.document.cumulative.notional_usd.truncate(1)),
        Box::new(|case| case.document.cumulative.orders.clear()),
        Box::new(|case| case.document.cumulative.orders.truncate(1)),
        Box::new(|case| case.document.cumulative.open_orders = None),
        Box::new(|case| case.document.orders = OrdersDocument::default()),
        Box::new(|case| case.document.orders.types = None),
        Box::new(|case| case.document.orders.time_in_force = None),
        Box::new(|case| case.document.orders.reduce_only = false),
        Box::new(|case| case.document.orders.post_only = false),
        Box::new(|case| case.document.orders.max_quantity = None),
        Box::new(|case| case.document.orders.max_notional_usd = None),
        Box::new(|case| case.document.orders.price_band = None),
        Box::new(|case| case.document.orders.max_leverage = None),
        Box::new(|case| case.document.orders.margin_modes = None),
        Box::new(|case| case.document.pricing = PricingDocument::default()),
        Box::new(|case| case.document.pricing.slippage = None),
        Box::new(|case| case.document.products = Grant::Every),
        Box::new(|case| {
            case.document.symbols.values_mut().for_each(|symbols| *symbols = Grant::Every);
        }),
        Box::new(|case| case.reading.closure = vec![case.reading.stated.clone()]),
        Box::new(|case| {
            if let Some(first) = case.reading.closure.first() {
                case.reading.stated = first.clone();
            }
        }),
        Box::new(|case| {
            case.instruments.retain(|instrument| {
                let members = case.reading.closure.iter().chain([&case.reading.stated]);
                let mut legs = members.flat_map(|member| &member.legs);
                legs.any(|leg| leg.symbol.as_ref() == Some(&instrument.symbol))
            });
        }),
    ];
    for place in 0..case.past.len() {
        changes.push(Box::new(move |case| {
            if place < case.past.len() {
                case.past.remove(place);
            }
        }));
    }
    for place in 0..case.reading.closure.len() {
        changes.push(Box::new(move |case| {
            if place < case.reading.closure.len() && case.reading.closure.len() > 1 {
                case.reading.closure.remove(place);
            }
        }));
    }
    for place in 0..4 {
        changes.push(every_member(move |legs| {
            if place < legs.len() && legs.len() > 1 {
                legs.remove(place);
            }
        }));
    }
    let of_leg: [fn(&mut Leg); 9] = [
        |leg| leg.tif = None,
        |leg| leg.quote_quantity = None,
        |leg| leg.trigger_price = None,
        |leg| leg.price = None,
        |leg| leg.reduce_only = None,
        |leg| leg.post_only = None,
        |leg| leg.leverage = None,
        |leg| leg.margin_mode = None,
        |leg| leg.amends = false,
    ];
    for change in of_leg {
        changes.push(every_member(move |legs| legs.iter_mut().for_each(change)));
    }
    changes
}

fn every_member(change: impl Fn(&mut Vec<Leg>) + 'static) -> Change {
    Box::new(move |case| {
        change(&mut case.reading.stated.legs);
        case.reading.closure.iter_mut().for_each(|member| change(&mut member.legs));
    })
}
