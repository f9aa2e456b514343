//! The values of settings: text to value, or the form that is allowed.
//!
//! The functions know neither the setting nor the place of the text. The table and the caller add
//! these to the error.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use encoding_rs::Encoding;
use stockd_model::limits::{
    CLUSTER_NAME_BYTES_MAX, COMMIT_INTERVAL_MAX, CONNECTIONS_CEILING, LISTEN_ADDRESSES_MAX,
    MEMORY_FLOOR, TIMEOUT_MAX, WEB_THREADS_MAX, WORKERS_MAX,
};
use stockd_model::{Address, AddressError, ToAddresses};
use stockd_tls::ClientCertificates;
use tracing_subscriber::filter::LevelFilter;

use super::insecure::Insecure;
use super::sync::Sync;
use crate::catalog_file;
use crate::log::LogFormat;

/// The form that is allowed, as the end of an error: "write …".
pub(super) type Form = Cow<'static, str>;

pub(super) fn addresses(text: &str) -> Result<Vec<Address>, Form> {
    if text == "off" {
        return Ok(Vec::new());
    }
    if text.split(',').nth(LISTEN_ADDRESSES_MAX).is_some() {
        return Err(format!("write {LISTEN_ADDRESSES_MAX} addresses at most").into());
    }
    let addresses = text.split(',').map(|text| addresses_of(text.trim()));
    Ok(addresses.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Addresses of the service plane, which a build may lack.
pub(super) fn web_addresses(text: &str) -> Result<Vec<Address>, Form> {
    if text != "off" && !cfg!(feature = "web") {
        return Err("this build has no HTTP and gRPC; write off".into());
    }
    addresses(text)
}

/// Names of hosts without ports.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, Form> {
    let is_host = |host: &&str| {
        let is_of_name = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_');
        *host == "*" || host.chars().all(is_of_name)
    };
    let hosts: Vec<&str> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    match hosts.iter().all(is_host) {
        true => Ok(hosts.into_iter().map(str::to_owned).collect()),
        false => Err("write names of hosts without ports, with commas between, or *".into()),
    }
}

/// Origins of pages: a scheme and a host, with a port or without.
pub(super) fn origins(text: &str) -> Result<Vec<String>, Form> {
    let is_origin = |origin: &&str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let is_of_host = |it: char| it.is_alphanumeric() || ".-_:[]".contains(it);
        *origin == "*" || host.is_some_and(|it| !it.is_empty() && it.chars().all(is_of_host))
    };
    let origins: Vec<&str> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    match origins.iter().all(is_origin) {
        true => Ok(origins.into_iter().map(str::to_owned).collect()),
        false => Err("write origins as https://example.com, with commas between, or *".into()),
    }
}

pub(super) fn web_threads(text: &str) -> Result<usize, Form> {
    number_up_to(text, WEB_THREADS_MAX)
        .ok_or_else(|| format!("write a number from 1 to {WEB_THREADS_MAX}").into())
}

pub(super) fn streams(text: &str) -> Result<usize, Form> {
    connections(text)
}

/// The addresses that a text stands for: itself, or those of the host that it names. A name has those
/// of IPv4, or else those of IPv6: many systems know two of `localhost` and have one.
fn addresses_of(text: &str) -> Result<Vec<Address>, Form> {
    let error = match text.parse() {
        Ok(address) => return Ok(vec![address]),
        Err(AddressError::NoAddress) => AddressError::NoAddress,
        Err(error) => return Err(error.to_string().into()),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let host = text.strip_prefix("tls:").unwrap_or(text);
    let names_host = host.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains([':', '[']) && is_port(port)
    });
    if !names_host {
        return Err(format!("{error}, several with commas between, or off").into());
    }
    let mut found = text.to_addresses().unwrap_or_default();
    let is_ipv4 = |address: &Address| address.tcp().is_some_and(|address| address.is_ipv4());
    if found.iter().any(is_ipv4) {
        found.retain(is_ipv4);
    }
    found.sort_by_key(Address::to_string);
    found.dedup();
    match found.is_empty() {
        true => {
            Err("the system knows no host of this name; write one that it knows, or IP:PORT".into())
        }
        false => Ok(found),
    }
}

pub(super) fn file(text: &str) -> Result<Option<PathBuf>, Form> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Addresses of NATS servers.
pub(super) fn servers(text: &str) -> Result<Vec<String>, Form> {
    let servers: Vec<&str> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    let is_server = |it: &&str| ["nats://", "tls://"].iter().any(|scheme| it.starts_with(scheme));
    if !servers.iter().all(is_server) {
        return Err(
            "write nats://HOST:PORT or tls://HOST:PORT, several of them with commas between".into(),
        );
    }
    if !servers.is_empty() && !cfg!(feature = "cluster") {
        return Err("this build has no clusters".into());
    }
    Ok(servers.into_iter().map(str::to_owned).collect())
}

