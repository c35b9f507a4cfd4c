use rustls::pki_types::CertificateDer;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The certificate in PEM (RFC 7468).
pub fn encode(certificate: &CertificateDer) -> String {
    // 48 octets are a line of 64 characters.
    let lines: Vec<String> = certificate.chunks(48).map(base64).collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

fn base64(octets: &[u8]) -> String {
    octets.chunks(3).flat_map(quartet).collect()
}

fn quartet(octets: &[u8]) -> [char; 4] {
    let at = |index: usize| u32::from(octets.get(index).copied().unwrap_or(0));
    let bits = at(0) << 16 | at(1) << 8 | at(2);
    let digit = |index: usize| {
        if index > octets.len() {
            return '=';
        }
        char::from(ALPHABET[(bits >> (18 - 6 * index)) as usize & 63])
    };
    [digit(0), digit(1), digit(2), digit(3)]
}
