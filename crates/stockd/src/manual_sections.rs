//! What man pages say beyond the options: exit status, environment, files, examples.
//!
//! Invariant: every command has an exit status and an example, and an example is a command line that the
//! command takes.

use std::fmt::Write;

use crate::settings;

/// The sections of the page of this name, in roff.
pub(crate) fn of(page: &str) -> String {
    let mut roff = String::new();
    section(&mut roff, "EXIT STATUS", exit_status(page));
    section(&mut roff, "ENVIRONMENT", &environment(page));
    section(&mut roff, "FILES", files(page));
    let examples: Vec<_> = examples(page).iter().map(|(line, does)| (*line, *does)).collect();
    section(&mut roff, "EXAMPLES", &examples);
    roff
}

fn section<T: AsRef<str>, U: AsRef<str>>(roff: &mut String, title: &str, entries: &[(T, U)]) {
    if entries.is_empty() {
        return;
    }
    let title = if title.contains(' ') { format!("\"{title}\"") } else { title.to_owned() };
    let _ = writeln!(roff, ".SH {title}");
    for (name, text) in entries {
        let _ = writeln!(roff, ".TP\n\\fB{}\\fR\n{}", escape(name.as_ref()), escape(text.as_ref()));
    }
}

/// Text as it stands, whatever it begins with.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn exit_status(page: &str) -> &'static [(&'static str, &'static str)] {
    match page {
        "stockd-serve" => &[
            ("0", "Stopped by SIGTERM or Ctrl-C."),
            ("1", "The start failed, or the server was read-only at its end."),
            (
                "2",
                "A setting, flag or variable that is not possible, or a listener that would be exposed by accident.",
            ),
        ],
        "stockd-info" => &[
            ("0", "All is well."),
            ("1", "Something needs attention, or the server does not answer."),
            ("2", "Bad usage."),
        ],
        "stockd-config" => &[
            ("0", "Fine."),
            ("2", "A setting that is not known or not possible; each is named with its line."),
        ],
        "stockd-lookup" | "stockd-delist" => &[
            ("0", "All stocks are listed."),
            ("1", "A stock is not listed, or the server does not answer."),
            ("2", "Bad usage."),
        ],
        _ => &[("0", "Fine."), ("1", "The work failed."), ("2", "Bad usage.")],
    }
}

fn environment(page: &str) -> Vec<(String, String)> {
    let of_line =
        ("STOCKD_SERVER", "Address of the server's line protocol, where --server is not given.");
    let of_resp = (
        "STOCKD_RESP_SERVER",
        "Address of the server's RESP listener, where --server is not given.",
    );
    let of_http =
        ("STOCKD_HTTP_SERVER", "Address of the server's HTTP listener, where --http is not given.");
    let token =
        ("STOCKD_TOKEN_FILE", "File of the token to show, where --token-file is not given.");
    let ca = ("STOCKD_TLS_CA", "Certificates to trust, where --tls-ca is not given.");
    let colour = ("NO_COLOR", "Where it is set nothing is coloured.");
    let own: &[(&str, &str)] = match page {
        "stockd-serve" | "stockd-config" => {
            let file = ("STOCKD_CONFIG".to_owned(), "The file of settings.".to_owned());
            return [file].into_iter().chain(settings::variables()).collect();
        }
        "stockd-lookup" => &[of_line, token, ca, colour],
        "stockd-load" => &[of_line, of_resp, of_http, token, ca, colour],
        "stockd-watch" | "stockd-set" | "stockd-delist" | "stockd-buy" | "stockd-sell"
        | "stockd-import" | "stockd-export" | "stockd-replay" | "stockd-feed" | "stockd-ping"
        | "stockd-info" => &[of_resp, token, ca, colour],
        _ => &[],
    };
    own.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn files(page: &str) -> &'static [(&'static str, &'static str)] {
    match page {
        "stockd" | "stockd-serve" | "stockd-check" => &[
            (
                "$STATE_DIRECTORY, $XDG_STATE_HOME/stockd, ~/.local/state/stockd",
                "The data directory, unless --data-dir names one: the first of these that the system has.",
            ),
            ("quotes.redb", "In it: the quotes, as of the last checkpoint."),
            ("quotes.00000001.log and so on", "In it: what was written since."),
            ("stockd.lock", "In it: the lock of the server that owns it."),
        ],
        _ => &[],
    }
}

