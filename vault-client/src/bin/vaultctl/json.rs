//! Messages of the vault as JSON: the names of the proto, bytes as hex, times in milliseconds.

use serde_json::{Value, json};
use vault_client::role_word;
use vault_client::v1::{
    CertificateInfo, Change, ChangeState, ClientInfo, CredentialInfo, CredentialMetadata,
    ExplainResponse, ExplainedOperation, HaltInfo, HaltLevel, Header, HostFacts, InviteResult,
    OperatorInfo, Outstanding, ProcessHardening, Receipt, Scope, ScopeInfo, SealState,
    SignedRequest, StatusResponse, VenueHealth, VenueState,
};

pub fn change(change: Option<&Change>) -> Value {
    change.map_or(Value::Null, |change| {
        json!({
            "id": change.id,
            "hash": hex::encode(&change.hash),
            "state": change_state(change.state()),
            "state_rev": change.state_rev,
            "seq": change.seq,
        })
    })
}

pub fn change_state(state: ChangeState) -> &'static str {
    match state {
        ChangeState::Unspecified => "",
        ChangeState::Applied => "applied",
        ChangeState::Pending => "pending",
    }
}

pub fn outstanding(outstanding: Option<&Outstanding>) -> Value {
    outstanding.map_or(Value::Null, |outstanding| {
        json!({
            "usable_for_ms": outstanding.usable_for_ms,
            "without_expiry": outstanding.without_expiry,
        })
    })
}

pub fn seal_state(state: SealState) -> &'static str {
    match state {
        SealState::Unspecified => "",
        SealState::Sealed => "sealed",
        SealState::Unsealed => "unsealed",
        SealState::Refused => "refused",
    }
}

pub fn status(status: &StatusResponse) -> Value {
    let slots: Vec<_> =
        status.slots.iter().map(|slot| json!({ "id": slot.id, "kind": slot.kind })).collect();
    let catalogs: Vec<_> = status
        .catalogs
        .iter()
        .map(|catalog| {
            json!({
                "venue": catalog.venue,
                "hash": hex::encode(&catalog.hash),
                "operations": catalog.operations,
            })
        })
        .collect();
    json!({
        "state": seal_state(status.state()),
        "reason": status.reason,
        "development": status.development,
        "version": status.version,
        "build": status.build,
        "instance_id": hex::encode(&status.instance_id),
        "node": status.node,
        "epoch": status.epoch,
        "log_origin": status.log_origin,
        "log_size": status.log_size,
        "state_rev": status.state_rev,
        "slots": slots,
        "retry_after_s": status.retry_after_s,
        "time_ms": status.time_ms,
        "server_not_after_ms": status.server_not_after_ms,
        "catalogs": catalogs,
        "catalog_additions": status.catalog_additions,
        "drifted_credentials": status.drifted_credentials,
        "hardening": status.hardening.iter().map(hardening).collect::<Vec<_>>(),
        "venues": status.venues.iter().map(venue).collect::<Vec<_>>(),
        "host": status.host.as_ref().map(host),
    })
}

fn host(host: &HostFacts) -> Value {
    json!({
        "disk_free_bytes": host.disk_free_bytes,
        "disk_total_bytes": host.disk_total_bytes,
        "swap_bytes": host.swap_bytes,
        "clock_synchronised": host.clock_synchronised,
        "clock_error_us": host.clock_error_us,
    })
}

fn hardening(process: &ProcessHardening) -> Value {
    json!({
        "process": process.process,
        "dumps_off": process.dumps_off,
        "no_new_privileges": process.no_new_privileges,
        "no_capabilities": process.no_capabilities,
        "seccomp": process.seccomp,
        "landlock_abi": process.landlock_abi,
        "secret_memory": process.secret_memory,
        "memory_locked": process.memory_locked,
    })
}

fn venue(venue: &VenueHealth) -> Value {
    json!({
        "venue": venue.venue,
        "host": venue.host,
        "source": venue.source,
        "state": venue_state(venue.state()),
        "until_us": venue.until_us,
        "used_weight": venue.used_weight,
        "weight_limit": venue.weight_limit,
        "in_flight": venue.in_flight,
        "streams": venue.streams,
        "last_problem": venue.last_problem,
    })
}

