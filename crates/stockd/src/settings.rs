//! The settings of the server: their names, meanings and defaults, and where they come from.
//!
//! One table, below, gives every setting its key in the configuration file, its environment
//! variable, its flag, its help and its default. A setting is text wherever it comes from and
//! becomes a value in one place, `settings/value.rs`.
//!
//! Invariant: later sources win, in the order defaults, file, environment, flags; and nothing is
//! ignored: an unknown name in any of them is an error, so that a typing error cannot pass for a
//! setting.

mod file;
mod insecure;
mod sync;
mod value;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use encoding_rs::Encoding;
use stockd_model::Address;
use stockd_tls::ClientCertificates;
use tracing_subscriber::filter::LevelFilter;

pub(crate) use self::insecure::Insecure;
pub(crate) use self::sync::Sync;
#[cfg(feature = "feed")]
pub(crate) use self::value::duration;
use crate::catalog_file;
use crate::log::LogFormat;
use crate::usage_error::UsageError;

/// Declares the settings once: the struct of their values, and the table of everything else.
macro_rules! settings {
    ($($(#[doc = $help:literal])+
       $key:ident: $kind:ty = $default:expr, $placeholder:literal, $parse:path;)+) => {
        /// What the server runs with.
        #[derive(Debug, PartialEq)]
        pub(crate) struct Settings {
            $($(#[doc = $help])+ pub(crate) $key: $kind,)+
        }

        impl Default for Settings {
            fn default() -> Settings {
                Settings {
                    $($key: $parse($default).expect("the default is a possible value"),)+
                }
            }
        }

        impl Settings {
            /// The keys of the settings in which two differ.
            pub(crate) fn differences(&self, other: &Settings) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(if self.$key != other.$key {
                    keys.push(stringify!($key));
                })+
                keys
            }
        }

        const TABLE: &[Setting] = &[$(Setting {
            key: stringify!($key),
            help: &[$($help),+],
            default: $default,
            placeholder: $placeholder,
            set: |settings, text| {
                settings.$key = $parse(text)?;
                Ok(())
            },
        }),+];
    };
}

/// A build without the service plane has nothing to listen with.
const HTTP_DEFAULT: &str = if cfg!(feature = "web") { "127.0.0.1:7880" } else { "off" };

settings! {
    /// Address of the line protocol: IP:PORT, where port 0 takes any free port, tls:IP:PORT for TLS,
    /// unix:PATH for a Unix socket, several of them with commas between, or `off`.
    line: Vec<Address> = "127.0.0.1:7878", "ADDR", value::addresses;

    /// Address of RESP, the protocol of Redis clients, in the same form.
    resp: Vec<Address> = "127.0.0.1:7879", "ADDR", value::addresses;

    /// Address of HTTP, in the same form: quotes and streams for browsers, scripts and services, gRPC on the
    /// same port, and metrics.
    http: Vec<Address> = HTTP_DEFAULT, "ADDR", value::web_addresses;

    /// Address of gRPC on a port of its own, in the same form.
    grpc: Vec<Address> = "off", "ADDR", value::web_addresses;

    /// Names that clients of HTTP and gRPC may call this server, with commas between, beside `localhost`, the
    /// addresses of the loopback and the one that they have come to; `*` is any. A page of such a host may use the
    /// server, too.
    allowed_hosts: Vec<String> = "", "HOSTS", value::hosts;

    /// Origins of pages on other sites, such as `https://example.com`, that may use the server and read its answers
    /// (CORS), with commas between; `*` is any.
    cors_origins: Vec<String> = "", "ORIGINS", value::origins;

    /// Answer clients of Alpaca's market data: the latest trades, quotes and snapshots under /v2, and its stream.
    alpaca: bool = "true", "BOOL", value::boolean;

    /// Answer clients of the course CS677: stocks under /stocks, and orders that have numbers under /orders.
    cs677: bool = "true", "BOOL", value::boolean;

    /// Threads that serve HTTP and gRPC: 1 to 64.
    web_threads: usize = "1", "N", value::web_threads;

    /// Streams of live quotes over HTTP and gRPC that are open at once.
    streams_max: usize = "10000", "N", value::streams;

    /// File that says who may read, write and trade what, as docs/security.md describes it. When it changes
    /// the server takes what is in it, within 10 seconds or at SIGHUP. None lets everybody do everything,
    /// on this machine alone.
    access: Option<PathBuf> = "", "FILE", value::file;

    /// Listeners that others may reach although they are not protected: `true` for all, or some of `line`,
    /// `resp`, `http` and `grpc` with commas between.
    insecure: Insecure = "false", "LISTENERS", value::insecure;

    /// Certificate of the server for addresses with tls:, and behind it those of its issuers, as PEM. When
    /// the file changes the server takes what is in it, within 10 seconds or at SIGHUP.
    tls_cert: Option<PathBuf> = "", "FILE", value::file;

    /// Private key of tls_cert, as PEM.
    tls_key: Option<PathBuf> = "", "FILE", value::file;

    /// Authorities of the certificates that clients show, as PEM.
    tls_client_ca: Option<PathBuf> = "", "FILE", value::file;

    /// Whether clients show certificates: `off`, `optional`, or `required`, where a client without one is
    /// sent away.
    tls_clients: ClientCertificates = "off", "WHEN", value::client_certificates;

    /// Let every client come through a proxy that sends a header of the PROXY protocol, version 1 or 2,
    /// such as HAProxy with `send-proxy`. A connection without one is refused.
    proxy_protocol: bool = "false", "BOOL", value::boolean;

    /// Worker threads that serve connections: 1 to 1024, or `cores` for one per processor core.
    workers: usize = "cores", "N", value::workers;

    /// Let workers look for requests again and again instead of sleeping until one comes: lower
    /// latency with few connections, and a core busy for each worker all the time.
    spin: bool = "false", "BOOL", value::boolean;

    /// Connections open at once; one more gets an error and is closed. The limit of open files may
    /// lower it; the log then says so.
    connections_max: usize = "50000", "N", value::connections;

    /// Close a connection after this time without a byte in or out: 30s, 5m, 1h or `off`.
    idle_timeout: Option<Duration> = "off", "TIME", value::duration_or_off;

    /// Close a client that reads none of its waiting replies for this time.
    stalled_timeout: Duration = "60s", "TIME", value::duration;

    /// Memory that all connections hold together, as 64MB or 2GB; `auto` is a quarter of what the
    /// system or the control group allows, and at least 64MB. Close to it commands that would take
    /// more are refused, above it the connections that hold the most are closed.
    memory_max: usize = "auto", "BYTES", value::memory;

    /// Replies that all clients together may leave unread beyond 1MB each, as 64MB or 2GB. A client may send
    /// many commands before it reads; when this is spent the server reads no further ones. At most a
    /// quarter of memory_max.
    unread_replies_max: usize = "256MB", "BYTES", value::bytes;

    /// File of the stocks to list at start: CSV or JSON, also compressed with gzip; `-` reads
    /// standard input. None lists no stocks. Stocks that the data directory knows keep what they have
    /// there; `stockd import FILE` overwrites them.
    catalog: Option<catalog_file::Source> = "", "FILE", value::catalog;

    /// Format of the catalog file: `csv`, `jsonl` or `json`; `auto` sees it in the file.
    catalog_format: Option<catalog_file::Format> = "auto", "FORMAT", value::catalog_format;

    /// Which columns of the catalog file are which, as in symbol=Ticker,price='Last Sale'.
    catalog_columns: catalog_file::Columns = "", "COLUMNS", value::catalog_columns;

    /// What stands between the fields of the catalog file: one of `, ; | : ^ ~`, or tab; `auto` sees it in the
    /// header.
    catalog_delimiter: Option<u8> = "auto", "CHAR", value::catalog_delimiter;

    /// Whether numbers of the catalog file have a comma before their decimal places; `auto` sees it in them.
    catalog_decimal_comma: Option<bool> = "auto", "WHEN", value::catalog_decimal_comma;

    /// Encoding of the catalog file, as in windows-1252; `auto` is UTF-8, or UTF-16 where it begins so.
    catalog_encoding: Option<&'static Encoding> = "auto", "NAME", value::catalog_encoding;

    /// Skip and count bad rows of the catalog file instead of refusing to start.
    lenient: bool = "false", "BOOL", value::boolean;

    /// Directory that keeps the catalog through restarts and crashes, for one server at a time.
    /// Unless one is named it is `stockd` in the platform's directory for state.
    data_dir: Option<PathBuf> = "", "DIR", value::data_dir;

    /// When writes are on the disk: `always` before they are answered, `interval=MS` at most this
    /// many milliseconds after, `never` when the system decides.
    sync: Sync = "always", "WHEN", value::sync;

    /// Keep nothing on disk: the catalog is in memory alone, and a data directory is not used.
    ephemeral: bool = "false", "BOOL", value::boolean;

    /// NATS servers that keep the log of a cluster: `nats://HOST:PORT`, several of them with commas between.
    /// The catalog is then that of the cluster. With --data-dir the node goes on from there when it is started again; docs/cluster.md says more.
    cluster: Vec<String> = "", "URLS", value::servers;

    /// Name of the cluster: one NATS may have several.
    cluster_name: String = "main", "NAME", value::cluster_name;

    /// Credentials for NATS, as `nsc` writes them.
    cluster_creds: Option<PathBuf> = "", "FILE", value::file;

    /// Authorities of the certificates of the NATS servers, as PEM.
    cluster_ca: Option<PathBuf> = "", "FILE", value::file;

    /// Follows the log of a cluster and writes nothing to it: lookups and subscriptions alone, as for another region.
    follow: bool = "false", "BOOL", value::boolean;
    /// Monitoring addresses of the NATS servers: `http://HOST:PORT`, several of them with commas between. The start then
    /// looks whether they sync what they acknowledge, and refuses those that do not.
    cluster_monitor: Vec<String> = "", "URLS", value::monitors;

    /// How long a write waits for the log of the cluster before its client is told that it is uncertain.
    write_timeout: Duration = "10s", "TIME", value::duration;

    /// How old what a node of a cluster shows may be before /health/ready says that it is not ready.
    stale_after: Duration = "5s", "TIME", value::duration;

    /// What lines of the log look like: `text`, or `json`, an object a line.
    log_format: LogFormat = "text", "FORMAT", value::log_format;

    /// What to log on standard error: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    log: LevelFilter = "info", "LEVEL", value::level;
}

/// One row of the table of settings.
struct Setting {
    /// Its name, as in the configuration file.
    key: &'static str,
    /// What it means, one comment line each.
    help: &'static [&'static str],
    /// The text of its default.
    default: &'static str,
    /// What stands for its value in the help of the flag.
    placeholder: &'static str,
    /// Sets it from text, or says which form is allowed.
    set: fn(&mut Settings, &str) -> Result<(), value::Form>,
}

/// What environment variables of settings begin with.
const ENVIRONMENT_PREFIX: &str = "STOCKD_";

/// Variables with that prefix that are no settings of the server: where its file is, and what the
/// client reads.
const OTHER_VARIABLES: [&str; 5] = ["CONFIG", "SERVER", "RESP_SERVER", "TLS_CA", "TOKEN_FILE"];

impl Settings {
    /// The settings that hold: defaults, then the file, then the environment, then the flags.
    ///
    /// # Errors
    ///
    /// The first name that is unknown or value that is not possible, with where it stands.
    pub(crate) fn load(
        flags: &SettingFlags,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in all_given(flags, environment)? {
            settings.apply(&given?)?;
        }
        Ok(settings)
    }

    /// The same as lines of a settings file, each with where it comes from.
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn effective(
        flags: &SettingFlags,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<(String, String)>, UsageError> {
        let mut settings = Settings::default();
        let mut given: Vec<Given> = Vec::new();
        for next in all_given(flags, environment)? {
            let next = next?;
            settings.apply(&next)?;
            given.push(next);
        }
        let line = |setting: &'static Setting| {
            // The last one wins.
            let given = given.iter().rfind(|given| given.setting.key == setting.key);
            let (text, origin) = match given {
                Some(Given { text, origin, .. }) => (text.as_str(), origin.as_str()),
                None => (setting.default, "default"),
            };
            (format!("{} = {}", setting.key, file::literal(text)), origin.to_owned())
        };
        Ok(TABLE.iter().map(line).collect())
    }

    /// The file of the stocks to list at start, with all that is said of it.
    pub(crate) fn catalog_file(&self) -> Option<catalog_file::Source> {
        let form = catalog_file::Form {
            format: self.catalog_format,
            columns: self.catalog_columns.clone(),
            delimiter: self.catalog_delimiter,
            decimal_comma: self.catalog_decimal_comma,
            encoding: self.catalog_encoding,
        };
        Some(self.catalog.clone()?.with_form(form))
    }

    fn apply(&mut self, Given { setting, text, origin }: &Given) -> Result<(), UsageError> {
        (setting.set)(self, text).map_err(|form| {
            let key = setting.key;
            UsageError(format!("{origin}: '{text}' is not possible for {key}: {form}"))
        })
    }
}

/// A setting that is given somewhere.
struct Given {
    setting: &'static Setting,
    text: String,
    origin: String,
}

/// All settings that are given, those that win last. An unknown name is an error in its place.
fn all_given(
    flags: &SettingFlags,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Result<Given, UsageError>>, UsageError> {
    let mut all = match &flags.config {
        Some(path) => given_in_file(path)?,
        None => Vec::new(),
    };
    all.extend(environment.filter_map(|(name, value)| given_by_variable(&name, &value)));
    all.extend(
        flags.given.iter().map(|(setting, text)| {
            Ok(Given { setting, text: text.clone(), origin: setting.flag() })
        }),
    );
    Ok(all)
}

fn given_in_file(path: &Path) -> Result<Vec<Result<Given, UsageError>>, UsageError> {
    let given = |entry: file::Entry| {
        let origin = format!("{}:{}", path.display(), entry.line);
        let setting = TABLE.iter().find(|setting| setting.key == entry.key);
        let setting = setting.ok_or_else(|| {
            let what = format!("{origin}: unknown setting '{}'", entry.key);
            unknown(&what, &entry.key, |setting| setting.key.to_owned())
        })?;
        Ok(Given { setting, text: entry.value, origin })
    };
    Ok(file::read(path)?.into_iter().map(given).collect())
}

/// The setting that a variable gives, if it is one of a setting.
fn given_by_variable(name: &OsStr, value: &OsStr) -> Option<Result<Given, UsageError>> {
    let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
    let suffix = name.strip_prefix(ENVIRONMENT_PREFIX)?;
    // An empty variable is how scripts and containers leave one out.
    let is_left_out = value.is_empty() || is_service_link(suffix, &value);
    if OTHER_VARIABLES.contains(&suffix) || is_left_out {
        return None;
    }
    let setting = TABLE.iter().find(|setting| setting.variable() == name);
    Some(match setting {
        Some(setting) => {
            let origin = format!("environment variable {name}");
            Ok(Given { setting, text: value.into_owned(), origin })
        }
        None => {
            let what = format!("unknown environment variable '{name}'");
            Err(unknown(&what, &suffix.to_lowercase(), Setting::variable))
        }
    })
}

/// How many settings a file gives, and what is wrong with it.
///
/// # Errors
///
/// When it cannot be read, or is no TOML.
pub(crate) fn check_file(path: &Path) -> Result<(usize, Vec<UsageError>), UsageError> {
    let all = given_in_file(path)?;
    let count = all.len();
    let mut settings = Settings::default();
    let wrong = all.into_iter().filter_map(|given| match given {
        Ok(given) => settings.apply(&given).err(),
        Err(error) => Some(error),
    });
    Ok((count, wrong.collect()))
}

impl Setting {
    fn flag(&self) -> String {
        format!("--{}", self.flag_name())
    }

    fn flag_name(&self) -> String {
        self.key.replace('_', "-")
    }

    fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key.to_uppercase())
    }

    /// A switch is on when its flag stands alone.
    fn is_switch(&self) -> bool {
        ["BOOL", "LISTENERS"].contains(&self.placeholder)
    }

    fn arg(&self) -> Arg {
        let help = self.help.concat();
        let default = match self.default {
            "" => "none",
            text => text,
        };
        let help = format!(
            "{} [default: {default}] [env: {}]",
            help.trim().trim_end_matches('.'),
            self.variable()
        );
        let arg = Arg::new(self.key)
            .long(self.flag_name())
            .value_name(self.placeholder)
            .help(help)
            .action(ArgAction::Set);
        if self.is_switch() {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg.allow_hyphen_values(true)
        }
    }
}