/// Monitoring addresses of NATS servers.
pub(super) fn monitors(text: &str) -> Result<Vec<String>, Form> {
    let monitors = text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
    let monitors: Vec<String> = monitors.collect();
    match monitors.iter().all(|it| it.starts_with("http://")) {
        true => Ok(monitors),
        false => Err("write http://HOST:PORT, several of them with commas between".into()),
    }
}

pub(super) fn cluster_name(text: &str) -> Result<String, Form> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name =
        (1..=CLUSTER_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("write up to 32 letters, digits, - and _".into()),
    }
}

pub(super) fn insecure(text: &str) -> Result<Insecure, Form> {
    text.parse().map_err(|_| {
        "write true, false, or some of line, resp, http and grpc with commas between".into()
    })
}

pub(super) fn client_certificates(text: &str) -> Result<ClientCertificates, Form> {
    match text {
        "off" => Ok(ClientCertificates::Off),
        "optional" => Ok(ClientCertificates::Optional),
        "required" => Ok(ClientCertificates::Required),
        _ => Err("write off, optional or required".into()),
    }
}

pub(super) fn workers(text: &str) -> Result<usize, Form> {
    if text == "cores" {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return Ok(cores.min(WORKERS_MAX));
    }
    number_up_to(text, WORKERS_MAX)
        .ok_or_else(|| format!("write a number from 1 to {WORKERS_MAX}, or cores").into())
}

pub(super) fn connections(text: &str) -> Result<usize, Form> {
    number_up_to(text, CONNECTIONS_CEILING)
        .ok_or_else(|| format!("write a number from 1 to {CONNECTIONS_CEILING}").into())
}

fn number_up_to(text: &str, max: usize) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (1..=max).contains(&number).then_some(number)
}

pub(super) fn memory(text: &str) -> Result<usize, Form> {
    if text == "auto" {
        return Ok(stockd_server::default_memory_max());
    }
    bytes(text).map_err(|form| format!("{form}, or auto").into())
}

/// A size of at least [`MEMORY_FLOOR`].
pub(super) fn bytes(text: &str) -> Result<usize, Form> {
    let unit_at = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(unit_at);
    let unit_bytes = match unit {
        "KB" => Some(1 << 10),
        "MB" => Some(1 << 20),
        "GB" => Some(1 << 30),
        _ => None,
    };
    unit_bytes
        .and_then(|unit_bytes| number.parse::<usize>().ok()?.checked_mul(unit_bytes))
        .filter(|bytes| *bytes >= MEMORY_FLOOR)
        .ok_or_else(|| {
            let least = MEMORY_FLOOR >> 20;
            format!("write a size such as 64MB or 2GB, from {least}MB").into()
        })
}

pub(super) fn duration_or_off(text: &str) -> Result<Option<Duration>, Form> {
    if text == "off" {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|form| format!("{form}, or off").into())
}

pub(crate) fn duration(text: &str) -> Result<Duration, Form> {
    let unit_at = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60 * 1000),
        "h" => Some(60 * 60 * 1000),
        _ => None,
    };
    unit_ms
        .and_then(|unit_ms| number.parse::<u64>().ok()?.checked_mul(unit_ms))
        .map(Duration::from_millis)
        .filter(|time| (Duration::from_millis(1)..=TIMEOUT_MAX).contains(time))
        .ok_or_else(|| {
            let hours = TIMEOUT_MAX.as_secs() / 3600;
            format!("write a time such as 500ms, 30s, 5m or 1h, up to {hours}h").into()
        })
}

pub(super) fn catalog(text: &str) -> Result<Option<catalog_file::Source>, Form> {
    let source = || catalog_file::Source::new(text, catalog_file::Form::default());
    Ok((!text.is_empty()).then(source))
}

pub(super) fn catalog_format(text: &str) -> Result<Option<catalog_file::Format>, Form> {
    match text {
        "auto" => Ok(None),
        text => <catalog_file::Format as clap::ValueEnum>::from_str(text, false)
            .map(Some)
            .map_err(|_| "write csv, jsonl, json or auto".into()),
    }
}

pub(super) fn catalog_columns(text: &str) -> Result<catalog_file::Columns, Form> {
    text.parse().map_err(|why: String| match why.starts_with("write ") {
        true => why.into(),
        false => format!("{why}; write FIELD=COLUMN, as in symbol=Ticker").into(),
    })
}

pub(super) fn catalog_delimiter(text: &str) -> Result<Option<u8>, Form> {
    match text.as_bytes() {
        b"auto" => Ok(None),
        b"tab" => Ok(Some(b'\t')),
        &[mark] if b",;|:^~".contains(&mark) => Ok(Some(mark)),
        _ => Err("write one of , ; | : ^ ~, or tab, or auto".into()),
    }
}

pub(super) fn catalog_decimal_comma(text: &str) -> Result<Option<bool>, Form> {
    match text {
        "auto" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "write true, false or auto".into()),
    }
}

