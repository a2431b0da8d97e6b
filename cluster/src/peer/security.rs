//! How connections between nodes are protected.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronos_env::{Clock, Connection, Disk, Env};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::StartError;
use super::wire::Wire;
use crate::NodeId;

/// How connections between nodes are protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all, and only between loopback addresses: for trying things out on one machine.
    PlaintextOnLoopback,
    /// Not at all, anywhere: the network is trusted, or protects by itself.
    PlaintextAnywhere,
    /// TLS 1.3, with certificates on both sides.
    Mutual(TlsFiles),
}

/// Certificates, as PEM files with absolute paths. They are read once, at the start.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// This node's certificate, followed by those between it and the authority, if any.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that vouch for nodes of this cluster. Use an authority of the cluster's own: whoever has a
    /// certificate of it is let in.
    pub authority: PathBuf,
    /// What a certificate has to say.
    pub names: Names,
}

/// What a node's certificate has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The host name or address under which the node is called; nothing about the node itself.
    Hosts,
    /// The node's own name, [`certificate_name`]: then no node can pass for another, even with a certificate of the same
    /// authority.
    Nodes,
}

/// The name, as a DNS name among the certificate's alternative names, that binds a certificate to a node.
pub fn certificate_name(node: NodeId) -> String {
    format!("node-{}.chronos.internal", node.get())
}

/// [`Security`], ready for use.
#[derive(Clone)]
pub(super) struct Guard(Kind);

#[derive(Clone)]
enum Kind {
    Plain { anywhere: bool },
    Tls(Tls),
}

#[derive(Clone)]
struct Tls {
    names: Names,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// The certificate of whoever is at the other end.
#[derive(Clone)]
pub(super) struct Certificate(CertificateDer<'static>);

impl Guard {
    pub(super) fn new(security: &Security, env: &Env) -> Result<Guard, StartError> {
        let kind = match security {
            Security::PlaintextOnLoopback => Kind::Plain { anywhere: false },
            Security::PlaintextAnywhere => Kind::Plain { anywhere: true },
            Security::Mutual(files) => Kind::Tls(Tls::new(files, env).map_err(StartError::Tls)?),
        };
        Ok(Guard(kind))
    }

    /// Whether nodes may be listened for at `address`.
    pub(super) fn may_listen(&self, address: SocketAddr) -> Result<(), StartError> {
        match &self.0 {
            Kind::Plain { anywhere: false } if !address.ip().is_loopback() => {
                Err(StartError::PlaintextBeyondLoopback { address })
            }
            _ => Ok(()),
        }
    }

    /// Protects a connection that arrived.
    pub(super) async fn accept(&self, connection: Connection) -> io::Result<(Wire, Option<Certificate>)> {
        let Kind::Tls(tls) = &self.0 else { return Ok((Wire::Plain(connection), None)) };
        let stream = tls.acceptor.accept(connection).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown.and_then(<[_]>::first).cloned().map(Certificate);
        Ok((Wire::Tls(Box::new(TlsStream::Server(stream))), certificate))
    }

    /// Protects a connection that we made to `node` at `address`.
    pub(super) async fn connect(
        &self,
        connection: Connection,
        node: NodeId,
        address: &str,
    ) -> io::Result<Wire> {
        self.protect(connection, address, |tls| tls.name(node, address)).await
    }

    /// Protects a connection that we made to `address`, without knowing which node is there: its certificate must name
    /// the host.
    pub(super) async fn connect_by_name(&self, connection: Connection, address: &str) -> io::Result<Wire> {
        self.protect(connection, address, |_| host_name(address)).await
    }

    async fn protect(
        &self,
        connection: Connection,
        address: &str,
        name: impl FnOnce(&Tls) -> io::Result<ServerName<'static>>,
    ) -> io::Result<Wire> {
        let tls = match &self.0 {
            Kind::Plain { anywhere: false } if !connection.peer_addr().ip().is_loopback() => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!(
                        "{address} is beyond this machine and connections are not protected; configure certificates \
                         (--peer-certificate, --peer-key, --peer-authority), or allow plaintext explicitly \
                         (--plaintext-anywhere)"
                    ),
                ));
            }
            Kind::Plain { .. } => return Ok(Wire::sealed(connection)),
            Kind::Tls(tls) => tls,
        };
        let stream = tls.connector.connect(name(tls)?, connection).await?;
        Ok(Wire::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// Whether whoever showed `certificate` can be reached at `address`, which it says is its own: others will call it there,
    /// and hold its certificate against the host.
    pub(super) fn covers(&self, certificate: Option<&Certificate>, address: &str) -> Result<(), String> {
        let Kind::Tls(Tls { names: Names::Hosts, .. }) = &self.0 else { return Ok(()) };
        let Some(Certificate(der)) = certificate else { return Err("no certificate was shown".to_owned()) };
        let wanted = host_name(address).map_err(|error| error.to_string())?;
        let checked = webpki::EndEntityCert::try_from(der)
            .and_then(|certificate| certificate.verify_is_valid_for_subject_name(&wanted));
        checked.map_err(|error| {
            format!(
                "others are to reach it at {address}, and its certificate does not name that host ({error}); give it a \
                 certificate that does, or another address (--advertise)"
            )
        })
    }

    /// Whether whoever showed `certificate` may be `node`.
    pub(super) fn vouches(&self, certificate: Option<&Certificate>, node: NodeId) -> Result<(), String> {
        let Kind::Tls(Tls { names: Names::Nodes, .. }) = &self.0 else { return Ok(()) };
        let name = certificate_name(node);
        let Some(Certificate(der)) = certificate else {
            return Err(format!("no certificate was shown; one for {name} is needed"));
        };
        let wanted = ServerName::try_from(name.as_str()).expect("the name of a node is a DNS name");
        let checked = webpki::EndEntityCert::try_from(der)
            .and_then(|certificate| certificate.verify_is_valid_for_subject_name(&wanted));
        checked.map_err(|error| format!("the certificate is not for {name}: {error}"))
    }
}

impl Tls {
    fn new(files: &TlsFiles, env: &Env) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let time: Arc<dyn TimeProvider> = Arc::new(WallTime(env.clock.clone()));
        let roots = Arc::new(authorities(&*env.disk, &files.authority)?);
        let chain = certificates(&*env.disk, &files.certificate)?;
        let key = || private_key(&*env.disk, &files.key);
        let acceptor = server(&provider, &time, &roots, chain.clone(), key()?)
            .map_err(|error| format!("{}: {error}", files.certificate.display()))?;
        let connector = client(&provider, &time, &roots, chain, key()?)
            .map_err(|error| format!("{}: {error}", files.certificate.display()))?;
        let (acceptor, connector) =
            (TlsAcceptor::from(Arc::new(acceptor)), TlsConnector::from(Arc::new(connector)));
        Ok(Tls { names: files.names, acceptor, connector })
    }

