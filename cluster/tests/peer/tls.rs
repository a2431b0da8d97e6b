//! Certificates, over real loopback.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chronos_cluster::peer::{Config, Names, Peers, Security, TlsFiles, Why, certificate_name};
use chronos_env::Env;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::doors::{begin, local, real};
use crate::node::{Scribe, echo, n, start, until};

/// An authority and what it vouches for, as files.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("authority.pem"), issuer.pem()).unwrap();
        Authority { dir, issuer }
    }

    /// Files of a new certificate for these names.
    pub(crate) fn vouch(&self, file: &str, for_names: &[&str], names: Names) -> TlsFiles {
        let owned: Vec<String> = for_names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(owned).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = |what: &str| self.dir.path().join(format!("{file}-{what}.pem"));
        fs::write(path("certificate"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        TlsFiles {
            certificate: path("certificate"),
            key: path("key"),
            authority: self.dir.path().join("authority.pem"),
            names,
        }
    }

    /// A node with a certificate for its own name.
    async fn node(&self, number: u64) -> (Peers, Arc<Scribe>) {
        self.node_certified_as(number, number).await
    }

    async fn node_certified_as(&self, number: u64, certified: u64) -> (Peers, Arc<Scribe>) {
        let name = certificate_name(n(certified));
        let files = self.vouch(&format!("n{number}"), &[&name], Names::Nodes);
        begin(Config { security: Security::Mutual(files), ..local(number) }).await
    }
}

fn know(peers: &Peers, number: u64, other: &Peers) {
    peers.set_peer(n(number), &other.address().to_string());
}

#[test]
fn nodes_with_certificates_of_one_authority_talk() {
    real(async {
        let authority = Authority::new();
        let ((first, _), (second, _)) = (authority.node(1).await, authority.node(2).await);
        know(&first, 2, &second);
        know(&second, 1, &first);
        echo(&first, 2, "hello").await.unwrap();
        echo(&second, 1, "hello").await.unwrap();
    });
}

#[test]
fn certificates_may_name_hosts_instead_of_nodes() {
    real(async {
        let authority = Authority::new();
        let node = |number: u64, host: &str| {
            let files = authority.vouch(&format!("h{number}"), &[host], Names::Hosts);
            begin(Config { security: Security::Mutual(files), ..local(number) })
        };
        let ((first, _), (second, _)) = (node(1, "127.0.0.1").await, node(2, "127.0.0.1").await);
        let (elsewhere, _) = node(3, "10.1.2.3").await;
        know(&first, 2, &second);
        know(&first, 3, &elsewhere);
        echo(&first, 2, "hello").await.unwrap();
        let error = echo(&first, 3, "hello").await.unwrap_err().to_string();
        assert!(error.contains("certificate not valid for name"), "{error}");
    });
}

#[test]
fn a_certificate_of_another_authority_is_worth_nothing_either_way() {
    real(async {
        let ((host, scribe), (stranger, other)) =
            (Authority::new().node(1).await, Authority::new().node(2).await);
        know(&stranger, 1, &host);
        know(&host, 2, &stranger);
        for (from, to) in [(&stranger, 1), (&host, 2)] {
            let error = echo(from, to, "").await.unwrap_err().to_string();
            assert!(error.contains("invalid peer certificate: "), "{error}");
        }
        let clock = Env::real().clock;
        until(&clock, "it is counted", || {
            host.stats().strangers_tls >= 1 && stranger.stats().strangers_tls >= 1
        })
        .await;
        assert!(scribe.bodies().is_empty() && other.bodies().is_empty());
    });
}

#[test]
fn a_stranger_who_trusts_us_is_not_trusted() {
    real(async {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let (host, scribe) = ours.node(1).await;
        // Its own certificate is of another authority, but it believes in ours.
        let files = theirs.vouch("n2", &[&certificate_name(n(2))], Names::Nodes);
        let files = TlsFiles { authority: ours.dir.path().join("authority.pem"), ..files };
        let (stranger, _) = begin(Config { security: Security::Mutual(files), ..local(2) }).await;
        know(&stranger, 1, &host);
        let error = echo(&stranger, 1, "").await.unwrap_err().to_string();
        assert!(error.starts_with("n1 was not reached"), "{error}");
        let clock = Env::real().clock;
        until(&clock, "it is counted", || host.stats().strangers_tls >= 1).await;
        assert!(scribe.bodies().is_empty());
    });
}

#[test]
fn no_node_passes_for_another_with_a_certificate_of_its_own() {
    real(async {
        let authority = Authority::new();
        let ((host, scribe), (liar, _)) = (authority.node(1).await, authority.node_certified_as(2, 3).await);
        know(&liar, 1, &host);
        let error = echo(&liar, 1, "").await.unwrap_err().to_string();
        assert!(
            error.contains("(certificate): the certificate is not for node-2.chronos.internal"),
            "{error}"
        );
        assert!(host.stats().turned_away(Why::Certificate) >= 1);
        know(&host, 2, &liar);
        let error = echo(&host, 2, "").await.unwrap_err().to_string();
        assert!(error.contains("certificate not valid for name"), "{error}");
        assert!(scribe.bodies().is_empty());
    });
}

#[test]
fn plaintext_and_tls_do_not_mix() {
    real(async {
        let authority = Authority::new();
        let ((secured, scribe), (plain, other)) = (authority.node(1).await, begin(local(2)).await);
        know(&secured, 2, &plain);
        know(&plain, 1, &secured);
        for (from, to) in [(&secured, 2), (&plain, 1)] {
            let error = echo(from, to, "").await.unwrap_err().to_string();
            assert!(error.contains("was not reached"), "{error}");
        }
        let clock = Env::real().clock;
        until(&clock, "both are counted", || {
            secured.stats().strangers_tls >= 1 && plain.stats().strangers_garbage >= 1
        })
        .await;
        assert!(scribe.bodies().is_empty() && other.bodies().is_empty());
    });
}

#[test]
fn files_that_do_not_work_are_named() {
    real(async {
        let authority = Authority::new();
        let sound = authority.vouch("n1", &["127.0.0.1"], Names::Hosts);
        let empty = authority.dir.path().join("empty.pem");
        fs::write(&empty, "nothing\n").unwrap();
        let other = authority.vouch("n2", &["127.0.0.1"], Names::Hosts);
        let missing = authority.dir.path().join("missing.pem");
        let cases: [(TlsFiles, &Path, &str); 5] = [
            (TlsFiles { certificate: missing.clone(), ..sound.clone() }, &missing, "missing.pem"),
            (TlsFiles { certificate: empty.clone(), ..sound.clone() }, &empty, "no certificate in it"),
            (TlsFiles { authority: empty.clone(), ..sound.clone() }, &empty, "no certificate in it"),
            (TlsFiles { key: empty.clone(), ..sound.clone() }, &empty, "no private key"),
            (
                TlsFiles { key: other.key.clone(), ..sound.clone() },
                &sound.certificate,
                "keys may not be consistent",
            ),
        ];
        for (files, path, text) in cases {
            let config = Config { security: Security::Mutual(files), ..local(1) };
            let error = start(&Env::real(), config).await.err().unwrap().to_string();
            assert!(error.starts_with("TLS between nodes: "), "{error}");
            assert!(error.contains(&path.display().to_string()) && error.contains(text), "{error}");
        }
    });
}
