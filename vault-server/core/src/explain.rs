//! Explain: the dry run of one request. It says what the request is, all that its signature would
//! authorise, what each mode would answer and why, and what would change that.

use std::net::IpAddr;

use prost::Message;
use vault_ipc::Failure;
use vault_ipc::proto::v1;
use vault_model::{Leg, Member, Mode, Name, Symbols, Timestamp, Transfer};
use vault_policy::{Cost, Decision, Denial, Question};

use crate::authorize::{Ground, Judged};
use crate::error::VaultError;
use crate::order::{limits_left, model_request, notional};
use crate::storage::CredentialState;
use crate::vault::Vault;

impl Vault {
    /// Judges one request as if a client had sent it, in both modes; signs nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] for the client, [`VaultError::Field`]. What Sign would refuse is in
    /// the answer.
    pub(crate) fn explain(
        &mut self,
        command: &v1::ExplainCommand,
        now: Timestamp,
    ) -> Result<v1::ExplainResponse, VaultError> {
        self.refresh_market(self.clock_time());
        let client = self
            .opened()?
            .state
            .tables()
            .clients
            .get(command.client.as_str())
            .ok_or(VaultError::NotFound("client"))?;
        let credential: Name =
            command.credential.parse().map_err(|_| VaultError::NotFound("credential"))?;
        let mode: Mode = match command.mode.as_str() {
            "" => Mode::Sign,
            word => word.parse().map_err(|_| VaultError::Field("mode is sign or execute"))?,
        };
        let address: IpAddr = command
            .address
            .parse()
            .map_err(|_| VaultError::Field("address is an IPv4 or IPv6 address"))?;
        let request = command.request.as_ref().ok_or(VaultError::Field("request is not set"))?;
        let request = model_request(request.clone());
        let judged = Judged {
            client,
            address: address.to_canonical(),
            credential: &credential,
            mode,
            request: &request,
            now,
            steady_now: self.clock.steady(now),
            clock: self.clock_time(),
        };
        let explanation = match self.ground(judged) {
            Ok(ground) => explain(&ground, judged),
            Err(error @ VaultError::Internal(_)) => return Err(error),
            Err(error) => refused(&error, mode),
        };
        Ok(explanation)
    }
}

fn explain(ground: &Ground<'_>, judged: Judged<'_>) -> v1::ExplainResponse {
    if ground.credential.state == CredentialState::Disabled {
        return refused(&VaultError::CredentialDisabled, judged.mode);
    }
    // What the vault keeps of an answer is of another class where the vault itself sends.
    let read = |mode| ground.venue.read_in(mode, judged.request, &ground.standing());
    let (reading, sent) = match (read(Mode::Sign), read(Mode::Execute)) {
        (Ok(reading), Ok(sent)) => (reading, sent),
        (Err(error), _) | (_, Err(error)) => return refused(&VaultError::Read(error), judged.mode),
    };
    let sign = ground.question(Judged { mode: Mode::Sign, ..judged }, &reading);
    let execute = ground.question(Judged { mode: Mode::Execute, ..judged }, &sent);

    let mut response = v1::ExplainResponse::default();
    for question in [execute, sign] {
        let mut failure = None;
        let decision = vault_policy::judge(&question);
        if question.mode == judged.mode {
            match &decision {
                Decision::Allow(cost) => add_cost(&mut response, cost),
                Decision::Deny(_) => add_cost(&mut response, &vault_policy::cost(&question)),
            }
        }
        if let Decision::Deny(denial) = decision {
            let remedies = ground.remedies(
                Judged { mode: question.mode, ..judged },
                &denial,
                question.reading,
            );
            let hint = match question.mode {
                Mode::Execute => denial.advice(),
                Mode::Sign => vault_policy::hint(&denial, &remedies),
            };
            if question.mode == Mode::Sign {
                response.remedies = remedies.iter().map(ToString::to_string).collect();
            }
            failure = Some(Failure::from(&VaultError::Deny(denial)).with_hint(hint));
        }
        // What its closure is worth, nobody knows.
        if question.mode == Mode::Sign && ground.drifted {
            failure = Some(Failure::from(&VaultError::CredentialDrifted));
        }
        add_verdict(&mut response, question.mode, judged.mode, failure);
    }

    response.closure_hash = reading.closure_hash.to_vec();
    response.closure_widest = reading.widest().operation.to_string();
    response.stated = Some(explained(&execute, &sent.stated));
    let is_stated = |member: &&Member| member.operation == reading.stated.operation;
    let stated = reading.closure.iter().filter(is_stated);
    let rest = reading.closure.iter().filter(|member| !is_stated(member));
    response.closure = stated.chain(rest).map(|member| explained(&sign, member)).collect();
    let outside = response.closure.iter().filter(|member| !member.reason.is_empty()).count();
    response.outside_count = u32::try_from(outside).unwrap_or(u32::MAX);
    shorten(&mut response);
    response
}

