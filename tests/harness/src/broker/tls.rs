//! An authority of one's own, and a certificate by it for server and client.

use std::path::Path;
use std::process::{Command, Stdio};

/// PEM texts of the authority's certificate, of one that it has signed, and of that one's key.
pub struct Certificates {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

const LEAF: &str = "[req]\ndistinguished_name=name\n[name]\n[leaf]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";

fn openssl(folder: &Path, more: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]).args(more).current_dir(folder).stdin(Stdio::null());
    let made = command.output().expect("openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

impl Certificates {
    /// Writes `ca.crt`, `leaf.crt` and `leaf.key` into the folder.
    pub(super) fn make(folder: &Path) {
        std::fs::write(folder.join("leaf.cnf"), LEAF).expect("configuration");
        openssl(folder, &["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt"]);
        let signed = ["-config", "leaf.cnf", "-extensions", "leaf", "-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=localhost"];
        openssl(folder, &[&signed[..], &["-keyout", "leaf.key", "-out", "leaf.crt"]].concat());
    }

    pub(super) fn read(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        Self { ca: read("ca.crt"), certificate: read("leaf.crt"), key: read("leaf.key") }
    }
}
