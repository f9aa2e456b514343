//! Whom a certificate names.
//!
//! Invariant: only names that the certificate's issuer vouches for come from here, so it is asked after
//! the certificate was verified.

use rustls::pki_types::CertificateDer;
use stockd_model::CertificateName;
use stockd_model::limits::CERTIFICATE_NAMES_MAX;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// The names in a certificate, at most [`CERTIFICATE_NAMES_MAX`]; none where it cannot be read.
pub fn names_of(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok()).map(str::to_owned);
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let alternative = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(CertificateName::dns(name)),
        GeneralName::URI(name) => Some(CertificateName::Uri((*name).to_owned())),
        _ => None,
    });
    common.map(CertificateName::Common).chain(alternative).take(CERTIFICATE_NAMES_MAX).collect()
}
