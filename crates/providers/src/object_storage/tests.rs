use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::*;
use domain::{Code, ErrorClass};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn open_folder(folder: &Path) -> Result<ObjectStorage, Failure> {
    ObjectStorage::open(&StorageLocation::Folder(folder.to_owned()), None)
}

/// A folder that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("app-storage-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn store(&self) -> ObjectStorage {
        open_folder(&self.0.join("objects")).unwrap()
    }

    /// Every file below the folder.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &mut found);
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn body(chunks: Vec<io::Result<Bytes>>) -> ByteStream {
    stream::iter(chunks).boxed()
}

fn bytes(content: &'static [u8]) -> ByteStream {
    body(vec![Ok(Bytes::from_static(content))])
}

/// `n` chunks of 100 000 bytes: more than one part from 3 on.
fn long(n: usize) -> Vec<io::Result<Bytes>> {
    (0..n).map(|i| Ok(Bytes::from(vec![u8::try_from(i % 251).unwrap(); 100_000]))).collect()
}

#[tokio::test]
async fn what_was_put_is_fetched_with_its_size_and_hash() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let stored = store.put("raw/u/1", bytes(b"abc"), 0).await.unwrap();
    assert_eq!(stored, StoredObject { bytes_len: 3, sha256: ABC_SHA256.into() });
    assert_eq!(store.head("raw/u/1").await.unwrap(), Some(3));
    let to = scratch.0.join("copy");
    assert_eq!(store.fetch("raw/u/1", &to).await.unwrap(), Some(stored));
    assert_eq!(std::fs::read(to).unwrap(), b"abc");
}

/// What `range` of the object at `key` holds, with the size and version of the whole.
async fn read(store: &ObjectStorage, key: &str, range: Option<Range<u64>>) -> (u64, String, Vec<u8>) {
    let mut open = store.open(key, range).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = open.body.next().await {
        bytes.extend_from_slice(&part.unwrap());
    }
    (open.bytes_len, open.version, bytes)
}

#[tokio::test]
async fn an_object_is_opened_whole_or_in_part_and_its_version_changes_with_it() {
    let scratch = Scratch::new();
    let store = scratch.store();
    assert!(store.open("raw/u/1", None).await.unwrap().is_none());
    store.put("raw/u/1", bytes(b"abcdef"), 0).await.unwrap();
    let (len, version, whole) = read(&store, "raw/u/1", None).await;
    assert_eq!((len, whole.as_slice()), (6, b"abcdef".as_slice()));
    let part = read(&store, "raw/u/1", Some(2..4)).await;
    assert_eq!(part, (6, version.clone(), b"cd".to_vec()));
    store.put("raw/u/1", bytes(b"ghijkl"), 0).await.unwrap();
    assert_ne!(read(&store, "raw/u/1", None).await.1, version);
}

#[tokio::test]
async fn an_object_of_several_parts_comes_back_unchanged() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let stored = store.put("raw/u/1", body(long(12)), 1_200_000).await.unwrap();
    let to = scratch.0.join("copy");
    assert_eq!(store.fetch("raw/u/1", &to).await.unwrap(), Some(stored));
    let wanted: Vec<u8> = long(12).into_iter().flat_map(|chunk| chunk.unwrap()).collect();
    assert_eq!(std::fs::read(to).unwrap(), wanted);
}

