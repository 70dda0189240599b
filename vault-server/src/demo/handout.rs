//! What people need to try a vault that is kept running.

use serde_json::{Value, json};

use super::binance::{self, HOST};
use super::execute::{KEY_HEADER, order_target, placeholder, read_target, withdrawal_target};
use super::story;
use super::vault::{Place, Vault};
use super::venue::Venues;

/// Where everything is, and commands that work.
pub fn handout(place: &Place, vault: &Vault, venues: &Venues) -> Value {
    let ready = &vault.ready;
    let bot = place.identity(story::BOT);
    let example = format!(
        "{} --identity {} sign --credential {} POST {} --body '{}'",
        vaultctl(),
        bot.display(),
        story::OKX,
        story::ORDER_URL,
        story::ORDER_BODY,
    );
    let trader = place.identity(binance::TRADER);
    json!({
        "event": "serving",
        "addresses": { "bot": ready.bot, "operator": ready.operator, "enroll": ready.enroll },
        "data": place.data(),
        "socket": ready.socket,
        "passphrase_file": place.passphrase(),
        "vault_log": place.log(),
        "identities": {
            "admin": place.identity(story::ADMIN),
            "auditor": place.identity(story::AUDITOR),
            "bot": bot,
            "reader": place.identity(binance::READER),
            "trader": trader,
        },
        "client": story::BOT,
        "credentials": [story::OKX, story::KRAKEN, binance::PLAIN, binance::CHECKED],
        "scope": story::SCOPE,
        "venues": {
            "okx": format!("http://{}", venues.address()),
            "binance": format!("http://{}", venues.address()),
            "kraken": format!("http://{}", venues.address()),
        },
        "proxy": {
            "url": format!("https://{}/https://{HOST}/", ready.bot),
            "header": format!("{KEY_HEADER}: {}", placeholder(binance::CHECKED)),
            "cert": trader.join("cert.pem"),
            "key": trader.join("key.pem"),
            "ca": trader.join("ca.pem"),
            "curl": curl(place, vault),
        },
        "pid": ready.pid,
        "example": example,
    })
}

/// Commands for a shell, by what they do: the proxy, as a person tries it first.
fn curl(place: &Place, vault: &Vault) -> Value {
    let trader = place.identity(binance::TRADER);
    let command = |method: &str, target: &str| {
        let file = |name: &str| quoted(&trader.join(name).display().to_string());
        format!(
            "curl --cert {} --key {} --cacert {} -X {method} -H {} {}",
            file("cert.pem"),
            file("key.pem"),
            file("ca.pem"),
            quoted(&format!("{KEY_HEADER}: {}", placeholder(binance::CHECKED))),
            quoted(&format!("https://{}/https://{HOST}{target}", vault.ready.bot)),
        )
    };
    json!({
        "read": command("GET", &read_target()),
        "order": command("POST", &order_target()),
        "withdrawal": command("POST", &withdrawal_target()),
    })
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The client's binary beside this one, or its bare name.
fn vaultctl() -> String {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name("vaultctl"));
    match beside.filter(|path| path.exists()) {
        Some(path) => path.display().to_string(),
        None => "vaultctl".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("a b?c&d"), "'a b?c&d'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
