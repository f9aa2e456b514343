//! `stockd info`: one screen that says whether all is well with a server.
//!
//! It reads `INFO` and knows what an operator has to do about each number; it asks nothing else.
//!
//! Invariant: what needs attention is told first, each with its remedy, and is exit code 1.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::output;
use crate::quote_server::QuoteServer;

/// Show how a server is, on one screen, and whether all is well.
///
/// What needs attention comes first, each with what to do about it. Exits with 0 if all is well, with 1
/// if something needs attention or the server does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Print one JSON document instead: {"well": BOOL, "problems": [TEXT…], "info": {NAME: TEXT…}}
    /// with every field of INFO.
    #[arg(long)]
    json: bool,
}

/// Asks, and prints the screen.
pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<ExitCode> {
    let mut client = args.server.connect()?;
    let info = Info(client.info()?.into_iter().collect());
    let problems = info.problems();
    if args.json {
        let document = json!({ "well": problems.is_empty(), "problems": problems, "info": info.0 });
        output::line(format_args!("{document}"))?;
    } else {
        output::lines(&info.screen(&client.server().to_string(), &problems))?;
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The names and values of `INFO`.
#[derive(Debug)]
struct Info(BTreeMap<String, String>);

impl Info {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A number; 0 where the server does not tell it.
    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    fn stocks(&self) -> u64 {
        let keys = self.text("db0").split(',').find_map(|part| part.strip_prefix("keys="));
        keys.and_then(|keys| keys.parse().ok()).unwrap_or(0)
    }

    /// What needs attention, each with its remedy.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let n = |name| self.number(name);
        if n("read_only") == 1 {
            let (cause, pid) = (self.text("read_only_cause"), self.text("process_id"));
            problems.push(format!(
                "read-only, writes are refused: {cause}; when the disk is well, kill -HUP {pid} or \
                 systemctl reload stockd takes writes again"
            ));
        }
        let (open, most) = (n("connected_clients"), n("maxclients"));
        if most > 0 && open * 10 >= most * 9 {
            problems.push(format!(
                "{open} of {most} connections are open; raise connections_max, or the limit of open files"
            ));
        }
        let (held, limit) = (n("clients_memory"), n("memory_max"));
        if limit > 0 && held >= limit / 8 * 7 {
            problems.push(format!(
                "connections hold {} of {}; see tot-mem in CLIENT LIST, or raise memory_max",
                Bytes(held),
                Bytes(limit)
            ));
        }
        let since_start = [
            (
                "rejected_connections",
                "connections were refused; raise connections_max, or the limit of open files",
            ),
            (
                "closed_memory_clients",
                "clients were closed because all held more than memory_max; see the log for who they were",
            ),
            (
                "closed_stalled_clients",
                "clients were closed because they did not read; see the log for who they were",
            ),
            (
                "log_lines_lost",
                "lines of the log were lost: nobody reads standard error quickly enough",
            ),
            (
                "access_failed_loads",
                "times the access file could not be read, and the one before holds; see the log",
            ),
            (
                "insecure_listeners",
                "listeners are exposed without an access file or TLS, as --insecure says",
            ),
        ];
        for (name, what) in since_start {
            if n(name) > 0 {
                problems.push(format!("{} {what}", Grouped(n(name))));
            }
        }
        if let Ok(days) = self.text("tls_certificate_days_left").parse::<i64>()
            && days <= CERTIFICATE_DAYS
        {
            problems
                .push(format!("the certificate ends in {days} days; put a new one in its place"));
        }
        problems
    }

    fn screen(&self, server: &str, problems: &[String]) -> String {
        let mut screen = String::new();
        let version = self.text("stockd_version");
        let well = match problems.len() {
            0 => "all is well".to_owned(),
            1 => "1 thing needs attention".to_owned(),
            count => format!("{count} things need attention"),
        };
        let mut line = |text: &str| {
            let written = writeln!(screen, "{text}");
            debug_assert!(written.is_ok(), "a string takes everything");
        };
        line(&format!("stockd {version} at {server}: {well}"));
        problems.iter().for_each(|problem| line(&format!("  ! {problem}")));
        line("");
        for (name, text) in self.rows() {
            line(&format!("  {name:<12} {text}"));
        }
        screen
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let n = |name| Grouped(self.number(name));
        let lookups = self.number("keyspace_hits") + self.number("keyspace_misses");
        let found = match lookups {
            0 => String::new(),
            _ => {
                let share = self.number("keyspace_hits") as f64 / lookups as f64 * 100.0;
                format!(", {share:.1} % of them of listed stocks")
            }
        };
        let disk = match (self.number("aof_enabled"), self.number("read_only")) {
            (0, _) => "in memory alone; nothing survives a restart".to_owned(),
            (_, 1) => "read-only, see above".to_owned(),
            _ => format!(
                "{} commits, the last took {}, the longest {}",
                n("commits"),
                Micros(self.number("last_commit_us")),
                Micros(self.number("longest_commit_us"))
            ),
        };
        let kinds =
            ["late", "condition", "not_listed", "halted", "volume", "full", "storage", "invalid"];
        let kinds: Vec<_> = kinds
            .into_iter()
            .map(|kind| (kind, self.number(&format!("refused_writes_{kind}"))))
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{} {}", Grouped(count), kind.replace('_', " ")))
            .collect();
        let refused = match kinds.is_empty() {
            true => "none".to_owned(),
            false => format!("{}: {}", n("refused_writes"), kinds.join(", ")),
        };
        vec![
            ("stocks", Grouped(self.stocks()).to_string()),
            ("up", Age(self.number("uptime_in_seconds")).to_string()),
            (
                "clients",
                format!(
                    "{} of {}; {} subscribed, {} slow",
                    n("connected_clients"),
                    n("maxclients"),
                    n("subscribers"),
                    n("slow_clients")
                ),
            ),
            (
                "requests",
                format!(
                    "{} a second now; {} since the start",
                    n("instantaneous_ops_per_sec"),
                    n("total_commands_processed")
                ),
            ),
            ("lookups", format!("{}{found}", Grouped(lookups))),
            (
                "writes",
                format!(
                    "{} listings, {} updates, {} trades, {} delistings",
                    n("listings"),
                    n("updates"),
                    n("trades"),
                    n("delistings")
                ),
            ),
            ("refused", refused),
            ("messages", format!("{} sent, {} conflated", n("messages"), n("conflated_messages"))),
            (
                "memory",
                format!(
                    "{}; catalog {}, connections {} of {}",
                    Bytes(self.number("used_memory")),
                    Bytes(self.number("catalog_bytes")),
                    Bytes(self.number("clients_memory")),
                    Bytes(self.number("memory_max"))
                ),
            ),
            ("disk", disk),
            ("process", format!("{}, {} workers", self.text("process_id"), self.text("workers"))),
        ]
    }
}

/// A certificate that ends within this number of days needs attention.
const CERTIFICATE_DAYS: i64 = 21;

/// A number with commas between thousands.
struct Grouped(u64);

impl std::fmt::Display for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// Bytes in the largest unit of which there is one.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(bits, _)| self.0 >> bits > 0) {
            Some((bits, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / (1_u64 << bits) as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// Microseconds in a unit that people read.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0..1000 => write!(f, "{} µs", self.0),
            us @ 1000..1_000_000 => write!(f, "{:.1} ms", us as f64 / 1e3),
            us => write!(f, "{:.1} s", us as f64 / 1e6),
        }
    }
}

