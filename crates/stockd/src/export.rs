//! `stockd export`: writes the catalog of a running server, or of a data directory, to a file.
//!
//! Invariant: the file is complete or not there, and `stockd import` reads the same stocks from it,
//! unless it was made safe for a spreadsheet.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use stockd_client::{ClientError, QuoteClient};
use stockd_model::{Field, FieldText, Quote, escaped, quote_json, rfc3339};
use stockd_store::StoreError;

use crate::catalog_file::Format;
use crate::output;
use crate::quote_server::QuoteServer;
use crate::usage_error::UsageError;

/// Write the catalog of a running server, or of a data directory that no server uses, to a file.
///
/// Symbol, price, volume, status and what else is known of every stock, sorted by symbol; what a stock
/// does not have is empty, or left out in JSON. 'stockd import' and 'stockd
/// serve --catalog' read it. An existing file is replaced when the new one is complete. The file is
/// a consistent snapshot: later changes are not in it.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Read this data directory instead, of a server that is not running, and change nothing in it.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Format of the file; otherwise its ending says it, and '-' is CSV.
    #[arg(long, value_name = "FORMAT")]
    format: Option<ExportFormat>,

    /// Write versions, times and feeds too, as JSON lines, from which 'stockd import --exact' restores them.
    #[arg(long, conflicts_with = "spreadsheet_safe")]
    exact: bool,

    /// Put an apostrophe before a symbol that a spreadsheet would take for a formula (one that begins
    /// with = + - or @). For people to look at, not for 'stockd import': the apostrophe becomes
    /// part of the symbol. For CSV alone.
    #[arg(long)]
    spreadsheet_safe: bool,

    /// File to write, .csv, .jsonl or .ndjson; with .gz after that it is compressed. '-' is
    /// standard output.
    file: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    /// A header, then a row for each stock.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// Fetches every quote and writes it.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let by_ending = match args.file.as_str() {
        "-" if args.exact => Some(Format::JsonLines),
        "-" => Some(Format::Csv),
        file => Format::of(file),
    };
    let format = match (args.format, by_ending) {
        (Some(ExportFormat::Csv), _) => Format::Csv,
        (Some(ExportFormat::Jsonl), _) => Format::JsonLines,
        (None, Some(format)) => format,
        (None, None) => {
            let why = format!(
                "'{}' has no ending that says the format; name it .csv or .jsonl, or give --format",
                args.file
            );
            return Err(UsageError(why).into());
        }
    };
    if args.exact && format != Format::JsonLines {
        let why = "--exact writes JSON lines; name the file .jsonl, or give --format jsonl";
        return Err(UsageError(why.to_owned()).into());
    }
    let rows = Rows { format, spreadsheet_safe: args.spreadsheet_safe, is_exact: args.exact };
    if rows.spreadsheet_safe && format == Format::JsonLines {
        let why = "--spreadsheet-safe is for CSV, which spreadsheets open; leave it out";
        return Err(UsageError(why.to_owned()).into());
    }
    let mut quotes = match &args.data_dir {
        Some(directory) => read(directory)?,
        None => fetch(&mut args.server.connect()?)?,
    };
    quotes.sort_unstable_by_key(|quote| quote.symbol);

    if args.file == "-" {
        let out = BufWriter::new(io::stdout().lock());
        return rows
            .write(&quotes, out)
            .context("cannot write to standard output")
            .map_or_else(output::end, |()| Ok(ExitCode::SUCCESS));
    }
    let compressed = args.file.to_ascii_lowercase().ends_with(".gz");
    let cannot_write = || format!("cannot write {}", args.file);
    let new = NewFile::create(Path::new(&args.file)).with_context(cannot_write)?;
    let written = match compressed {
        false => rows.write(&quotes, BufWriter::new(&new.file)),
        true => {
            let mut encoder = GzEncoder::new(BufWriter::new(&new.file), Compression::default());
            rows.write(&quotes, &mut encoder).and_then(|()| encoder.finish()?.flush())
        }
    };
    written.and_then(|()| new.put_in_place()).with_context(cannot_write)?;
    let stocks = if quotes.len() == 1 { "stock" } else { "stocks" };
    output::line(format_args!("{} {stocks} exported", quotes.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Every quote of a data directory.
fn read(directory: &Path) -> Result<Vec<Quote>, StoreError> {
    let mut quotes = Vec::new();
    stockd_store::read(directory, |quote| {
        quotes.push(quote);
        ControlFlow::Continue(())
    })?;
    Ok(quotes)
}

/// Every quote. A snapshot that the server has given up is begun once more.
fn fetch(client: &mut QuoteClient) -> Result<Vec<Quote>, ClientError> {
    match client.snapshot().collect() {
        Err(ClientError::SnapshotEnded(why)) => {
            eprintln!("{}", escaped(&format!("{why}; beginning again, once")));
            client.snapshot().collect()
        }
        quotes => quotes,
    }
}

/// How quotes are written.
struct Rows {
    format: Format,
    spreadsheet_safe: bool,
    is_exact: bool,
}

impl Rows {
    fn write_field(
        &self,
        quote: &Quote,
        field: Field,
        row: &mut csv::Writer<impl Write>,
    ) -> io::Result<()> {
        match (field, quote.time_ns) {
            // Of all of them, the symbol alone is text that others choose.
            (Field::Symbol, _) if self.spreadsheet_safe => {
                row.write_field(&*no_formula(quote.symbol.as_str()))?;
            }
            // A spreadsheet would round this number of digits.
            (Field::Time, Some(time_ns)) => row.write_field(rfc3339::encode(time_ns))?,
            _ => {
                let text = quote.text_of(field);
                row.write_field(text.as_ref().map_or("", FieldText::as_str))?;
            }
        }
        Ok(())
    }

    fn write(&self, quotes: &[Quote], mut out: impl Write) -> io::Result<()> {
        match self.format {
            Format::Csv => {
                let columns = columns(quotes);
                let mut rows = csv::Writer::from_writer(out);
                rows.write_record(columns.iter().map(|field| field.name()))?;
                for quote in quotes {
                    for field in &columns {
                        self.write_field(quote, *field, &mut rows)?;
                    }
                    rows.write_record(None::<&[u8]>)?;
                }
                rows.flush()
            }
            Format::JsonLines | Format::Json => {
                let mut line = Vec::new();
                for quote in quotes {
                    line.clear();
                    match self.is_exact {
                        true => quote_json::encode_kept(quote, &mut line),
                        false => quote_json::encode_stock(quote, &mut line),
                    }
                    line.push(b'\n');
                    out.write_all(&line)?;
                }
                out.flush()
            }
        }
    }
}

/// Symbol, price, volume and status, and what else any stock has, in the order in which a quote is
/// written.
fn columns(quotes: &[Quote]) -> Vec<Field> {
    let usual = [Field::Symbol, Field::Price, Field::Volume, Field::Status];
    let is_there = |field: Field| quotes.iter().any(|quote| quote.text_of(field).is_some());
    let named = |field: &Field| usual.contains(field) || is_there(*field);
    [Field::Symbol].into_iter().chain(Field::WRITABLE).filter(named).collect()
}

/// The text, with an apostrophe before it where a spreadsheet would take it for a formula: OWASP,
/// *CSV Injection*.
fn no_formula(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// A file that replaces another when it is complete. If it is dropped before, it is removed.
struct NewFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// Creates it next to its target, since a move between file systems is not atomic.
    fn create(target: &Path) -> anyhow::Result<NewFile> {
        // What a link leads to is replaced, not the link.
        let target = match fs::canonicalize(target) {
            Ok(target) if target.is_file() => target,
            Ok(_) => bail!("it is there and no file; name a file, or - for standard output"),
            Err(error) if error.kind() == ErrorKind::NotFound => target.to_owned(),
            Err(error) => return Err(error.into()),
        };
        let Some(name) = target.file_name() else {
            bail!("it names no file");
        };
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.new", std::process::id()));
        let temporary = target.with_file_name(temporary_name);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        if let Ok(replaced) = target.metadata() {
            file.set_permissions(replaced.permissions())?;
        }
        Ok(NewFile { file, temporary, target })
    }

    /// Replaces the target with this file, which is now complete.
    fn put_in_place(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It is gone already where it was put in place.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const ENDED: &str = "-ERR the snapshot was ended\r\n";
    const NO_QUOTES: &str = "*0\r\n";
    const END: &str = "$-1\r\n";

    /// Fetches from a server that answers each request by the next of these.
    fn fetch_from(replies: &'static [&str]) -> Result<Vec<Quote>, ClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let requests = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut replies = replies.iter();
            for line in requests.map_while(Result::ok) {
                match line.as_str() {
                    "PING" => stream.write_all(b"+PONG\r\n").unwrap(),
                    "SNAPSHOT" => match replies.next() {
                        Some(reply) => stream.write_all(reply.as_bytes()).unwrap(),
                        None => return,
                    },
                    _ => {}
                }
            }
        });
        let fetched = fetch(&mut QuoteClient::connect(address).unwrap());
        server.join().unwrap();
        fetched
    }

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"x\")"] {
            assert_eq!(no_formula(formula), format!("'{formula}"));
        }
        for text in ["AAPL", "BRK/A", "A=B", "1+1", "'=1", ""] {
            assert_eq!(no_formula(text), text);
        }
    }

    #[test]
    fn a_snapshot_that_was_ended_is_begun_again_once() {
        assert_eq!(fetch_from(&[NO_QUOTES, ENDED, NO_QUOTES, NO_QUOTES, END]).unwrap(), []);
        let twice = fetch_from(&[NO_QUOTES, ENDED, NO_QUOTES, ENDED]).unwrap_err();
        assert_eq!(twice.to_string(), "the snapshot was ended");
        let refused = fetch_from(&[ENDED]).unwrap_err();
        assert!(matches!(refused, ClientError::Refused(_)), "was not begun: {refused}");
    }
}
