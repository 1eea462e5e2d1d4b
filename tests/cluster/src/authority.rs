//! The certificate authority of one control plane.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

/// A certificate authority that only one run of the tests trusts.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "temper-tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(parameters, key()).expect("the parameters above make a certificate");
        Self { issuer }
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// The same in DER.
    pub(crate) fn certificate_der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// What a server at an address shows.
    pub(crate) fn server(&self, address: IpAddr) -> Identity {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "server");
        parameters.subject_alt_names = vec![SanType::IpAddress(address)];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(parameters)
    }

    /// What makes its holder a user, who may be in a group. (rcgen keeps one value for each type of name, so there is one at most.)
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Identity {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            parameters.distinguished_name.push(DnType::OrganizationName, group);
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters)
    }

    fn sign(&self, mut parameters: CertificateParams) -> Identity {
        parameters.use_authority_key_identifier_extension = true;
        let key = key();
        let certificate = parameters.signed_by(&key, &self.issuer).expect("names that tests choose fit in a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A new key.
pub(crate) fn key() -> KeyPair {
    KeyPair::generate().expect("the machine has random numbers")
}
