//! Nodes that show each other certificates, and those that are refused for theirs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::{Node, home, refused, server};

/// An authority, and what it vouches for, as files.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("authority.pem"), issuer.pem()).unwrap();
        Authority { dir, issuer }
    }

    /// The flags of a node with a new certificate for this host.
    fn vouch(&self, host: &str) -> Vec<String> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what: &str| self.dir.path().join(format!("{host}-{what}.pem"));
        fs::write(file("certificate"), certificate.pem()).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (certificate, key) = (text(&file("certificate")), text(&file("key")));
        let authority = text(&self.dir.path().join("authority.pem"));
        [("--peer-certificate", certificate), ("--peer-key", key), ("--peer-authority", authority)]
            .into_iter()
            .flat_map(|(flag, file)| [flag.to_owned(), file])
            .collect()
    }
}

fn flags<'a>(one: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    one.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn three_servers_with_certificates_of_one_authority_become_a_cluster() {
    let (_home, [first, second, third]) = home();
    let authority = Authority::new();
    let certified = authority.vouch("127.0.0.1");
    let founder = Node::start(&first, &flags(&certified, &["--bootstrap"]));
    let join = flags(&certified, &["--join", &founder.peers]);
    let others = [Node::start(&second, &join), Node::start(&third, &join)];
    for node in ["n2", "n3"] {
        founder.counts_at_last(&format!("chronos_peer_link_up{{node=\"{node}\"}}"), 1);
    }
    for node in others.iter().chain([&founder]) {
        let (code, said) = node.asked(&["cluster", "nodes", "--json"]);
        assert!(code == Some(0) && said.lines().count() == 3, "{said}");
    }
}

#[test]
fn a_server_with_the_wrong_certificate_or_none_is_refused_told_why_and_counted() {
    let (_home, [first, second, _]) = home();
    let (authority, elsewhere) = (Authority::new(), Authority::new());
    let founder = Node::start(&first, &flags(&authority.vouch("127.0.0.1"), &["--bootstrap"]));
    let join = ["--peer-listen", "127.0.0.1:0", "--join", founder.peers.as_str()];
    let (code, why) = refused(&second, &flags(&elsewhere.vouch("127.0.0.1"), &join));
    assert!(
        code == Some(1) && why.contains("invalid peer certificate") && why.contains("--peer-authority"),
        "{why}"
    );
    founder.counts_at_last("chronos_peer_strangers_total{why=\"tls\"}", 1);
    // Its own authority vouches for it, but not for the place where it says that it is.
    let (code, why) = refused(&second, &flags(&authority.vouch("elsewhere.example"), &join));
    assert!(code == Some(1) && why.contains("(certificate)") && why.contains("--advertise"), "{why}");
    assert_eq!(founder.counted("chronos_peer_joins_denied_total{why=\"certificate\"}"), 1);
    // Who has none says what may be missing.
    let mut bare = server(&second, &join).spawn().unwrap();
    let mut lines = BufReader::new(bare.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.any(|line| line.contains("not admitted") && line.contains("needs one, too"));
    bare.kill().unwrap();
    bare.wait().unwrap();
    assert!(told, "nothing was said about certificates");
    founder.counts_at_last("chronos_peer_strangers_total{why=\"tls\"}", 2);
    assert_eq!(founder.counted("chronos_peer_joins_total"), 0);
}
