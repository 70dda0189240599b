//! What says what things are worth: listings of venues, prices of pricers, and where addresses are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use vault_core::Countries;
use vault_model::{ClockTime, Instrument, Money, Name, Pair, Product};
use vault_policy::{Feed, FeedDocument, PriceBook, PriceRefused};
use vault_venue::listing;

/// Listings that an admin fetched: the first byte says of which venue he takes it to be and what he
/// wants of it.
pub fn listing(data: &[u8]) {
    let Some((choice, json)) = data.split_first() else { return };
    let venue = VENUES[usize::from(choice & 7) % VENUES.len()];
    let wanted = PRODUCTS[usize::from(choice >> 3) % PRODUCTS.len()];
    let read = listing::parse(venue, wanted, json);
    assert_eq!(listing::parse(venue, wanted, json), read);
    let Ok(listing) = read else { return };
    super::take();
    let keys: Vec<_> = listing.instruments.iter().map(|one| (&one.symbol, one.product)).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|two| two[0] != two[1]));
    for instrument in &listing.instruments {
        assert_eq!(instrument.venue.as_str(), venue);
        assert!(instrument.product != Product::Margin);
        assert!(wanted.is_none_or(|product| product == instrument.product));
        let sizes =
            [instrument.price_tick, instrument.quantity_step, Some(instrument.contract_size)];
        assert!(sizes.into_iter().flatten().all(|size| size > Money::ZERO));
        assert!(instrument.symbol.parse::<vault_policy::Symbol>().is_ok());
        let stored = serde_json::to_value(instrument).expect("JSON");
        let again: Instrument = serde_json::from_value(stored).expect("as it was stored");
        assert_eq!(&again, instrument);
    }
    // What the other venues send is told apart, or read as what it says; it never panics.
    for other in VENUES {
        let _ = listing::parse(other, None, json);
    }
}

const VENUES: [&str; 5] = ["binance", "bybit", "coinbase", "kraken", "okx"];
const PRODUCTS: [Option<Product>; 6] = [
    None,
    Some(Product::Spot),
    Some(Product::Linear),
    Some(Product::Inverse),
    Some(Product::Option),
    Some(Product::Margin),
];

/// Words of listings.
pub fn listing_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = "symbols symbol status TRADING baseAsset quoteAsset contractSize PERPETUAL \
                    optionSymbols underlying unit result list category nextPageCursor products \
                    product_id product_type contract_size altname wsname lot_multiplier code data \
                    instId instType ctVal ctMult ctValCcy ctType linear inverse SWAP SPOT OPTION live \
                    null true false [] {} \"0\" \"-1\" 1e30 0.1 \"999999999999999999\" \"1e3\" BTCUSDT";
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// A feed and what pricers put, against a model that forgets nothing. The first byte says which feed;
/// then for every price: who, how much later, and the price.
pub fn price(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let text = FEEDS[usize::from(*choice) % FEEDS.len()];
    let feed = Feed::new(FeedDocument::from_toml(text).expect("a document")).expect("a feed");
    let mut book = PriceBook::default();
    book.set(feed.clone(), 1);
    let mut model = Model::new(feed);
    for put in rest.chunks_exact(5) {
        let who: Name = NAMES[usize::from(put[0]) % NAMES.len()].parse().expect("a name");
        // Most are near: what is refused teaches little.
        let number =
            i32::from(i16::from_le_bytes([put[3], put[4]])) * if put[0] & 64 > 0 { 9 } else { 1 };
        let price =
            format!("{}.{:02}", 60_000 + i64::from(number) / 100, number.unsigned_abs() % 100);
        let price = match put[0] & 128 {
            0 => price.parse::<Money>().expect("a decimal"),
            _ => Money::whole(u64::from(put[3])),
        };
        model.now += u64::from(u16::from_le_bytes([put[1], put[2]])) * 997;
        let taken = book.put(&model.feed.pair, &who, price, ClockTime(model.now));
        model.check(&book, &who, price, taken);
    }
}