    /// The name that the certificate of `node`, called at `address`, has to have.
    fn name(&self, node: NodeId, address: &str) -> io::Result<ServerName<'static>> {
        match self.names {
            Names::Nodes => server_name(certificate_name(node)),
            Names::Hosts => host_name(address),
        }
    }
}

/// Whether the other side's certificate was found wanting: that does not pass by itself.
pub(super) fn is_settled(error: &io::Error) -> bool {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(rustls, Some(rustls::Error::InvalidCertificate(_)))
}

/// What went wrong while a connection was protected, and what to do where that is known.
pub(super) fn told(error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error, InvalidMessage};
    let what = super::dial::chain(error);
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let hint = match rustls {
        Some(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            "; the authority given here (--peer-authority) does not vouch for the other side"
        }
        Some(Error::AlertReceived(Alert::UnknownCA)) => {
            "; the authority given there (--peer-authority) does not vouch for this node"
        }
        Some(Error::AlertReceived(Alert::BadCertificate)) => {
            "; the other side refuses this node's certificate, perhaps because it does not name the host under which it was \
             called"
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "; the other side does not speak TLS: a node of the same cluster needs a certificate, too \
             (--peer-certificate, --peer-key, --peer-authority)"
        }
        Some(Error::NoCertificatesPresented) => {
            "; it is no node: nodes show a certificate of the cluster's authority"
        }
        _ => "",
    };
    format!("{what}{hint}")
}

/// The host of an address, as a certificate names it.
fn host_name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    server_name(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn server_name(name: String) -> io::Result<ServerName<'static>> {
    let odd = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("no certificate can name {name}"));
    ServerName::try_from(name.clone()).map_err(odd)
}

type Rustls<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn server(
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Rustls<ServerConfig> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build()?;
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Rustls<ClientConfig> {
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), Arc::clone(time))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn authorities(disk: &dyn Disk, file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(disk, file)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(disk: &dyn Disk, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(disk, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| format!("{}: {error}", file.display()))?;
    if found.is_empty() {
        return Err(format!("{}: no certificate in it; it must be a PEM file", file.display()));
    }
    Ok(found)
}

fn private_key(disk: &dyn Disk, file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(disk, file)?).map_err(|error| {
        format!("{}: no private key could be read from it: {error}; it must be a PEM file", file.display())
    })
}

fn read(disk: &dyn Disk, file: &Path) -> Result<Vec<u8>, String> {
    disk.read_file(file).map_err(|error| error.to_string())
}

/// What time it is, for the validity of certificates.
struct WallTime(Clock);

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallTime")
    }
}

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.wall_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
