//! Every ordered pair of operations of a venue, over generated requests: what the vault says a
//! signature opens, against what the second reader says.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Registry, Standing, Venue};

use crate::accepts::{Signed, Spelling, World, is_path_of};
use crate::catalog::{Catalogue, Joined, Operation, Shape};
use crate::generate::{Dice, Fill, Generator};

/// How many different parameter sets are read per venue, unless `COUNTERSIGN_ENUMERATION` says.
const SETS: usize = 50_000;
/// Unless `COUNTERSIGN_SEED` says.
const SEED: u64 = 3;
/// One text is cut everywhere in one request of so many.
const CUT_ONE_IN: usize = 40;

/// How the enumeration of one venue went.
pub struct Tally {
    pub venue: String,
    pub operations: usize,
    /// Ordered pairs (A, B) with B of a stronger class or of another product.
    pub pairs: usize,
    /// Those of them for which some request of A's was accepted by B, and B was in its closure.
    pub pairs_met: usize,
    /// Such pairs where the venue was taken to check.
    pub pairs_met_checked: usize,
    /// Pairs for which a request of A's with all that B requires could be made and was read.
    pub aimed: usize,
    /// Different parameter sets that the vault read.
    pub sets: usize,
    /// Requests that it read: a set may be read again under other assumptions.
    pub read: usize,
    pub refused: usize,
    /// Requests whose text was cut in two everywhere.
    pub cut: usize,
    /// (request, B) with B accepting, the stated operation left out.
    pub accepted: usize,
    /// (request, B) with B in the closure and not accepting, where texts can be cut.
    pub wider: usize,
    pub widest: usize,
    /// Operations that nobody can state, since they want what callers may not send.
    pub out_of_reach: usize,
    /// Others that no request of ours states, with what the vault said of them.
    pub unread: BTreeMap<String, String>,
}

/// One place where vault and reader disagree, with the shortest request that shows it.
struct Difference {
    words: String,
    length: usize,
}

#[derive(Clone, Copy)]
struct Pair {
    is_step: bool,
    is_met: bool,
    is_met_checked: bool,
}

struct Run<'r> {
    catalogue: &'r Catalogue,
    venue: &'r Venue,
    tally: Tally,
    seen: HashSet<u64>,
    states: Vec<usize>,
    /// By `a * operations + b`: whether the pair is a step, was met, and met where the venue checks.
    pairs: Vec<Pair>,
    differences: BTreeMap<String, Difference>,
    refusals: BTreeMap<String, String>,
}

/// Runs one venue.
///
/// # Panics
///
/// Where vault and reader disagree, with the shortest request of each kind.
pub fn enumerate(name: &str) -> Tally {
    let started = Instant::now();
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let sets = setting("COUNTERSIGN_ENUMERATION").map_or(SETS, |n| {
        usize::try_from(n.expect("COUNTERSIGN_ENUMERATION is a number")).expect("fits")
    });
    let seed =
        setting("COUNTERSIGN_SEED").map_or(SEED, |n| n.expect("COUNTERSIGN_SEED is a number"));

    let registry = Registry::bundled().expect("bundled catalogues are sound");
    let venue = registry.venue(name).expect("a venue of this build");
    let catalogue = Catalogue::load(name);
    let own: Vec<&str> = catalogue.operations.iter().map(|o| o.name.as_str()).collect();
    let mut theirs: Vec<&str> = venue.catalog.operations.iter().map(|o| &*o.name).collect();
    theirs.sort_unstable();
    assert_eq!(own, theirs, "{name}: both readers know the same operations");

    let generator = Generator::new(&catalogue);
    let mut dice = Dice::new(seed);
    let mut run = Run::new(&catalogue, venue);
    run.systematic(&generator, &mut dice);
    run.aimed(&generator, &mut dice, sets);
    run.random(&generator, &mut dice, sets);
    run.finish(seed, started)
}

impl<'r> Run<'r> {
    fn new(catalogue: &'r Catalogue, venue: &'r Venue) -> Self {
        let all = &catalogue.operations;
        let pair = |a, b| Pair { is_step: is_step(a, b), is_met: false, is_met_checked: false };
        let pairs: Vec<Pair> =
            all.iter().flat_map(|a| all.iter().map(move |b| pair(a, b))).collect();
        let tally = Tally {
            venue: catalogue.venue.clone(),
            operations: all.len(),
            pairs: pairs.iter().filter(|pair| pair.is_step).count(),
            pairs_met: 0,
            pairs_met_checked: 0,
            aimed: 0,
            sets: 0,
            read: 0,
            refused: 0,
            cut: 0,
            accepted: 0,
            wider: 0,
            widest: 0,
            out_of_reach: 0,
            unread: BTreeMap::new(),
        };
        Self {
            tally,
            seen: HashSet::new(),
            states: vec![0; all.len()],
            pairs,
            differences: BTreeMap::new(),
            refusals: BTreeMap::new(),
            catalogue,
            venue,
        }
    }