pub fn venue_state(state: VenueState) -> &'static str {
    match state {
        VenueState::Unspecified => "unknown",
        VenueState::Closed => "ok",
        VenueState::Open => "not_answering",
        VenueState::Paused => "paused",
        VenueState::Low => "low",
        VenueState::Banned => "banned",
    }
}

fn metadata(metadata: &CredentialMetadata) -> Value {
    json!({
        "name": metadata.name,
        "venue": metadata.venue,
        "environment": metadata.environment,
        "rights": metadata.rights,
        "rights_stated": metadata.rights_stated,
        "assume": metadata.assume,
        "disclose_passphrase": metadata.disclose_passphrase,
        "nonce_floor": metadata.nonce_floor,
        "sites": crate::credential::sites(metadata),
    })
}

pub fn credential(info: &CredentialInfo) -> Value {
    json!({
        "metadata": info.metadata.as_ref().map_or(Value::Null, metadata),
        "version": info.version,
        "state": info.state,
        "created_at_ms": info.created_at_ms,
        "key_type": info.key_type,
        "check": info.check.as_ref().map(crate::check::json),
    })
}

fn scope_document(scope: &Scope) -> Value {
    let symbols: Vec<_> = scope
        .symbols
        .iter()
        .map(|entry| json!({ "venue": entry.venue, "symbols": entry.symbols }))
        .collect();
    let network = scope.network.as_ref().map(|network| {
        json!({
            "allow": network.allow,
            "deny": network.deny,
            "allow_any": network.allow_any,
            "countries": network.countries.as_ref().map(|countries| &countries.words),
        })
    });
    let mut value = json!({
        "name": scope.name,
        "description": scope.description,
        "credentials": scope.credentials,
        "classes": scope.classes,
        "operations": scope.operations,
        "modes": scope.modes,
        "products": scope.products,
        "symbols": symbols,
        "network": network,
    });
    // The rest as it is stored. Of a scope that is not understood, nobody may think that it is not
    // restricted.
    match vault_wire::scope_from_wire(scope).map(serde_json::to_value) {
        Ok(Ok(Value::Object(document))) => {
            for (key, dimension) in document {
                if value.get(&key).is_none() {
                    value[key] = dimension;
                }
            }
        }
        _ => value["not_understood"] = json!(true),
    }
    value
}

pub fn scope(info: &ScopeInfo) -> Value {
    json!({
        "scope": info.scope.as_ref().map_or(Value::Null, scope_document),
        "revision": info.revision,
        "updated_at_ms": info.updated_at_ms,
        "clients": info.clients,
        "shadow_judged": info.shadow_judged,
        "shadow_diverged": info.shadow_diverged,
    })
}

fn certificate(info: &CertificateInfo) -> Value {
    json!({
        "serial": info.serial,
        "state": info.state,
        "issued_at_ms": info.issued_at_ms,
        "not_after_ms": info.not_after_ms,
        "fingerprint": hex::encode(&info.fingerprint),
    })
}

pub fn client(info: &ClientInfo) -> Value {
    json!({
        "name": info.name,
        "role": role_word(info.role()),
        "scope": info.scope,
        "networks": info.networks,
        "state": info.state,
        "created_at_ms": info.created_at_ms,
        "revoked_at_ms": info.revoked_at_ms,
        "invited_by": info.invited_by,
        "invite_ends_ms": info.invite_ends_ms,
        "certificates": info.certificates.iter().map(certificate).collect::<Vec<_>>(),
    })
}

pub fn operator(info: &OperatorInfo) -> Value {
    json!({
        "name": info.name,
        "role": role_word(info.role()),
        "state": info.state,
        "created_at_ms": info.created_at_ms,
        "invited_by": info.invited_by,
        "invite_ends_ms": info.invite_ends_ms,
        "certificates": info.certificates.iter().map(certificate).collect::<Vec<_>>(),
    })
}

