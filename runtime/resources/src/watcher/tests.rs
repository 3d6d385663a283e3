use super::*;
use std::fs;

const SOON: Duration = Duration::from_secs(5);

async fn tick(watcher: &mut Watcher) -> Tick {
    tokio::time::timeout(SOON, watcher.changed()).await.expect("a tick in time")
}

async fn assert_quiet(watcher: &mut Watcher) {
    let waited = tokio::time::timeout(Duration::from_millis(2600), watcher.changed()).await;
    assert!(waited.is_err(), "unexpected {waited:?}");
}

fn watch(folder: &Path) -> Watcher {
    Watcher::new(&[folder.to_owned()], &[]).unwrap()
}

#[tokio::test]
async fn writing_renaming_and_removing_each_give_a_tick() {
    let dir = tempfile::tempdir().unwrap();
    let mut watcher = watch(dir.path());
    fs::write(dir.path().join("a.yaml"), "1").unwrap();
    let first = tick(&mut watcher).await;
    assert!(!first.polled);
    assert!(first.paths.contains(&dir.path().join("a.yaml")), "{first:?}");
    // as editors save: another file moved over it
    fs::write(dir.path().join(".a.tmp"), "2").unwrap();
    fs::rename(dir.path().join(".a.tmp"), dir.path().join("a.yaml")).unwrap();
    tick(&mut watcher).await;
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    tick(&mut watcher).await;
    assert_quiet(&mut watcher).await;
}

#[tokio::test]
async fn reading_gives_no_tick_and_nothing_is_lost_by_dropping_the_future() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "1").unwrap();
    let mut watcher = watch(dir.path());
    fs::read(dir.path().join("a.yaml")).unwrap();
    assert_quiet(&mut watcher).await;
    fs::write(dir.path().join("a.yaml"), "2").unwrap();
    // shorter than the quiet time: the event is taken, the tick is not given yet
    assert!(tokio::time::timeout(Duration::from_millis(60), watcher.changed()).await.is_err());
    assert!(!tick(&mut watcher).await.polled);
}

#[tokio::test]
async fn rapid_saves_are_one_tick_within_the_longest_delay() {
    let dir = tempfile::tempdir().unwrap();
    let mut watcher = watch(dir.path());
    for number in 0..5 {
        fs::write(dir.path().join("a.yaml"), number.to_string()).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tick(&mut watcher).await;
    assert_quiet(&mut watcher).await;
    // never quiet: the tick comes all the same
    let file = dir.path().join("b.yaml");
    let writer = tokio::spawn(async move {
        for number in 0..60 {
            fs::write(&file, number.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let start = Instant::now();
    tick(&mut watcher).await;
    assert!(start.elapsed() < Duration::from_millis(1800), "{:?}", start.elapsed());
    writer.await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_mount_that_swaps_its_data_link_gives_a_tick() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("mount");
    let write = |version: &str, text: &str| {
        fs::create_dir_all(mount.join(version)).unwrap();
        fs::write(mount.join(version).join("a.yaml"), text).unwrap();
    };
    write("..1", "one");
    symlink("..1", mount.join("..data")).unwrap();
    symlink("..data/a.yaml", mount.join("a.yaml")).unwrap();
    let mut watcher = watch(&mount);
    let mut file_watcher = Watcher::new(&[], &[mount.join("a.yaml")]).unwrap();
    write("..2", "two");
    symlink("..2", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    tick(&mut watcher).await;
    assert_eq!(fs::read_to_string(mount.join("a.yaml")).unwrap(), "two");
    assert!(!tick(&mut file_watcher).await.polled);
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_a_swapped_link_is_watched_anew() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    for version in ["v1", "v2"] {
        fs::create_dir(dir.path().join(version)).unwrap();
    }
    let link = dir.path().join("current");
    symlink("v1", &link).unwrap();
    let mut watcher = watch(&link);
    symlink("v2", dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), &link).unwrap();
    tick(&mut watcher).await;
    fs::write(dir.path().join("v2/a.yaml"), "x").unwrap();
    assert!(!tick(&mut watcher).await.polled, "the new target gives events");
}

#[tokio::test]
async fn a_folder_may_vanish_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("outer/res");
    fs::create_dir_all(&folder).unwrap();
    let mut watcher = watch(&folder);
    fs::remove_dir_all(dir.path().join("outer")).unwrap();
    tick(&mut watcher).await;
    // even the folder that held it is gone: found by looking
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.yaml"), "1").unwrap();
    tick(&mut watcher).await;
    while tokio::time::timeout(Duration::from_millis(500), watcher.changed()).await.is_ok() {}
    fs::write(folder.join("a.yaml"), "2").unwrap();
    assert!(!tick(&mut watcher).await.polled, "watched again");
}

#[tokio::test]
async fn single_files_are_watched_without_their_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("secrets.json");
    let mut watcher = watch(dir.path());
    watcher.set_extra_files(std::slice::from_ref(&file)).unwrap();
    fs::write(other.path().join("neighbour"), "x").unwrap();
    assert_quiet(&mut watcher).await;
    fs::write(&file, "{}").unwrap();
    assert_eq!(tick(&mut watcher).await.paths, std::slice::from_ref(&file));
    watcher.set_extra_files(&[]).unwrap();
    fs::write(&file, "{1}").unwrap();
    assert_quiet(&mut watcher).await;
}