    /// Every operation, filled in every way, under every assumption.
    fn systematic(&mut self, generator: &Generator<'_>, dice: &mut Dice) {
        for a in 0..self.catalogue.operations.len() {
            let operation = &self.catalogue.operations[a];
            for fill in [Fill::Required, Fill::Required, Fill::Whole, Fill::Whole, Fill::Some] {
                let Some(request) = generator.request(dice, operation, fill) else {
                    continue;
                };
                for key_type in self.key_types() {
                    for checks in [false, true] {
                        let cuts = !checks && dice.once_in(8);
                        let spelling = Spelling::Wide;
                        let key_type = key_type.as_str();
                        let world = World { checks, rights: None, key_type, cuts, spelling };
                        self.check(a, &request, world);
                    }
                }
            }
        }
    }

    /// For every ordered pair: a request of A's that has all that B requires, where there is one.
    fn aimed(&mut self, generator: &Generator<'_>, dice: &mut Dice, sets: usize) {
        let all = &self.catalogue.operations;
        let possible = all.len() * all.len();
        // A short run takes a sample; most pairs cannot be aimed at.
        let one_in = possible.div_ceil(4 * sets.max(1));
        for a in 0..all.len() {
            for (b, other) in all.iter().enumerate() {
                let has_aim = self.catalogue.shape(other).is_some_and(|shape| {
                    !shape.one_of.is_empty() || shape.required().next().is_some()
                });
                if a == b || !has_aim || other.array_max != all[a].array_max {
                    continue;
                }
                if one_in > 1 && !dice.once_in(one_in) {
                    continue;
                }
                let request = generator.request(dice, &all[a], Fill::For(other));
                if request.is_some_and(|request| self.check_somehow(a, &request, dice)) {
                    self.tally.aimed += 1;
                }
            }
        }
    }

    /// Whatever comes, until enough different parameter sets were read.
    fn random(&mut self, generator: &Generator<'_>, dice: &mut Dice, sets: usize) {
        let all = &self.catalogue.operations;
        let mut tries = 0;
        while self.tally.sets < sets {
            tries += 1;
            assert!(
                tries < sets * 20 + 100_000,
                "{}: only {} different sets",
                self.tally.venue,
                self.tally.sets
            );
            let a = dice.below(all.len());
            let fill = match dice.below(8) {
                0 => Fill::Whole,
                1 | 2 => Fill::For(&all[dice.below(all.len())]),
                _ => Fill::Some,
            };
            if let Some(request) = generator.request(dice, &all[a], fill) {
                self.check_somehow(a, &request, dice);
            }
        }
    }

    fn key_types(&self) -> Vec<String> {
        self.catalogue.key_types.clone()
    }

    /// Checks under assumptions taken at random; says whether the vault read the request.
    fn check_somehow(&mut self, a: usize, request: &VenueRequest, dice: &mut Dice) -> bool {
        let key_types = self.key_types();
        let operation = &self.catalogue.operations[a];
        // Some of the rights, always with one that the operation itself needs.
        let mut rights = self.catalogue.rights.clone();
        rights.retain(|_| dice.once_in(2));
        if !operation.rights.is_empty() {
            rights.push(operation.rights[dice.below(operation.rights.len())].clone());
        }
        let checks = !dice.once_in(4);
        let world = World {
            checks,
            rights: dice.once_in(4).then_some(&rights),
            key_type: &key_types[dice.below(key_types.len())],
            cuts: !checks && dice.once_in(CUT_ONE_IN),
            spelling: Spelling::Wide,
        };
        self.check(a, request, world)
    }

    fn check(&mut self, meant: usize, request: &VenueRequest, mut world: World<'_>) -> bool {
        let all = &self.catalogue.operations;
        world.cuts &= self.catalogue.joined == Joined::Concatenated;
        let standing = standing(&world);
        let reading = match self.venue.read(request, &standing) {
            Ok(reading) => reading,
            Err(error) => {
                self.tally.refused += 1;
                let name = all[meant].name.clone();
                self.refusals.insert(name, format!("{error}: {}", words(request)));
                return false;
            }
        };
        // A path may be that of two operations, one of them with a template.
        let is_stated = |operation: &Operation| *operation.name == *reading.stated.operation;
        let a = all.iter().position(is_stated).expect("known");
        let stated = &all[a];
        let fits = stated.method == request.method && is_path_of(&stated.path, &request.path);
        assert!(fits, "{} is not {}", words(request), stated.name);
        self.states[a] += 1;
        self.tally.read += 1;
        self.tally.cut += usize::from(world.cuts);
        let mut hasher = DefaultHasher::new();
        (a, &request.path, &request.query, &request.body).hash(&mut hasher);
        self.tally.sets += usize::from(self.seen.insert(hasher.finish()));

        // Cuts make the closure wider than any one cut does; there it need only be wide enough.
        let is_exact = self.catalogue.joined != Joined::Concatenated || world.checks;
        let signed = Signed::new(self.catalogue, stated, request, world);
        let any = World { spelling: Spelling::Any, ..world };
        // Made only when it is wanted.
        let mut loosest = None;
        let mut members = reading.closure.iter().map(|member| &*member.operation).peekable();
        let mut size = 0;
        for (b, other) in all.iter().enumerate() {
            let is_member = members.next_if_eq(&other.name.as_str()).is_some();
            let is_accepted = signed.is_accepted_by(other);
            size += usize::from(is_member);
            match (is_accepted, is_member) {
                (true, true) if a != b => {
                    self.tally.accepted += 1;
                    let pair = &mut self.pairs[a * all.len() + b];
                    pair.is_met |= pair.is_step;
                    pair.is_met_checked |= pair.is_step && world.checks;
                }
                (true, false) => self.differ("NOT IN THE CLOSURE", other, request, &world, stated),
                (false, true) if is_exact => {
                    let signed = loosest
                        .get_or_insert_with(|| Signed::new(self.catalogue, stated, request, any));
                    if !signed.is_accepted_by(other) {
                        self.differ("wider", other, request, &world, stated);
                    }
                }
                (false, true) => self.tally.wider += usize::from(world.cuts),
                _ => {}
            }
        }
        assert_eq!(members.next(), None, "closures are sorted by name and known");
        self.tally.widest = self.tally.widest.max(size);
        true
    }