#[tokio::test]
async fn an_empty_body_makes_an_empty_object() {
    let scratch = Scratch::new();
    let stored = scratch.store().put("raw/u/1", body(vec![]), 10).await.unwrap();
    assert_eq!(stored, StoredObject { bytes_len: 0, sha256: EMPTY_SHA256.into() });
    assert_eq!(scratch.store().head("raw/u/1").await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_body_that_fails_midway_leaves_nothing() {
    for whole_chunks in [0, 1, 7] {
        let scratch = Scratch::new();
        let mut chunks = long(whole_chunks);
        chunks.push(Err(io::ErrorKind::ConnectionReset.into()));
        let failure = scratch.store().put("raw/u/1", body(chunks), 0).await.unwrap_err();
        assert_eq!((failure.code, failure.class), (Code::UploadInterrupted, ErrorClass::Transient));
        assert_eq!(scratch.files(), Vec::<PathBuf>::new(), "after {whole_chunks} chunks");
    }
}

#[tokio::test]
async fn a_body_past_its_limit_is_refused_and_leaves_nothing() {
    for chunks in [1, 7] {
        let scratch = Scratch::new();
        let limit = chunks as u64 * 100_000 - 1;
        let failure = scratch.store().put("raw/u/1", body(long(chunks)), limit).await.unwrap_err();
        assert_eq!((failure.code, failure.class), (Code::FileTooLarge, ErrorClass::Document));
        assert_eq!(scratch.files(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_failed_upload_leaves_an_earlier_object_as_it_was() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.put("raw/u/1", bytes(b"abc"), 0).await.unwrap();
    store.put("raw/u/1", body(long(7)), 650_000).await.unwrap_err();
    let to = scratch.0.join("copy");
    assert_eq!(store.fetch("raw/u/1", &to).await.unwrap().unwrap().sha256, ABC_SHA256);
}

#[tokio::test]
async fn an_upload_whose_client_hangs_up_leaves_nothing() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let (reached, mut on_reached) = tokio::sync::mpsc::channel::<()>(1);
    let endless = stream::iter(long(7)).chain(stream::once(async move {
        reached.send(()).await.unwrap();
        std::future::pending().await
    }));
    tokio::select! {
        _ = store.put("raw/u/1", endless.boxed(), 0) => unreachable!("the body never ends"),
        _ = on_reached.recv() => {}
    }
    // The abort runs on its own task.
    while !scratch.files().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn deleting_twice_is_fine_and_takes_a_killed_writers_remains_along() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.put("raw/u/1", bytes(b"abc"), 0).await.unwrap();
    for n in [1, 2] {
        std::fs::write(scratch.0.join(format!("objects/raw/u/1#{n}")), b"half").unwrap();
    }
    store.delete("raw/u/1").await.unwrap();
    store.delete("raw/u/1").await.unwrap();
    assert_eq!(scratch.files(), Vec::<PathBuf>::new());
    assert_eq!(store.head("raw/u/1").await.unwrap(), None);
    assert_eq!(store.fetch("raw/u/1", &scratch.0.join("copy")).await.unwrap(), None);
    assert_eq!(scratch.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_key_cannot_leave_the_folder() {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::write(scratch.0.join("secret"), b"x").unwrap();
    let escapes =
        ["../secret", "raw/../../secret", "/etc/passwd", "raw//x", "", ".", "..", "raw/./x", "x\0y", "x/", "x#1"];
    for key in escapes.iter().copied().chain([&*"k".repeat(2000)]) {
        let failure = store.put(key, bytes(b"abc"), 0).await.unwrap_err();
        assert_eq!((failure.code, failure.class), (Code::StorageKeyInvalid, ErrorClass::Document), "{key:?}");
        assert!(store.fetch(key, &scratch.0.join("copy")).await.is_err(), "{key:?}");
        assert!(store.delete(key).await.is_err(), "{key:?}");
    }
    assert_eq!(scratch.files(), [scratch.0.join("secret")]);
    // What only looks like an escape stays inside.
    store.put("raw/%2e%2e%2fsecret2", bytes(b"abc"), 0).await.unwrap();
    assert!(scratch.0.join("objects/raw").read_dir().unwrap().count() == 1);
}

#[tokio::test]
async fn the_folder_and_its_files_are_private_and_a_file_in_its_way_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    open_folder(&scratch.0.join("a b/c")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.0.join("a b/c")), 0o700);
    let store = scratch.store();
    store.put("raw/u/1", bytes(b"abc"), 0).await.unwrap();
    store.put("raw/u/2", body(long(7)), 0).await.unwrap();
    for file in scratch.files() {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    std::fs::write(scratch.0.join("file"), b"").unwrap();
    let failure = open_folder(&scratch.0.join("file")).unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::StorageMisconfigured, ErrorClass::Configuration));
}

#[tokio::test]
async fn a_local_store_signs_nothing() {
    let scratch = Scratch::new();
    assert_eq!(scratch.store().signed_put_url("raw/u/1", Duration::from_secs(60)).await.unwrap(), None);
}

#[tokio::test]
async fn a_fetch_that_cannot_write_says_so_without_the_path() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.put("raw/u/1", bytes(b"abc"), 0).await.unwrap();
    let failure = store.fetch("raw/u/1", &scratch.0.join("missing/copy")).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::StorageUnavailable, ErrorClass::Transient));
    assert!(!failure.message.contains("missing/copy") && !failure.message.contains("raw/u"));
}

#[tokio::test]
async fn a_listing_is_in_the_order_of_the_keys_from_behind_a_key_on() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for key in ["raw/b/2", "raw/a/1", "raw/c/3", "rawer/x", "parsed/a/1"] {
        store.put(key, bytes(b"abc"), 0).await.unwrap();
    }
    let keys = async |after: &str, limit| -> Vec<String> {
        store.list("raw", after, limit).await.unwrap().into_iter().map(|object| object.key).collect()
    };
    assert_eq!(keys("", 10).await, ["raw/a/1", "raw/b/2", "raw/c/3"]);
    assert_eq!(keys("", 2).await, ["raw/a/1", "raw/b/2"]);
    assert_eq!(keys("raw/a/1", 10).await, ["raw/b/2", "raw/c/3"]);
    assert!(keys("raw/c/3", 10).await.is_empty() && store.list("none", "", 10).await.unwrap().is_empty());
    assert_eq!(store.version("raw/a/1").await.unwrap(), None);
}
