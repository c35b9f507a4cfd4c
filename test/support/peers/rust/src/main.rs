//! Mutual TLS from a mounted Secret, with rustls.
//!
//! ```text
//! peer server FOLDER PORT
//! peer client PORT SERVER-NAME CA-FOLDER [FOLDER]
//! ```
//!
//! PORT is a port of 127.0.0.1, or HOST:PORT.
//! The server responds with the client's certificate. The client prints the server's certificate, then the response. The
//! exit code is 1 if one side refused the other, and 2 for every other error.

mod pem;
mod secret;

use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, CommonState, ServerConfig, ServerConnection, StreamOwned,
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["server", folder, port] => serve(folder, port),
        ["client", port, server_name, ca_folder] => connect(port, server_name, ca_folder, None),
        ["client", port, server_name, ca_folder, folder] => {
            connect(port, server_name, ca_folder, Some(folder))
        }
        _ => Err(
            "usage: peer server FOLDER PORT | peer client PORT SERVER-NAME CA-FOLDER [FOLDER]"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            let refused = failure.is::<Refused>();
            ExitCode::from(if refused { 1 } else { 2 })
        }
    }
}

fn serve(folder: &str, port: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(address(port))?;
    println!("listening on {}", listener.local_addr()?);
    for raw in listener.incoming() {
        let (raw, folder) = (raw?, folder.to_owned());
        std::thread::spawn(move || {
            if let Err(failure) = answer(raw, &folder) {
                eprintln!("{failure}");
            }
        });
    }
    Ok(())
}

fn answer(raw: TcpStream, folder: &str) -> Result<(), Failure> {
    raw.set_read_timeout(Some(Duration::from_secs(30)))?;
    // Each connection uses the current content of the folder.
    let mounted = ServerConnection::new(Arc::new(server_config(Path::new(folder))?))?;
    let mut connection = BufReader::new(StreamOwned::new(mounted, raw));
    let mut line = String::new();
    while connection.read_line(&mut line)? > 0 && !line.trim().is_empty() {
        line.clear();
    }
    let connection = connection.get_mut();
    let body = pem::encode(peer_certificate(&connection.conn)?);
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    connection.conn.send_close_notify();
    connection.flush()?;
    Ok(())
}

fn server_config(folder: &Path) -> Result<ServerConfig, Failure> {
    let secret = secret::read(folder)?;
    let clients = WebPkiClientVerifier::builder(Arc::new(secret.roots)).build()?;
    Ok(ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(secret.chain, secret.key)?)
}

fn connect(
    port: &str,
    server_name: &str,
    ca_folder: &str,
    folder: Option<&str>,
) -> Result<(), Failure> {
    let config =
        ClientConfig::builder().with_root_certificates(secret::read_roots(Path::new(ca_folder))?);
    let config = match folder.map(|folder| secret::read(Path::new(folder))) {
        None => config.with_no_client_auth(),
        Some(secret) => {
            let secret = secret?;
            config.with_client_auth_cert(secret.chain, secret.key)?
        }
    };
    let name = ServerName::try_from(server_name.to_owned())?;
    let raw = TcpStream::connect(address(port))?;
    raw.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut connection = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, raw);

    let mut answer = Vec::new();
    exchange(&mut connection, server_name, &mut answer).map_err(Refused)?;
    let mut out = io::stdout();
    out.write_all(pem::encode(peer_certificate(&connection.conn)?).as_bytes())?;
    out.write_all(&answer)?;
    Ok(())
}

/// If the server refuses the client's certificate, the first read fails, or already the write.
fn exchange(
    connection: &mut StreamOwned<ClientConnection, TcpStream>,
    server_name: &str,
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: {server_name}\r\nConnection: close\r\n\r\n"
    )?;
    match connection.read_to_end(answer) {
        // Accept a connection that ends without close_notify: the caller sees whether the response is complete.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(()),
        read => read.map(drop),
    }
}

fn address(port: &str) -> String {
    if port.contains(':') {
        port.to_owned()
    } else {
        format!("127.0.0.1:{port}")
    }
}

fn peer_certificate(connection: &CommonState) -> Result<&CertificateDer<'static>, Failure> {
    let chain = connection.peer_certificates().unwrap_or_default();
    chain
        .first()
        .ok_or_else(|| "the other side presented no certificate".into())
}

/// One side refused the other.
#[derive(Debug)]
struct Refused(io::Error);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused: {}", self.0)
    }
}

impl Error for Refused {}
