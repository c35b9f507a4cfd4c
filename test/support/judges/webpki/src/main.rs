//! Checks certificates with rustls-webpki, one question a line, see program.ts. The argument selects the cryptography
//! library: aws-lc-rs or ring.

use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, aws_lc_rs, ring};

/// The algorithms that rustls accepts with aws-lc-rs, its default.
static WITH_AWS_LC: &[&dyn SignatureVerificationAlgorithm] = &[
    aws_lc_rs::ECDSA_P256_SHA256,
    aws_lc_rs::ECDSA_P256_SHA384,
    aws_lc_rs::ECDSA_P256_SHA512,
    aws_lc_rs::ECDSA_P384_SHA256,
    aws_lc_rs::ECDSA_P384_SHA384,
    aws_lc_rs::ECDSA_P384_SHA512,
    aws_lc_rs::ECDSA_P521_SHA256,
    aws_lc_rs::ECDSA_P521_SHA384,
    aws_lc_rs::ECDSA_P521_SHA512,
    aws_lc_rs::ED25519,
    aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
    aws_lc_rs::RSA_PKCS1_2048_8192_SHA384,
    aws_lc_rs::RSA_PKCS1_2048_8192_SHA512,
];

/// The algorithms that rustls accepts with ring.
static WITH_RING: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::ED25519,
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA512,
];

/// id-kp-emailProtection.
const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];

fn main() {
    let algorithms = match std::env::args().nth(1).as_deref() {
        Some("aws-lc-rs") => WITH_AWS_LC,
        Some("ring") => WITH_RING,
        _ => panic!("usage: judge aws-lc-rs|ring"),
    };
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line");
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, _, folder, trust, usage, name, at] = fields[..] else {
            panic!("this is not a question: {line}");
        };
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at.parse().expect("seconds")));
        match verify(algorithms, folder, trust, usage, name, at) {
            Ok(()) => println!("{id}\tyes"),
            Err(refusal) => println!("{id}\tno\t{}", refusal.to_string().replace('\n', " ")),
        }
    }
}

fn verify(
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    folder: &str,
    trust: &str,
    usage: &str,
    name: &str,
    at: UnixTime,
) -> Result<(), webpki::Error> {
    let chain = certificates(&Path::new(folder).join("tls.crt"));
    let roots = certificates(Path::new(trust));
    let anchors = roots
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()?;
    let leaf = EndEntityCert::try_from(&chain[0])?;
    let usage = match usage {
        "server" => KeyUsage::server_auth(),
        "client" => KeyUsage::client_auth(),
        _ => KeyUsage::required(EMAIL_PROTECTION),
    };
    leaf.verify_for_usage(algorithms, &anchors, &chain[1..], at, usage, None, None)?;
    if let Some((_, host)) = name.split_once(':') {
        let host = ServerName::try_from(host).expect("a name");
        leaf.verify_is_valid_for_subject_name(&host)?;
    }
    Ok(())
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .expect("a file")
        .collect::<Result<_, _>>()
        .expect("certificates in PEM")
}
