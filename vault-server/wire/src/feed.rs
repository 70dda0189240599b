//! A feed to a message.

use vault_model::Money;
use vault_policy::Feed;
use vault_proto::v1;

/// Writes a feed as a message.
pub fn feed_to_wire(feed: &Feed) -> v1::Feed {
    let text = |money: Option<Money>| money.map(|money| money.to_string()).unwrap_or_default();
    v1::Feed {
        pair: feed.pair.to_string(),
        pricers: feed.pricers.iter().map(ToString::to_string).collect(),
        max_age: feed.max_age.to_string(),
        max_step: text(feed.max_step),
        step_every: feed.step_every.to_string(),
        agree_within: text(feed.agree_within),
        anchor: text(feed.anchor),
    }
}
