//! Acts that destroy ask twice.

use sha2::{Digest as _, Sha256};

use crate::fault::Fault;

/// Lets an act through if `given` is the token that the first run printed. The token depends on the
/// vault, the act and the state of what it destroys, so it does not fit anything else, nor the same
/// thing once it has changed.
pub fn require(
    instance_id: &[u8; 16],
    act: &str,
    state: &[&str],
    given: Option<&str>,
) -> Result<(), Fault> {
    ask(instance_id, act, state, given, "this cannot be undone")
}

/// As [`require`], for an act that can be undone and is still to be looked at before.
pub fn look(
    instance_id: &[u8; 16],
    act: &str,
    state: &[&str],
    given: Option<&str>,
) -> Result<(), Fault> {
    ask(instance_id, act, state, given, "look at what it changes")
}

fn ask(
    instance_id: &[u8; 16],
    act: &str,
    state: &[&str],
    given: Option<&str>,
    why: &str,
) -> Result<(), Fault> {
    let mut hash = Sha256::new_with_prefix(b"vaultctl confirm\0");
    hash.update(instance_id);
    for part in [act].iter().chain(state) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let token = hex::encode(&hash.finalize()[..4]);
    match given {
        Some(given) if given == token => Ok(()),
        Some(_) => Err(Fault::usage(format!("{act}: the token does not fit what is there now"))
            .with_hint(format!("if you mean it: --confirm {token}"))),
        None => Err(Fault::other(format!("{act}: {why}"))
            .with_hint(format!("if you mean it, run it again with --confirm {token}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::require;

    #[test]
    fn a_token_fits_one_act_on_one_state() {
        let hint = require(&[1; 16], "delete scope a", &["3"], None).expect_err("asks").hint;
        let token = hint.rsplit(' ').next().expect("a token");

        assert!(require(&[1; 16], "delete scope a", &["3"], Some(token)).is_ok());
        for (instance, act, state) in [
            ([2; 16], "delete scope a", "3"),
            ([1; 16], "delete scope b", "3"),
            ([1; 16], "delete scope a", "4"),
        ] {
            assert!(require(&instance, act, &[state], Some(token)).is_err());
        }
    }
}
