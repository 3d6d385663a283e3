//! The resolver over a SQLite file: rows are written, renewed and deleted.

use super::{app, asks, chooses, sidecar};
use proa_harness::until;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn configuration(file: &Path) -> String {
    chooses("sqlite", &format!("{{connectionString: \"{}\", updateInterval: 3s, timeout: 1}}", file.display()))
}

/// What the file says, by means of Python's own SQLite.
fn select(file: &Path, sql: &str) -> String {
    let script = "import sqlite3, sys\nprint(sqlite3.connect(sys.argv[1], timeout=5).execute(sys.argv[2]).fetchall())";
    let output = Command::new("python3").args(["-c", script]).arg(file).arg(sql).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_find_one_another_and_leave() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("names.db");
    let configuration = configuration(&file);
    let (one, two) = (app("one").await, app("two").await);
    let first = sidecar("one", &configuration).app(&one).start().await;
    let second = sidecar("two", &configuration).app(&two).start().await;
    assert_eq!(asks(&first, "two").await.as_deref(), Ok("two"));
    assert_eq!(asks(&second, "one").await.as_deref(), Ok("one"));
    let unknown = asks(&first, "three").await.expect_err("nobody is called three");
    assert!(unknown.contains("no host found with the given ID"), "{unknown}");

    let rows = select(&file, "SELECT address, app_id, namespace FROM hosts ORDER BY app_id");
    let (a, b) = (first.ports().internal, second.ports().internal);
    assert_eq!(rows, format!("[('127.0.0.1:{a}', 'one', ''), ('127.0.0.1:{b}', 'two', '')]"));
    assert_eq!(select(&file, "SELECT value FROM metadata WHERE key = 'nr-migrations'"), "[('1',)]");

    let renewed = select(&file, "SELECT last_update FROM hosts WHERE app_id = 'one'");
    until("the row is renewed", Duration::from_secs(10), || async {
        (select(&file, "SELECT last_update FROM hosts WHERE app_id = 'one'") != renewed).then_some(())
    })
    .await;
    second.stop().await;
    assert_eq!(select(&file, "SELECT app_id FROM hosts"), "[('one',)]");
    first.stop().await;
    assert_eq!(select(&file, "SELECT app_id FROM hosts"), "[]");
}

/// A sidecar that dies leaves its row; its successor listens elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_let_go() {
    let home = tempfile::tempdir().expect("a folder");
    let configuration = configuration(&home.path().join("names.db"));
    let (old, new) = (app("old").await, app("new").await);
    let caller = sidecar("caller", &configuration).start().await;
    let callee = sidecar("callee", &configuration).app(&old).start().await;
    assert_eq!(asks(&caller, "callee").await.as_deref(), Ok("old"));
    drop(callee);
    let _successor = sidecar("callee", &configuration).app(&new).start().await;
    until("the successor answers", Duration::from_secs(20), || async {
        let reply = caller.http().get("/v1.0/invoke/callee/method/who").await;
        (reply.status == 200 && reply.text() == "new").then_some(())
    })
    .await;
}

/// A row that somebody took away is written anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_row_comes_back() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("names.db");
    let sidecar = sidecar("lost", &configuration(&file)).start().await;
    assert_eq!(select(&file, "SELECT app_id FROM hosts"), "[('lost',)]");
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=5)\nc.execute('DELETE FROM hosts')\nc.commit()";
    assert!(Command::new("python3").args(["-c", script]).arg(&file).status().expect("python3").success());
    sidecar.logs_contain("Host registration lost").await;
    until("the row is back", Duration::from_secs(10), || async { (select(&file, "SELECT app_id FROM hosts") == "[('lost',)]").then_some(()) }).await;
}
