//! A certificate authority of the tests' own, and a certificate for each domain controller.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd};

use super::namespace::ADDRESSES;

/// Writes `ca.pem`, and `dc1.pem` and `dc1.key` and so on. Good for years; made new with every build of the domain.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut authority = params("Contoso test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    for (name, address) in ["dc1", "dc2"].into_iter().zip(ADDRESSES) {
        let host = format!("{name}.contoso.lan");
        let mut server = params(&host);
        server.subject_alt_names = vec![SanType::DnsName(host.try_into().unwrap()), SanType::IpAddress(address.parse().unwrap())];
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join(format!("{name}.pem")), server.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        let path = folder.join(format!("{name}.key"));
        fs::write(&path, key.serialize_pem()).unwrap();
        // Samba refuses a key that others may read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}