const FEEDS: [&str; 3] = [
    "pair = \"BTC/USD\"\nmax_age = \"5s\"\nstep_every = \"2s\"\npricers = [\"a\"]\n\
     max_step = \"0.001\"\nanchor = \"60000\"",
    "pair = \"BTC/USD\"\nmax_age = \"5s\"\npricers = [\"a\", \"b\", \"c\"]\nagree_within = \"0.001\"",
    "pair = \"BTC/USD\"\nmax_age = \"5s\"\nstep_every = \"2s\"\npricers = [\"a\", \"b\"]\n\
     max_step = \"0.001\"\nanchor = \"60000\"\nagree_within = \"0.0005\"",
];
/// One is of nobody that a feed lists.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Everything that was ever said.
struct Model {
    feed: Feed,
    now: u64,
    heard: BTreeMap<Name, (Money, u64)>,
    /// What steps are taken from, with the time from which it was in force.
    prices: Vec<(Money, u64)>,
    last: Option<(Money, u64)>,
}

impl Model {
    fn new(feed: Feed) -> Self {
        let prices = feed.anchor.map(|anchor| (anchor, 0)).into_iter().collect();
        Self { feed, now: 1_000_000, heard: BTreeMap::new(), prices, last: None }
    }

    fn check(
        &mut self,
        book: &PriceBook,
        who: &Name,
        price: Money,
        taken: Result<Money, PriceRefused>,
    ) {
        let feed = &self.feed;
        let plain = price > Money::ZERO && feed.pricers.contains(who);
        if taken.is_ok() {
            super::take();
            assert!(plain && (self.is_step(price) || self.is_confirmed(who, price)));
            if !self.is_step(price) {
                self.prices.clear();
            }
            self.prices.push((price, self.now));
            self.last = Some((price, self.now));
        }
        if plain {
            assert!(
                taken.is_ok() || !self.is_confirmed(who, price),
                "two agree, and are not heard"
            );
            self.heard.insert(who.clone(), (price, self.now));
        }
        let pair: &Pair = &self.feed.pair;
        let age = self.feed.max_age.as_micros();
        let fresh = self.last.filter(|(_, at)| self.now - at < age).map(|(price, _)| price);
        assert_eq!(book.price(pair, ClockTime(self.now)), fresh);
        assert_eq!(book.price(pair, ClockTime(self.now + age)), None, "prices do not last");
    }

    /// Whether it is a step at most from all that were in force within `step_every`.
    fn is_step(&self, price: Money) -> bool {
        let Some(step) = self.feed.max_step else { return false };
        let begin = self.now.saturating_sub(self.feed.step_every.as_micros());
        let ends = self.prices.iter().skip(1).map(|(_, from)| *from).chain([u64::MAX]);
        let in_force = self.prices.iter().zip(ends).filter(|(_, end)| *end > begin);
        self.feed.max_step.is_some()
            && in_force.map(|((held, _), _)| *held).all(|held| near(held, price, held, step))
    }

    fn is_confirmed(&self, who: &Name, price: Money) -> bool {
        let Some(within) = self.feed.agree_within else { return false };
        let age = self.feed.max_age.as_micros();
        self.heard.iter().any(|(other, (heard, at))| {
            other != who && self.now - at < age && near(*heard, price, price.min(*heard), within)
        })
    }
}

fn near(one: Money, other: Money, base: Money, fraction: Money) -> bool {
    let apart = one.max(other).checked_sub(one.min(other)).expect("small");
    apart <= base.checked_mul(fraction).expect("exact")
}

/// Databases of countries, sound or not.
pub fn geoip(data: &[u8]) {
    let Ok(countries) = Countries::read(data.to_vec()) else { return };
    let v4 =
        [[203, 0, 113, 7], [198, 51, 100, 200], [8, 8, 8, 8], [255, 255, 255, 255], [1, 0, 0, 1]];
    let v6 = ["2001:db8::1", "::ffff:203.0.113.7", "2002::1", "ffff::ffff"];
    let v6 = v6.map(|text| text.parse::<Ipv6Addr>().expect("an address"));
    let public = v4.map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    for address in public.into_iter().chain(v6.map(IpAddr::V6)) {
        if countries.of(address).is_some() {
            super::take();
        }
    }
    for private in
        ["10.0.0.1", "127.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
    {
        assert_eq!(countries.of(private.parse().expect("an address")), None, "{private}");
    }
}
