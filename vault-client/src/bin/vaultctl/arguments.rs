//! Arguments that several commands read.

use std::io::Read as _;
use std::net::IpAddr;

use vault_client::v1::{Header, VenueRequest};
use vault_client::venue_request;

use crate::fault::{Fault, file};

/// Reads `90s`, `15m`, `2h` or `1d` as seconds: 60 to 86,400.
pub fn lifetime(text: &str) -> Result<u32, String> {
    let at = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(at);
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("expected a number and s, m, h or d: 15m".to_owned()),
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit_s));
    seconds
        .filter(|seconds| (60..=86_400).contains(seconds))
        .ok_or_else(|| "expected 60s to 24h".to_owned())
}

/// Reads a CIDR; a bare address stands for itself alone.
pub fn network(text: &str) -> Result<String, String> {
    let wrong = || "expected an address or a CIDR: 192.0.2.0/24".to_owned();
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    match bits {
        None => Ok(format!("{address}/{bits_max}")),
        Some(bits) => match bits.parse::<u8>() {
            Ok(bits) if bits <= bits_max => Ok(text.to_owned()),
            _ => Err(wrong()),
        },
    }
}

/// Reads `name: value`.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A venue request, as arguments give it.
#[derive(clap::Args)]
pub struct Request {
    /// GET, POST ...
    pub method: String,
    /// https://HOST/PATH?QUERY, or wss:// for a log-on
    pub url: String,
    /// The body: as it stands, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT|@FILE|-")]
    pub body: Option<String>,
    /// A header to be sent along
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// Reads the body and takes the URL apart.
    pub fn into_venue_request(self) -> Result<VenueRequest, Fault> {
        let body = body(self.body.as_deref())?;
        let mut request = venue_request(&self.method, &self.url, body)
            .map_err(|error| Fault::usage(error.to_string()))?;
        request.headers =
            self.headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        Ok(request)
    }
}

/// A body, as an argument gives it: as it stands, `@FILE`, or `-` for stdin.
pub fn body(argument: Option<&str>) -> Result<Vec<u8>, Fault> {
    match argument {
        None => Ok(Vec::new()),
        Some("-") => {
            let mut body = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut body)
                .map_err(|error| Fault::other(format!("stdin: {error}")))?;
            Ok(body)
        }
        Some(text) => match text.strip_prefix('@') {
            Some(path) => std::fs::read(path).map_err(file(path.as_ref())),
            None => Ok(text.as_bytes().to_vec()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{lifetime, network};

    #[test]
    fn lifetimes_are_a_minute_to_a_day() {
        for (text, seconds) in [("60s", 60), ("15m", 900), ("24h", 86_400), ("1d", 86_400)] {
            assert_eq!(lifetime(text), Ok(seconds));
        }
        for text in ["", "15", "m", "59s", "25h", "4000000000d", "15µ", "-1m"] {
            assert!(lifetime(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_are_addresses_or_cidrs() {
        assert_eq!(network("192.0.2.7").as_deref(), Ok("192.0.2.7/32"));
        assert_eq!(network("2001:db8::1").as_deref(), Ok("2001:db8::1/128"));
        assert_eq!(network("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        for text in ["", "10.0.0/8", "10.0.0.0/33", "host", "::/129", "10.0.0.0/"] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }
}