fn examples(page: &str) -> &'static [(&'static str, &'static str)] {
    match page {
        "stockd" => &[
            ("stockd demo", "Watch lookups beside live updates."),
            ("stockd serve --catalog stocks.csv", "Serve the stocks of a file."),
            ("stockd lookup AAPL", "Ask for a price."),
            ("stockd info", "See whether all is well."),
        ],
        "stockd-cluster" => &[
            (
                "stockd cluster init --cluster nats://a:4222,nats://b:4222,nats://c:4222",
                "Make the log of a cluster, on three servers.",
            ),
            (
                "stockd cluster status --cluster nats://a:4222",
                "See whether its replicas are current.",
            ),
            (
                "stockd cluster verify --cluster nats://a:4222 --cluster-monitor http://a:8222",
                "See whether all nodes hold the same, and whether the server syncs what it acknowledges.",
            ),
        ],
        "stockd-serve" => &[
            (
                "stockd serve --catalog stocks.csv",
                "List the stocks of a file that are new, and serve.",
            ),
            (
                "stockd serve --ephemeral --line off --resp unix:resp.sock",
                "In memory alone, on a Unix socket.",
            ),
            ("stockd serve --config /etc/stockd/stockd.toml", "With settings from a file."),
        ],
        "stockd-lookup" => &[
            ("stockd lookup AAPL BRK/A", "Two prices."),
            (
                "stockd lookup --names names.csv --runs 10 --quiet",
                "Measure ten lookups of each name.",
            ),
        ],
        "stockd-watch" => &[("stockd watch AAPL 'BRK/*'", "Show quotes as they change.")],
        "stockd-set" => &[
            ("stockd set ACME --price 12.34 --volume 100", "List a stock, or update it."),
            ("stockd set ACME --volume none", "Count its shares no longer."),
        ],
        "stockd-delist" => &[("stockd delist ACME", "Remove a stock.")],
        "stockd-buy" => &[("stockd buy ACME 30", "Take 30 shares of the volume.")],
        "stockd-sell" => &[("stockd sell ACME 0.5", "Give half a share back.")],
        "stockd-import" => {
            &[("stockd import stocks.csv.gz", "List or update the stocks of a file.")]
        }
        "stockd-export" => {
            &[("stockd export backup.jsonl.gz", "Write the whole catalog, as of one moment.")]
        }
        "stockd-replay" => {
            &[("stockd replay updates.csv --speed 10x", "Do timed updates, ten times as fast.")]
        }
        "stockd-feed" => &[
            (
                "stockd feed itch --date 2019-12-30 12302019.NASDAQ_ITCH50.gz",
                "Bring the last prices of a day of Nasdaq.",
            ),
            (
                "stockd feed iex --count-only --json tops.pcap.gz",
                "Count what a file holds, without a server.",
            ),
        ],
        "stockd-check" => &[("stockd check /var/lib/stockd", "Verify a data directory.")],
        "stockd-ping" => {
            &[("stockd ping --quiet || systemctl restart stockd", "Restart what does not answer.")]
        }
        "stockd-info" => {
            &[("stockd info", "The screen."), ("stockd info --json", "The same for a program.")]
        }
        "stockd-config" => &[
            ("stockd config > stockd.toml", "A file to begin with."),
            ("stockd config --check stockd.toml", "See whether a file is right."),
            ("stockd config --effective --config stockd.toml", "See which settings hold, and why."),
        ],
        "stockd-load" => &[
            ("stockd load --connections 50 --duration 10s", "Put load on a server."),
            (
                "stockd load --protocol http2 --pipeline 32 --verify",
                "Compare each quote over HTTP/2, 32 streams at once.",
            ),
            (
                "stockd load --protocol resp --updates 100 --rate 1000 --subscribers 100 --subscribe-with sse",
                "See how old quotes are when 100 browsers have them.",
            ),
        ],
        "stockd-demo" => &[("stockd demo --once", "Lookups beside live updates, once.")],
        "stockd-completions" => &[(
            "stockd completions bash > ~/.local/share/bash-completion/completions/stockd",
            "For bash.",
        )],
        "stockd-man" => {
            &[("stockd man --dir ~/.local/share/man/man1", "Install the pages for one user.")]
        }
        "stockd-access" => &[("stockd access check access.toml", "Say what an access file means.")],
        "stockd-token" => &[("stockd token new feed", "Make a token for the user feed.")],
        "stockd-certificate" => &[(
            "stockd certificate new --host localhost tls",
            "Make a certificate for development.",
        )],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_as_it_stands() {
        assert_eq!(escape(".a -b\\"), "\\&.a \\-b\\\\");
    }

    #[test]
    fn a_page_has_its_sections() {
        let page = of("stockd-serve");
        for part in
            ["\"EXIT STATUS\"", ".SH ENVIRONMENT", "STOCKD_WORKERS", ".SH FILES", ".SH EXAMPLES"]
        {
            assert!(page.contains(part), "{part} is missing:\n{page}");
        }
    }
}