/// What stands in the way before anything is read: the same in both modes.
fn refused(error: &VaultError, asked: Mode) -> v1::ExplainResponse {
    let mut response = v1::ExplainResponse::default();
    for mode in [Mode::Execute, Mode::Sign] {
        add_verdict(&mut response, mode, asked, Some(Failure::from(error)));
    }
    response
}

fn add_verdict(
    response: &mut v1::ExplainResponse,
    mode: Mode,
    asked: Mode,
    failure: Option<Failure>,
) {
    let allowed = failure.is_none();
    let failure = failure.unwrap_or_default();
    if mode == asked {
        response.allowed = allowed;
        response.reason.clone_from(&failure.reason);
        response.message.clone_from(&failure.message);
        response.hint.clone_from(&failure.hint);
        response.operation.clone_from(&failure.operation);
    }
    response.verdicts.push(v1::ExplainedVerdict {
        mode: mode.to_string(),
        allowed,
        reason: failure.reason,
        operation: failure.operation,
        class: failure.class,
        message: failure.message,
        hint: failure.hint,
    });
}

fn add_cost(response: &mut v1::ExplainResponse, cost: &Cost) {
    response.notional_usd = notional(cost);
    response.limits_left = limits_left(cost);
    let prices = cost.prices.iter();
    response.prices = prices
        .map(|(pair, price)| v1::PriceSeen { pair: pair.to_string(), price: price.to_string() })
        .collect();
}

/// Makes an answer fit into a frame: a closure has hundreds of operations, and a request may name
/// hundreds of symbols or orders, which each of them would repeat.
fn shorten(response: &mut v1::ExplainResponse) {
    if response.encoded_len() <= ANSWER_BYTES_MAX {
        return;
    }
    for member in &mut response.closure {
        member.legs = Vec::new();
        member.transfers = Vec::new();
        let left_out = member.symbols.len().saturating_sub(SYMBOLS_MAX);
        member.symbols.truncate(SYMBOLS_MAX);
        member.symbols_left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
    }
}

fn explained(question: &Question<'_>, member: &Member) -> v1::ExplainedOperation {
    let (symbols, every_symbol) = match &member.symbols {
        Symbols::Every => (Vec::new(), true),
        Symbols::Named(symbols) => (symbols.clone(), false),
    };
    let denial = vault_policy::judge_member(question, member);
    v1::ExplainedOperation {
        operation: member.operation.to_string(),
        class: member.class.to_string(),
        products: member.products.iter().flatten().map(ToString::to_string).collect(),
        symbols,
        every_symbol,
        legs: member.legs.iter().map(explained_leg).collect(),
        reason: denial.as_ref().map(Denial::code).unwrap_or_default().to_owned(),
        every_product: member.products.is_none(),
        symbols_left_out: 0,
        transfers: member.transfers.iter().map(explained_transfer).collect(),
    }
}

fn explained_transfer(transfer: &Transfer) -> v1::ExplainedTransfer {
    let Transfer { asset, amount, address } = transfer.clone();
    v1::ExplainedTransfer {
        asset: asset.unwrap_or_default(),
        amount: amount.unwrap_or_default(),
        address: address.unwrap_or_default(),
    }
}

fn explained_leg(leg: &Leg) -> v1::ExplainedLeg {
    fn word<T: ToString>(value: &Option<T>) -> String {
        value.as_ref().map(ToString::to_string).unwrap_or_default()
    }
    v1::ExplainedLeg {
        product: word(&leg.product),
        symbol: word(&leg.symbol),
        side: word(&leg.side),
        r#type: word(&leg.order_type),
        tif: word(&leg.tif),
        quantity: word(&leg.quantity),
        quote_quantity: word(&leg.quote_quantity),
        price: word(&leg.price),
        trigger_price: word(&leg.trigger_price),
        reduce_only: leg.reduce_only,
        post_only: leg.post_only,
        leverage: word(&leg.leverage),
        margin_mode: word(&leg.margin_mode),
        amends: leg.amends,
    }
}

