//! How a file changes: saved again and again, renamed into place, truncated and then written, or through the links of a
//! Kubernetes volume. What counts is what stands there in the end.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use proa_harness::{Sidecar, Wire, against_dapr, component, until};

use crate::guests::{sidecar, with_guest};
use crate::load::{Load, under_load};
use crate::process::{generation, swapped, tail};
use crate::swaps;

/// A store that says which YAML it was started from.
fn marked(mark: &str) -> String {
    with_guest(&component("store", "state.hostile", &[("mark", mark)]), "hostile-state")
}

async fn mark_is(sidecar: &Sidecar, mark: &str) {
    let api = sidecar.api(Wire::Grpc).await;
    until(&format!("mark {mark}, log:\n{}", tail(sidecar, 10)), Duration::from_secs(20), || async {
        let value = api.get("store", "mark").await.ok()?.value?;
        (value == mark.as_bytes()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_saves_end_with_the_last_one() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar().resource_file("store.yaml", marked("0")).start().await;
    let place = sidecar.resources_dir().join("store.yaml");
    let load = Load::on(&sidecar, "store").await;
    load.swapping();
    let saves = swaps() * 10;
    for number in 1..=saves {
        // Some editors write in place, others put a new file in the place of the old one.
        if number % 2 == 0 {
            std::fs::write(&place, marked(&number.to_string())).expect("saved");
        } else {
            sidecar.write_resource("store.yaml", &marked(&number.to_string()));
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    mark_is(&sidecar, &saves.to_string()).await;
    load.end().await.flawless("rapid saves", saves, &sidecar);
}

/// A slow editor: the file is empty for a moment. That is no removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_empty_for_a_moment() {
    if against_dapr() {
        return;
    }
    let sidecar = sidecar().resource_file("store.yaml", marked("0")).start().await;
    let place = sidecar.resources_dir().join("store.yaml");
    let number = generation(&sidecar, "store").await;
    let mut number = number;
    under_load("truncated, then written", &sidecar, "store", async |n| {
        std::fs::write(&place, "").expect("truncated");
        tokio::time::sleep(Duration::from_millis(60)).await;
        std::fs::write(&place, marked(&n.to_string())).expect("saved");
        number = swapped(&sidecar, "store", number).await;
    })
    .await;
    mark_is(&sidecar, &swaps().to_string()).await;
}

/// Writes a version of the volume and turns the link `..data` to it, as the kubelet does.
fn publish(volume: &Path, number: u32) {
    let version = format!("..version_{number}");
    std::fs::create_dir(volume.join(&version)).expect("the version's folder");
    std::fs::write(volume.join(&version).join("store.yaml"), marked(&number.to_string())).expect("written");
    symlink(&version, volume.join("..data_tmp")).expect("link");
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("turned");
    if number > 0 {
        std::fs::remove_dir_all(volume.join(format!("..version_{}", number - 1))).expect("the old version removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_kubernetes() {
    if against_dapr() {
        return;
    }
    let volume = tempfile::tempdir().expect("volume");
    publish(volume.path(), 0);
    symlink("..data/store.yaml", volume.path().join("store.yaml")).expect("link");
    let sidecar = sidecar().flag("--resources-path", &volume.path().display().to_string()).start().await;
    mark_is(&sidecar, "0").await;
    let mut number = generation(&sidecar, "store").await;
    under_load("..data turned", &sidecar, "store", async |n| {
        publish(volume.path(), n);
        number = swapped(&sidecar, "store", number).await;
    })
    .await;
    mark_is(&sidecar, &swaps().to_string()).await;
}

/// The resources folder itself is a link that is turned to another folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_behind_a_link() {
    if against_dapr() {
        return;
    }
    let home = tempfile::tempdir().expect("home");
    let set = |n: u32| {
        let folder = home.path().join(format!("set-{n}"));
        std::fs::create_dir(&folder).expect("folder");
        std::fs::write(folder.join("store.yaml"), marked(&n.to_string())).expect("written");
        symlink(&folder, home.path().join("next")).expect("link");
        std::fs::rename(home.path().join("next"), home.path().join("current")).expect("turned");
    };
    set(0);
    let sidecar = sidecar().flag("--resources-path", &home.path().join("current").display().to_string()).start().await;
    let mut number = generation(&sidecar, "store").await;
    under_load("folder link turned", &sidecar, "store", async |n| {
        set(n);
        number = swapped(&sidecar, "store", number).await;
    })
    .await;
    mark_is(&sidecar, &swaps().to_string()).await;
}
