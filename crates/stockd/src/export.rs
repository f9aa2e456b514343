//! `stockd export`: writes the catalog of a running server to a file.
//!
//! Invariant: the file is complete or not there, and `stockd import` reads the same stocks from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use stockd_model::{DecimalText, Quote, Volume, quote_json};

use crate::catalog_file::Format;
use crate::output;
use crate::quote_server::QuoteServer;
use crate::usage_error::UsageError;

/// Write the catalog of a running server to a file.
///
/// Symbol, price, volume and status of every stock, sorted by symbol; where a stock has no volume its
/// field is empty, or left out in JSON. 'stockd import' and 'stockd
/// serve --catalog' read it. An existing file is replaced when the new one is complete. The file is
/// a consistent snapshot: later changes are not in it.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    server: QuoteServer,

    /// Format of the file; otherwise its ending says it, and '-' is CSV.
    #[arg(long, value_name = "FORMAT")]
    format: Option<ExportFormat>,

    /// File to write, .csv, .jsonl or .ndjson; with .gz after that it is compressed. '-' is
    /// standard output.
    file: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    /// A header, then symbol,price,volume,status.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// Fetches every quote and writes it.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let by_ending = Format::of(&args.file);
    let format = match (args.format, by_ending) {
        (Some(ExportFormat::Csv), _) => Format::Csv,
        (Some(ExportFormat::Jsonl), _) => Format::JsonLines,
        (None, Some((format, _))) => format,
        (None, None) => {
            let why = format!(
                "'{}' has no ending that says the format; name it .csv or .jsonl, or give --format",
                args.file
            );
            return Err(UsageError(why).into());
        }
    };
    let mut quotes = args.server.connect()?.snapshot().collect::<Result<Vec<_>, _>>()?;
    quotes.sort_unstable_by_key(|quote| quote.symbol);

    if args.file == "-" {
        let out = BufWriter::new(io::stdout().lock());
        return write_quotes(&quotes, format, out)
            .context("cannot write to standard output")
            .map_or_else(output::end, |()| Ok(ExitCode::SUCCESS));
    }
    let compressed = args.file.ends_with(".gz");
    let cannot_write = || format!("cannot write {}", args.file);
    let new = NewFile::create(Path::new(&args.file)).with_context(cannot_write)?;
    let written = match compressed {
        false => write_quotes(&quotes, format, BufWriter::new(&new.file)),
        true => {
            let mut encoder = GzEncoder::new(BufWriter::new(&new.file), Compression::default());
            write_quotes(&quotes, format, &mut encoder).and_then(|()| encoder.finish()?.flush())
        }
    };
    written.and_then(|()| new.put_in_place()).with_context(cannot_write)?;
    let stocks = if quotes.len() == 1 { "stock" } else { "stocks" };
    output::line(format_args!("{} {stocks} exported", quotes.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn write_quotes(quotes: &[Quote], format: Format, mut out: impl Write) -> io::Result<()> {
    match format {
        Format::Csv => {
            let mut rows = csv::Writer::from_writer(out);
            rows.write_record(["symbol", "price", "volume", "status"])?;
            for Quote { symbol, price, volume, status, .. } in quotes {
                let volume = volume.map(Volume::text);
                rows.write_record([
                    symbol.as_str(),
                    price.text().as_str(),
                    volume.as_ref().map_or("", DecimalText::as_str),
                    status.as_str(),
                ])?;
            }
            rows.flush()
        }
        Format::JsonLines => {
            let mut line = Vec::new();
            for quote in quotes {
                line.clear();
                quote_json::encode_stock(quote, &mut line);
                line.push(b'\n');
                out.write_all(&line)?;
            }
            out.flush()
        }
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