/// Longer answers are shortened. Bytes; a frame takes a little more than 1 MiB.
const ANSWER_BYTES_MAX: usize = 768 << 10;
/// Symbols of an operation in a shortened answer.
const SYMBOLS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use prost::Message;
    use vault_ipc::proto::v1;
    use vault_model::{HaltLevel, HaltTarget, Mode};

    use super::{ANSWER_BYTES_MAX, explain, shorten};
    use crate::remedy::sample::{Sample, request};
    use crate::storage::CredentialState;

    fn asked(sample: &Sample, mode: Mode) -> v1::ExplainResponse {
        let request = request("GET", "/orders", "symbol=BTCUSDT");
        explain(&sample.ground(), sample.judged(&request, mode))
    }

    #[test]
    fn both_modes_are_answered_and_every_operation_has_its_verdict() {
        let mut sample = Sample::new(false);
        sample.rescope(|scope| {
            scope.modes.insert(Mode::Execute);
        });
        let answer = asked(&sample, Mode::Sign);

        assert_eq!((answer.allowed, answer.reason.as_str()), (false, "CLASS_NOT_GRANTED"));
        assert_eq!(answer.operation, "DELETE /orders");
        assert_eq!(answer.remedies, ["execute", "rights=reading,spot"]);
        assert!(answer.hint.contains("Execute may serve"), "{}", answer.hint);
        let verdicts: Vec<_> = answer
            .verdicts
            .iter()
            .map(|verdict| {
                (
                    verdict.mode.as_str(),
                    verdict.allowed,
                    verdict.operation.as_str(),
                    &*verdict.class,
                )
            })
            .collect();
        let denied = ("sign", false, "DELETE /orders", "cancel");
        assert_eq!(verdicts, [("execute", true, "", ""), denied]);
        let members: Vec<_> = answer
            .closure
            .iter()
            .map(|member| (member.operation.as_str(), member.reason.as_str()))
            .collect();
        // The stated one first.
        assert_eq!(members, [("GET /orders", ""), ("DELETE /orders", "CLASS_NOT_GRANTED")]);
        assert_eq!(answer.outside_count, 1);
        assert_eq!(answer.closure_widest, "DELETE /orders");
        assert_eq!(answer.stated.as_ref().map(|stated| stated.symbols.len()), Some(1));

        let execute = asked(&sample, Mode::Execute);
        assert!(execute.allowed && execute.reason.is_empty(), "{execute:?}");
        assert_eq!(execute.verdicts, answer.verdicts);
        assert_eq!(execute.remedies, answer.remedies);
    }

    #[test]
    fn what_stands_in_the_way_before_reading_is_the_same_in_both_modes() {
        let mut sample = Sample::new(false);
        sample.credential.state = CredentialState::Disabled;
        let answer = asked(&sample, Mode::Sign);
        assert_eq!(answer.reason, "CREDENTIAL_DISABLED");
        assert!(answer.verdicts.iter().all(|verdict| verdict.reason == "CREDENTIAL_DISABLED"));
        assert!(answer.closure.is_empty() && answer.verdicts.len() == 2);

        let mut sample = Sample::new(false);
        sample.halts.halt(HaltTarget::All, HaltLevel::NoNewRisk);
        let answer = asked(&sample, Mode::Sign);
        // A cancel passes this halt; the class still does not.
        assert_eq!(answer.reason, "CLASS_NOT_GRANTED");
    }

    #[test]
    fn what_a_read_at_binance_is_good_for_fits_into_a_frame() {
        let sample = Sample::new(false);
        let registry = vault_venue::Registry::bundled().expect("catalogues");
        let ground = sample.ground_at(registry.venue("binance").expect("a venue"));
        let mut request = request("GET", "/api/v3/openOrders", "symbol=BTCUSDT");
        request.host = "api.binance.com".to_owned();
        let answer = explain(&ground, sample.judged(&request, Mode::Sign));

        assert_eq!(
            answer.closure.first().map(|member| &*member.operation),
            Some("GET /api/v3/openOrders")
        );
        assert!(
            answer.closure.iter().any(|member| member.operation == "DELETE /api/v3/openOrders")
        );
        assert!(answer.outside_count > 0 && answer.remedies.contains(&"execute".to_owned()));
        let framed =
            vault_ipc::Reply { response: answer.encode_to_vec(), ..vault_ipc::Reply::default() };
        let mut bytes = Vec::new();
        vault_ipc::encode(vault_ipc::Kind::Reply, 1, &framed, &mut bytes).expect("fits");
    }

    #[test]
    fn an_answer_that_is_too_long_loses_symbols_and_says_so() {
        let member = v1::ExplainedOperation {
            operation: "POST /order".to_owned(),
            symbols: vec!["SYMBOL-OF-TWENTY-ONES".to_owned(); 500],
            legs: vec![v1::ExplainedLeg { side: "buy".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let mut short = v1::ExplainResponse { closure: vec![member.clone()], ..Default::default() };
        let before = short.clone();
        shorten(&mut short);
        assert_eq!(short, before);

        let mut long = v1::ExplainResponse { closure: vec![member; 1_000], ..Default::default() };
        shorten(&mut long);
        assert!(long.encoded_len() <= ANSWER_BYTES_MAX, "{}", long.encoded_len());
        assert_eq!(long.closure.len(), 1_000);
        assert_eq!(long.closure[0].symbols.len() + long.closure[0].symbols_left_out as usize, 500);
    }
}