/// Whether it is one of the variables that Kubernetes sets in every container beside a service
/// named `stockd` (`STOCKD_SERVICE_HOST`, `STOCKD_PORT=tcp://…`, `STOCKD_PORT_7878_TCP_ADDR`…) or
/// `stockd-resp` (`STOCKD_RESP_SERVICE_HOST`…). They are not typed by hand, so they are no typing errors.
fn is_service_link(suffix: &str, value: &str) -> bool {
    let suffix = format!("_{suffix}");
    let is_of_port = |behind: &str| {
        let digits = behind.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let protocols = ["_TCP", "_UDP", "_SCTP"];
        digits.len() < behind.len() && protocols.iter().any(|it| digits.starts_with(it))
    };
    suffix.contains("_SERVICE_HOST")
        || suffix.contains("_SERVICE_PORT")
        || suffix.match_indices("_PORT_").any(|(at, it)| is_of_port(&suffix[at + it.len()..]))
        || (suffix.ends_with("_PORT") && value.contains("://"))
}

/// The error for an unknown name. It suggests the keys that are similar, or lists all.
fn unknown(what: &str, name: &str, shown: fn(&Setting) -> String) -> UsageError {
    let is_close =
        |setting: &&Setting| strsim::normalized_damerau_levenshtein(setting.key, name) > 0.6;
    let close: Vec<String> = TABLE.iter().filter(is_close).map(shown).collect();
    UsageError(if close.is_empty() {
        let all: Vec<String> = TABLE.iter().map(shown).collect();
        format!("{what}; there are {}", all.join(", "))
    } else {
        format!("{what}; did you mean {}?", close.join(" or "))
    })
}

