//! Certificates for development and tests, from an authority of one's own.
//!
//! An [`Authority`] is a directory with `ca.pem` and `ca.key`. Who trusts the first trusts every
//! certificate that it issues, so its key is for machines of developers alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{ClientCertificates, ClientFiles, ClientTls, ServerFiles, ServerTls};

/// How long a certificate is valid: from yesterday, for clocks that differ.
const VALID_DAYS: u32 = 397;

/// Who issues certificates.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A server for `localhost` with a certificate of an authority in this directory, and a client that
/// believes it.
///
/// # Errors
///
/// As [`Authority::open`] and the others.
pub fn pair(directory: &Path) -> io::Result<(ServerTls, ClientTls)> {
    let authority = Authority::open(directory)?;
    let (certificate, key) = authority.server(&["localhost"])?.write(directory, "server")?;
    let clients = ClientCertificates::Off;
    let server = ServerFiles { certificate, key, client_ca: None, clients };
    let client = ClientFiles { ca: Some(authority.certificate()), ..ClientFiles::default() };
    let server = ServerTls::load(server).map_err(io::Error::other)?;
    Ok((server, ClientTls::load(&client).map_err(io::Error::other)?))
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// The authority in a directory; one is made where there is none.
    ///
    /// # Errors
    ///
    /// When the files cannot be read or written, or are not those of an authority.
    pub fn open(directory: &Path) -> io::Result<Authority> {
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        if !certificate.exists() {
            let made = KeyPair::generate().map_err(io::Error::other)?;
            let mut params = params("stockd development CA")?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let pem = params.self_signed(&made).map_err(io::Error::other)?.pem();
            write(&key, &made.serialize_pem(), 0o600)?;
            write(&certificate, &pem, 0o644)?;
        }
        let pair = KeyPair::from_pem(&fs::read_to_string(&key)?).map_err(io::Error::other)?;
        let pem = fs::read_to_string(&certificate)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, pair).map_err(io::Error::other)?;
        Ok(Authority { directory: directory.to_owned(), issuer })
    }

    /// The file with its certificate: what clients trust.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for a server of these names and IP addresses, of which there is at least one.
    ///
    /// # Errors
    ///
    /// When a name is none.
    pub fn server(&self, names: &[&str]) -> io::Result<Issued> {
        let common = names.first().copied().unwrap_or("localhost");
        self.issue(common, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client with this common name.
    ///
    /// # Errors
    ///
    /// When the name is none.
    pub fn client(&self, name: &str) -> io::Result<Issued> {
        self.issue(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        common: &str,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> io::Result<Issued> {
        let mut params = params(common)?;
        for name in names {
            let name = rcgen::string::Ia5String::try_from(*name).map_err(io::Error::other).map(
                |text| match name.parse() {
                    Ok(address) => rcgen::SanType::IpAddress(address),
                    Err(_) => rcgen::SanType::DnsName(text),
                },
            )?;
            params.subject_alt_names.push(name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`, which only its owner may read.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let certificate = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}.key"));
        write(&key, &self.key, 0o600)?;
        write(&certificate, &self.certificate, 0o644)?;
        Ok((certificate, key))
    }
}

fn params(common: &str) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new([]).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let day = std::time::Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    params.not_before = (now - day).into();
    params.not_after = (now + day * VALID_DAYS).into();
    Ok(params)
}

/// Replaces a file whole, so that a reader sees the old one or the new one.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let next = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&next)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&next, path)
}