pub(super) fn catalog_encoding(text: &str) -> Result<Option<&'static Encoding>, Form> {
    match text {
        "auto" => Ok(None),
        text => Encoding::for_label(text.as_bytes())
            .map(Some)
            .ok_or_else(|| "write a name such as utf-8, utf-16le or windows-1252, or auto".into()),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, Form> {
    text.parse().map_err(|_| "write true or false".into())
}

pub(super) fn data_dir(text: &str) -> Result<Option<PathBuf>, Form> {
    // Any other text can be the name of a directory; what is there shows when it is opened.
    Ok((!text.is_empty()).then(|| text.into()))
}

pub(super) fn sync(text: &str) -> Result<Sync, Form> {
    let interval = |ms: &str| number_up_to(ms, COMMIT_INTERVAL_MAX.as_millis() as usize);
    match (text, text.strip_prefix("interval=").and_then(interval)) {
        ("always", _) => Ok(Sync::Always),
        ("never", _) => Ok(Sync::Never),
        (_, Some(ms)) => Ok(Sync::Interval(Duration::from_millis(ms as u64))),
        _ => {
            let ms_max = COMMIT_INTERVAL_MAX.as_millis();
            Err(format!("write always, interval=MS with 1 to {ms_max}, or never").into())
        }
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Form> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text or json".into()),
    }
}

pub(super) fn level(text: &str) -> Result<LevelFilter, Form> {
    Ok(match text {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err("write off, error, warn, info, debug or trace".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("720h"), Ok(TIMEOUT_MAX));
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "0s",
            "721h",
            "1 s",
            "1d",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(text).unwrap_err().starts_with("write a time"), "{text}");
        }
        assert_eq!(duration_or_off("off"), Ok(None));
        assert!(duration_or_off("never").unwrap_err().ends_with(", or off"));
    }

    #[test]
    fn sizes_have_a_unit_and_a_least() {
        assert_eq!(memory("1024KB"), Ok(MEMORY_FLOOR));
        assert_eq!(memory("512MB"), Ok(512 << 20));
        assert_eq!(memory("2GB"), Ok(2 << 30));
        assert!(memory("auto").unwrap() >= 64 << 20);
        for text in ["", "64", "MB", "-1MB", "1.5GB", "64mb", "64 MB", "1023KB", "99999999999999GB"]
        {
            assert!(memory(text).unwrap_err().starts_with("write a size"), "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        assert_eq!(workers("1024"), Ok(1024));
        assert!(workers("cores").unwrap() >= 1);
        assert_eq!(connections("1"), Ok(1));
        for text in ["", "0", "-1", "+1", "1025", "2.0", "two", "99999999999999999999999"] {
            assert!(workers(text).is_err(), "{text}");
        }
        assert!(connections("1048577").is_err());
    }

    #[test]
    fn when_to_sync_is_one_of_three() {
        assert_eq!(sync("always"), Ok(Sync::Always));
        assert_eq!(sync("never"), Ok(Sync::Never));
        assert_eq!(sync("interval=250"), Ok(Sync::Interval(Duration::from_millis(250))));
        assert_eq!(sync("interval=3600000"), Ok(Sync::Interval(COMMIT_INTERVAL_MAX)));
        for text in ["", "Always", "interval", "interval=", "interval=0", "interval=3600001"] {
            assert!(sync(text).unwrap_err().starts_with("write always, interval=MS"), "{text}");
        }
    }

    #[test]
    fn addresses_are_an_ip_and_a_port_or_the_path_of_a_socket() {
        let written = |text: &str| {
            let addresses = addresses(text).unwrap();
            addresses.iter().map(Address::to_string).collect::<Vec<_>>()
        };
        for text in ["127.0.0.1:0", "[::1]:7878", "0.0.0.0:65535", "unix:/run/off"] {
            assert_eq!(written(text), [text]);
        }
        assert_eq!(written("127.0.0.1:1, [::1]:1,unix:s"), ["127.0.0.1:1", "[::1]:1", "unix:s"]);
        assert_eq!(written("off"), [""; 0]);
        assert_eq!(
            written(&["unix:s"; LISTEN_ADDRESSES_MAX].join(",")).len(),
            LISTEN_ADDRESSES_MAX
        );
        let many = ["unix:s"; LISTEN_ADDRESSES_MAX + 1].join(",");
        assert!(addresses(&many).unwrap_err().ends_with("at most"));
        assert_eq!(written("localhost:7878"), ["127.0.0.1:7878"]);
        for text in [
            "",
            "7878",
            ":7878",
            "localhost",
            "no.such.invalid:1",
            "127.0.0.1:65536",
            "unix:",
            "::1:1",
        ] {
            assert!(addresses(text).is_err(), "{text}");
            assert!(addresses(&format!("127.0.0.1:1,{text}")).is_err(), "{text}");
        }
    }
}