/// Seconds in the two largest units.
struct Age(u64);

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, hours, minutes) = (self.0 / 86_400, self.0 / 3600 % 24, self.0 / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{} s", self.0),
            (0, 0, minutes) => write!(f, "{minutes} min {} s", self.0 % 60),
            (0, hours, minutes) => write!(f, "{hours} h {minutes} min"),
            (days, hours, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[(&str, &str)]) -> Info {
        Info(lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn each_thing_that_needs_attention_has_its_remedy() {
        let is_one = |lines: &[(&str, &str)], expected: &str| {
            let problems = info(lines).problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
        };
        assert!(info(&[("connected_clients", "5"), ("maxclients", "10")]).problems().is_empty());
        is_one(
            &[("read_only", "1"), ("read_only_cause", "no room"), ("process_id", "77")],
            "read-only, writes are refused: no room; when the disk is well, kill -HUP 77",
        );
        is_one(&[("connected_clients", "9"), ("maxclients", "10")], "9 of 10 connections are open");
        is_one(
            &[("clients_memory", "900"), ("memory_max", "1000")],
            "hold 900 bytes of 1000 bytes",
        );
        is_one(&[("rejected_connections", "1234")], "1,234 connections were refused");
        is_one(&[("log_lines_lost", "3")], "3 lines of the log were lost");
        is_one(&[("tls_certificate_days_left", "20")], "the certificate ends in 20 days");
        assert!(info(&[("tls_certificate_days_left", "22")]).problems().is_empty());
    }

    #[test]
    fn numbers_are_as_people_read_them() {
        let grouped = [0, 999, 1000, 1_234_567].map(|number| Grouped(number).to_string());
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
        let bytes = [5, 2048, 3 << 20, 5 << 30].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(bytes, ["5 bytes", "2.0 KiB", "3.0 MiB", "5.0 GiB"]);
        let ages = [59, 61, 3660, 90_000].map(|secs| Age(secs).to_string());
        assert_eq!(ages, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!(
            [5, 1500, 2_500_000].map(|us| Micros(us).to_string()),
            ["5 µs", "1.5 ms", "2.5 s"]
        );
    }
}