    #[cold]
    fn differ(
        &mut self,
        what: &str,
        other: &Operation,
        request: &VenueRequest,
        world: &World<'_>,
        stated: &Operation,
    ) {
        let key = format!("{what} {} {}", world.checks, other.name);
        let length = request.query.len() + request.body.len();
        if self.differences.get(&key).is_some_and(|known| known.length <= length) {
            return;
        }
        let words = format!(
            "{what}: {} by {}: {}\n    venue_checks {} cuts {} key {} rights {:?}",
            other.name,
            stated.name,
            words(request),
            world.checks,
            world.cuts,
            world.key_type,
            world.rights
        );
        self.differences.insert(key, Difference { words, length });
    }

    fn finish(mut self, seed: u64, started: Instant) -> Tally {
        self.tally.pairs_met = self.pairs.iter().filter(|pair| pair.is_met).count();
        self.tally.pairs_met_checked = self.pairs.iter().filter(|pair| pair.is_met_checked).count();
        for (operation, count) in self.catalogue.operations.iter().zip(&self.states) {
            let shape = self.catalogue.shape(operation);
            if shape.is_some_and(Shape::is_out_of_reach) {
                assert_eq!(*count, 0, "{} was read", operation.name);
                self.tally.out_of_reach += 1;
            } else if *count == 0 {
                let why = self.refusals.remove(&operation.name).unwrap_or_default();
                self.tally.unread.insert(operation.name.clone(), why);
            }
        }
        println!("{}\nseed {seed}, {:.1} s", self.tally.table(), started.elapsed().as_secs_f64());
        if !self.differences.is_empty() {
            let mut text = format!("{}: {} differences", self.tally.venue, self.differences.len());
            for difference in self.differences.values().take(60) {
                let _ = write!(text, "\n{}", difference.words);
            }
            panic!("{text}\nCOUNTERSIGN_SEED={seed}");
        }
        self.tally
    }
}

impl Tally {
    fn table(&self) -> String {
        let rows = [
            ("operations", self.operations),
            ("pairs (A, B), B stronger or of another product", self.pairs),
            ("  met by a request and in its closure", self.pairs_met),
            ("  the same where the venue checks", self.pairs_met_checked),
            ("pairs aimed at with a request of A's that was read", self.aimed),
            ("different parameter sets read", self.sets),
            ("requests read", self.read),
            ("requests refused", self.refused),
            ("requests cut at every place", self.cut),
            ("(request, B) with B accepting", self.accepted),
            ("(request, B) wider than any one cut", self.wider),
            ("widest closure", self.widest),
            ("operations that nobody can state", self.out_of_reach),
            ("others that no request stated", self.unread.len()),
        ];
        let rows = rows.map(|(label, count)| format!("{label:52}{count:>10}\n"));
        let unread = self.unread.iter().map(|(name, why)| format!("  {name}: {why}\n"));
        format!("{}\n{}{}", self.venue, rows.concat(), unread.collect::<String>())
    }
}

/// Whether B does more than A: a stronger class, or another product.
fn is_step(a: &Operation, b: &Operation) -> bool {
    let other_product = matches!((&a.product, &b.product), (Some(a), Some(b)) if a != b);
    a.name != b.name && (b.class > a.class || other_product)
}

/// What the vault is told of the credential.
pub fn standing<'w>(world: &World<'w>) -> Standing<'w> {
    Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: world.checks,
        rights: world.rights,
        key_type: *KeyType::ALL
            .iter()
            .find(|key_type| key_type.as_str() == world.key_type)
            .expect("a key type of the vault"),
    }
}

/// A request in words.
pub fn words(request: &VenueRequest) -> String {
    format!(
        "{} {}://{}{} query {:?} body {:?}",
        request.method,
        request.scheme,
        request.host,
        request.path,
        request.query,
        String::from_utf8_lossy(&request.body)
    )
}
