//! `stockd certificate new`: certificates for development, from an authority of one's own.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use stockd_tls::development::Authority;

use crate::output;

/// Make certificates for development.
#[derive(Debug, clap::Args)]
pub(crate) struct CertificateArgs {
    #[command(subcommand)]
    command: CertificateCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CertificateCommand {
    New(NewArgs),
}

/// Make a certificate for a server or a client on a machine of a developer.
///
/// DIR gets an authority of its own, ca.pem and ca.key, unless it has one, and from it server.pem and
/// server.key for every --host, or NAME.pem and NAME.key for --client NAME. They are valid for 397 days.
/// Give ca.pem to clients (--tls-ca) and to the server (tls_client_ca). Who has ca.key can issue
/// certificates that they believe: for production take those of a real authority.
#[derive(Debug, clap::Args)]
struct NewArgs {
    /// Host name or IP address of the server; give it again for each other one.
    #[arg(long, value_name = "NAME", required_unless_present = "client")]
    host: Vec<String>,

    /// Name of a client, which an access file knows as CN=NAME.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,

    /// Directory of the authority and of what it issues; made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Makes certificates, and prints their files.
pub(crate) fn run(args: &CertificateArgs) -> anyhow::Result<ExitCode> {
    let CertificateCommand::New(args) = &args.command;
    let directory = &args.directory;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let authority = Authority::open(directory)
        .with_context(|| format!("the authority in {}", directory.display()))?;
    let mut lines = format!("authority {}\n", authority.certificate().display());
    let mut issued = Vec::new();
    if !args.host.is_empty() {
        let hosts: Vec<&str> = args.host.iter().map(String::as_str).collect();
        issued.push(("server", authority.server(&hosts).context("a name of --host")?));
    }
    for name in &args.client {
        let is_file_name =
            !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
        anyhow::ensure!(
            is_file_name,
            "'{name}' cannot be the name of a file; choose another --client"
        );
        issued.push((name, authority.client(name).context("the name of --client")?));
    }
    for (name, pair) in issued {
        let (certificate, key) = pair
            .write(directory, name)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        lines += &format!("certificate {}\nkey {}\n", certificate.display(), key.display());
    }
    output::lines(&lines)?;
    Ok(ExitCode::SUCCESS)
}
