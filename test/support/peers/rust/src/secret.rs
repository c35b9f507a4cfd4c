use std::fs;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Failure;

/// The content of a mounted Secret.
pub struct Secret {
    /// The leaf, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub roots: RootCertStore,
}

/// Reads one version of a mounted Secret.
pub fn read(folder: &Path) -> Result<Secret, Failure> {
    read_mounted(folder, |version| {
        Ok(Secret {
            chain: certificates(&version.join("tls.crt"))?,
            key: PrivateKeyDer::from_pem_file(version.join("tls.key"))?,
            roots: roots(version)?,
        })
    })
}

/// Reads only the roots, from a mounted Secret or from a ConfigMap, which has nothing else.
pub fn read_roots(folder: &Path) -> Result<RootCertStore, Failure> {
    read_mounted(folder, roots)
}

/// Reads one version of a mounted folder. kubelet swaps all files atomically through the link ..data and then removes the
/// old version. So follow the link once, not for each file, and retry if the version was removed meanwhile.
fn read_mounted<T>(
    folder: &Path,
    read_version: impl Fn(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let link = folder.join("..data");
    loop {
        let version = fs::read_link(&link)?;
        match read_version(&folder.join(&version)) {
            Err(_) if fs::read_link(&link)? != version => continue,
            read => return read,
        }
    }
}

fn roots(version: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for root in certificates(&version.join("ca.crt"))? {
        roots.add(root)?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    CertificateDer::pem_file_iter(file)?.collect()
}
