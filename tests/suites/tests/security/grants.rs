//! What a component may reach is what its configuration names: another address, path, variable or name is refused, counted and logged.

use std::os::unix::fs::symlink;
use std::time::Duration;

use proa_harness::{Sidecar, Wire, against_dapr};
use tokio::net::TcpListener;

use crate::bystander::neighbour;
use crate::guests::sidecar;
use crate::process::{logged, metric};
use crate::stores::hostile;

async fn report(sidecar: &Sidecar, key: &str) -> String {
    // Some keys hold what a path of HTTP would not carry unchanged.
    let found = sidecar.api(Wire::Grpc).await.get("hostile", key).await.unwrap_or_else(|error| panic!("{key}: {error:?}"));
    String::from_utf8_lossy(&found.value.unwrap_or_default()).into_owned()
}

#[track_caller]
fn denied(key: &str, report: &str) {
    println!("security {key}: {report}");
    assert!(report.starts_with("denied: "), "{key}: {report}");
}

#[tokio::test]
async fn hosts() {
    if against_dapr() {
        return;
    }
    let (listed, unlisted) = (TcpListener::bind("127.0.0.1:0").await.expect("port"), TcpListener::bind("127.0.0.1:0").await.expect("port"));
    let (listed_at, unlisted_at) = (listed.local_addr().expect("address"), unlisted.local_addr().expect("address"));
    let sidecar = sidecar().resource(neighbour()).resource(hostile(&[("endpoint", &listed_at.to_string())])).start().await;
    let granted = report(&sidecar, &format!("dial:{listed_at}")).await;
    assert!(granted.starts_with("connected"), "{granted}");
    tokio::time::timeout(Duration::from_secs(5), listed.accept()).await.expect("a connection").expect("accepted");
    for key in [
        format!("dial:{unlisted_at}"),
        format!("dial:localhost:{}", unlisted_at.port()),
        format!("dial:[::ffff:127.0.0.1]:{}", unlisted_at.port()),
        format!("dial:0.0.0.0:{}", unlisted_at.port()),
        "dial:169.254.169.254:80".into(),
        "listen:0".into(),
        "resolve:localhost".into(),
        "resolve:example.org".into(),
    ] {
        denied(&key, &report(&sidecar, &key).await);
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), unlisted.accept()).await.is_err(), "somebody connected all the same");
    logged(&sidecar, &["component=hostile", "denied: tcp", &unlisted_at.to_string()]).await;
    assert!(metric(&sidecar, "proa_component_denied_total", &["component=\"hostile\"", "grant=\"tcp\""]).await >= 1.0);
}

#[tokio::test]
async fn hosts_listed_by_the_resource() {
    if against_dapr() {
        return;
    }
    let listed = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listed.local_addr().expect("address").to_string();
    let yaml = hostile(&[]).replacen("    proa.dev/module", &format!("    proa.dev/allow-hosts: \"{address}\"\n    proa.dev/module"), 1);
    let sidecar = sidecar().resource(yaml).start().await;
    let granted = report(&sidecar, &format!("dial:{address}")).await;
    assert!(granted.starts_with("connected"), "{granted}");
}

#[tokio::test]
async fn paths() {
    if against_dapr() {
        return;
    }
    let home = tempfile::tempdir().expect("home");
    let granted = home.path().join("granted");
    std::fs::create_dir(&granted).expect("folder");
    std::fs::write(granted.join("inside"), "granted").expect("written");
    std::fs::write(home.path().join("outside"), "not granted").expect("written");
    symlink(home.path().join("outside"), granted.join("absolute-link")).expect("link");
    symlink("../outside", granted.join("relative-link")).expect("link");
    symlink("..", granted.join("up")).expect("link");
    let at = |path: &str| granted.join(path).display().to_string();
    let sidecar = sidecar().resource(neighbour()).resource(hostile(&[("folder", &granted.display().to_string())])).start().await;
    assert_eq!(report(&sidecar, &format!("path:{}", at("inside"))).await, "read granted");
    assert_eq!(report(&sidecar, &format!("write:{}", at("new"))).await, "written");
    let outside = home.path().join("outside").display().to_string();
    let mut keys: Vec<String> =
        ["path:/etc/passwd", "path:../outside", "path:/proc/self/environ", "list:/", "file:/etc/passwd", "write:/tmp/hostile"]
            .map(str::to_owned)
            .to_vec();
    for path in ["../outside", "../../../../../../etc/passwd", "absolute-link", "relative-link", "up/outside", "./.././outside"] {
        keys.push(format!("path:{}", at(path)));
    }
    keys.extend([format!("path:{outside}"), format!("file:{outside}"), format!("file:{}", at("inside")), format!("write:{}", at("absolute-link"))]);
    for key in keys {
        denied(&key, &report(&sidecar, &key).await);
    }
    assert_eq!(std::fs::read_to_string(home.path().join("outside")).expect("still there"), "not granted");
    assert!(!std::path::Path::new("/tmp/hostile").exists());
}

#[tokio::test]
async fn environment() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar().resource(hostile(&[])).env("A_SECRET", "of the sidecar").env("APP_API_TOKEN", "token").start().await;
    for key in ["env:A_SECRET", "env:APP_API_TOKEN", "env:HOME", "env:PATH"] {
        denied(key, &report(&sidecar, key).await);
    }
}