/// An invitation with its token, which is shown nowhere else.
pub fn invitation(name: &str, token: &str, result: &InviteResult) -> Value {
    json!({
        "name": name,
        "token": token,
        "expires_at_ms": result.expires_at_ms,
        "enroll_address": result.enroll_address,
        "change": change(result.change.as_ref()),
    })
}

pub fn halt_level(level: HaltLevel) -> &'static str {
    match level {
        HaltLevel::Unspecified => "",
        HaltLevel::NoNewRisk => "NO_NEW_RISK",
        HaltLevel::Nothing => "NOTHING",
    }
}

pub fn halt(info: &HaltInfo) -> Value {
    json!({
        "target": info.target,
        "level": halt_level(info.level()),
        "reason": info.reason,
        "by": info.by,
        "at_ms": info.at_ms,
        "at_us": info.at_us,
    })
}

pub fn explanation(answer: &ExplainResponse) -> Value {
    let verdicts: Vec<_> = answer
        .verdicts
        .iter()
        .map(|verdict| {
            json!({
                "mode": verdict.mode,
                "allowed": verdict.allowed,
                "reason": verdict.reason,
                "operation": verdict.operation,
                "class": verdict.class,
                "message": verdict.message,
                "hint": verdict.hint,
            })
        })
        .collect();
    json!({
        "allowed": answer.allowed,
        "reason": answer.reason,
        "message": answer.message,
        "hint": answer.hint,
        "operation": answer.operation,
        "stated": answer.stated.as_ref().map_or(Value::Null, explained),
        "verdicts": verdicts,
        "remedies": answer.remedies,
        "closure": answer.closure.iter().map(explained).collect::<Vec<_>>(),
        "closure_hash": hex::encode(&answer.closure_hash),
        "closure_widest": answer.closure_widest,
        "outside_count": answer.outside_count,
        "notional_usd": answer.notional_usd,
        "prices": answer
            .prices
            .iter()
            .map(|seen| json!({ "pair": seen.pair, "price": seen.price }))
            .collect::<Vec<_>>(),
        "limits_left": answer
            .limits_left
            .iter()
            .map(|left| json!({ "limit": left.limit, "left": left.left }))
            .collect::<Vec<_>>(),
    })
}

fn explained(member: &ExplainedOperation) -> Value {
    let legs: Vec<_> = member
        .legs
        .iter()
        .map(|leg| {
            json!({
                "product": leg.product,
                "symbol": leg.symbol,
                "side": leg.side,
                "type": leg.r#type,
                "tif": leg.tif,
                "quantity": leg.quantity,
                "quote_quantity": leg.quote_quantity,
                "price": leg.price,
                "trigger_price": leg.trigger_price,
                "reduce_only": leg.reduce_only,
                "post_only": leg.post_only,
                "leverage": leg.leverage,
                "margin_mode": leg.margin_mode,
                "amends": leg.amends,
            })
        })
        .collect();
    let transfers: Vec<_> = member
        .transfers
        .iter()
        .map(|transfer| {
            json!({
                "asset": transfer.asset,
                "amount": transfer.amount,
                "address": transfer.address,
            })
        })
        .collect();
    json!({
        "operation": member.operation,
        "class": member.class,
        "products": member.products,
        "every_product": member.every_product,
        "symbols": member.symbols,
        "symbols_left_out": member.symbols_left_out,
        "every_symbol": member.every_symbol,
        "legs": legs,
        "transfers": transfers,
        "reason": member.reason,
    })
}

/// A signed request. Its body is text where it is UTF-8, else hex.
pub fn signed_request(request: &SignedRequest) -> Value {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|Header { name, value }| json!({ "name": name, "value": value }))
        .collect();
    let mut value = json!({
        "method": request.method,
        "url": request.url,
        "headers": headers,
    });
    match std::str::from_utf8(&request.body) {
        Ok(text) => value["body"] = json!(text),
        Err(_) => value["body_hex"] = json!(hex::encode(&request.body)),
    }
    value
}

/// A receipt in the form that `audit verify --receipt` reads.
pub fn receipt(receipt: &Receipt) -> Value {
    json!({
        "index": receipt.index,
        "leaf_hash": hex::encode(&receipt.leaf_hash),
        "origin": receipt.log_origin,
    })
}