/// The flags of `stockd serve` that are settings, made from the table.
#[derive(Clone, Debug)]
pub(crate) struct SettingFlags {
    config: Option<PathBuf>,
    given: Vec<(&'static Setting, String)>,
}

impl SettingFlags {
    /// Whether any is given.
    pub(crate) fn are_given(&self) -> bool {
        !self.given.is_empty()
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .env("STOCKD_CONFIG")
            .hide_env(true)
            .help("File of settings in TOML, as `stockd config` prints it [env: STOCKD_CONFIG]");
        command.arg(config).args(TABLE.iter().map(Setting::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingFlags, clap::Error> {
        let text = |setting: &'static Setting| {
            let text = matches.get_one::<String>(setting.key)?;
            Some((setting, text.clone()))
        };
        Ok(SettingFlags {
            config: matches.get_one::<PathBuf>("config").cloned(),
            given: TABLE.iter().filter_map(text).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key)
    }
}

/// The environment variables of all settings, and what each sets.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |setting: &Setting| setting.help.concat().trim().to_owned();
    TABLE.iter().map(move |setting| (setting.variable(), text(setting)))
}

/// The configuration file that says nothing but the defaults, each explained and commented out.
pub(crate) fn default_file() -> String {
    let mut text = String::from(
        "# Settings of stockd, each with its default. Remove the # before a key to change it.\n\
         # Environment variables win over this file, and flags over both.\n",
    );
    for setting in TABLE {
        text.push('\n');
        for line in setting.help {
            text.push_str(&format!("#{line}\n"));
        }
        let (flag, variable) = (setting.flag(), setting.variable());
        let (key, default) = (setting.key, file::literal(setting.default));
        text.push_str(&format!("# ({flag}, {variable})\n#{key} = {default}\n"));
    }
    text
}

#[cfg(test)]
mod tests;
