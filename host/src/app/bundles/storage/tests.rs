//! Owns the tests of the storage: a real directory, broken uploads, several at once, memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use tempfile::TempDir;

use super::*;
use kernex_model::id::Ulid;

const MIB: usize = 1024 * 1024;

fn settings(directory: &TempDir) -> StorageSettings {
    StorageSettings { idle: Duration::from_millis(200), ..StorageSettings::local(directory.path()) }
}

async fn open(directory: &TempDir) -> BundleStorage {
    BundleStorage::open(&settings(directory)).await.expect("an empty directory")
}

/// Every file below the directory, by its path in it.
fn files(directory: &TempDir) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.path().to_owned()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(path).expect("a directory of ours") {
            let path = entry.expect("its entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(directory.path()).expect("below it").display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// What is removed in the background is gone after a while.
async fn becomes_empty(directory: &TempDir) -> bool {
    for _ in 0..500 {
        if files(directory).is_empty() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Content that is not the same anywhere.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// As a client sends it: in chunks that fit no part.
fn chunks(content: &[u8]) -> impl Stream + use<> {
    let chunks: Vec<io::Result<Bytes>> =
        content.chunks(70_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

trait Stream: futures_util::Stream<Item = io::Result<Bytes>> + Send {}
impl<S: futures_util::Stream<Item = io::Result<Bytes>> + Send> Stream for S {}

async fn read(storage: &BundleStorage, digest: &Digest, range: Range<u64>) -> Vec<u8> {
    let parts: Vec<Bytes> = storage.read(digest, range).await.expect("content").try_collect().await.expect("all of it");
    parts.concat()
}

async fn store_and_read(storage: &BundleStorage) {
    let content = content(3 * MIB + 17);
    let received = storage.receive(Ulid(1), chunks(&content)).await.expect("received");
    let digest = received.sha256;
    assert_eq!((digest, received.size), (Digest::of(&content), content.len() as u64));
    assert!(!storage.holds(&digest).await.expect("looked"), "nothing is visible before it is kept");
    assert!(received.keep().await.expect("kept"));
    assert!(storage.holds(&digest).await.expect("looked"));
    let size = content.len() as u64;
    for range in [0..size, 0..1, size - 1..size, 65_535..65_537, 1_000_000..2_500_000] {
        let expected = &content[range.start as usize..range.end as usize];
        assert_eq!(read(storage, &digest, range.clone()).await, expected, "{range:?}");
    }
    let other = Digest::of(b"other");
    assert!(matches!(storage.read(&other, 0..1).await.err(), Some(StorageError::Missing)));
}

#[tokio::test]
async fn content_comes_back_from_a_directory() {
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    store_and_read(&storage).await;
    let kept = files(&directory);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].starts_with("sha256/"), "{kept:?}");
}

#[tokio::test]
async fn content_comes_back_from_an_object_store() {
    let directory = TempDir::new().expect("a directory");
    let settings = StorageSettings { url: Some("memory:///prefix".to_owned()), ..settings(&directory) };
    let storage = BundleStorage::open(&settings).await.expect("an object store in memory");
    store_and_read(&storage).await;
    BundleStorage::answers("memory:///prefix").await.expect("an object store in memory");
    let left: Vec<_> = storage.objects.list(None).try_collect().await.expect("listed");
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_url_names_the_place() {
    let (unused, directory) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let of = |url: String| StorageSettings { url: Some(url), ..settings(&unused) };
    let storage =
        BundleStorage::open(&of(format!("file://{}", directory.path().display()))).await.expect("a directory");
    store_and_read(&storage).await;
    assert_eq!((files(&unused).len(), files(&directory).len()), (0, 1));
    for wrong in ["", "bundles", "ftp://nowhere"] {
        assert!(
            matches!(BundleStorage::open(&of(wrong.to_owned())).await, Err(StorageError::Setting { .. })),
            "{wrong}"
        );
        assert!(matches!(BundleStorage::answers(wrong).await, Err(StorageError::Setting { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    let start = content(3 * MIB);
    let broken = chunks(&start).chain(stream::iter([Err(io::Error::from(io::ErrorKind::ConnectionReset))]));
    assert!(matches!(storage.receive(Ulid(1), broken).await, Err(StorageError::Interrupted(_))));
    assert_eq!(files(&directory), [""; 0]);

    let silent = chunks(&start).chain(stream::pending());
    assert!(matches!(storage.receive(Ulid(2), silent).await, Err(StorageError::Stalled { .. })));
    assert_eq!(files(&directory), [""; 0]);
}

#[tokio::test]
async fn a_client_that_drips_is_cut_off() {
    let directory = TempDir::new().expect("a directory");
    let storage = BundleStorage::open(&StorageSettings { idle: Duration::from_millis(40), ..settings(&directory) })
        .await
        .expect("open");
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok(Bytes::from_static(b"x")), ()))
    });
    assert!(matches!(storage.receive(Ulid(1), drops).await, Err(StorageError::Stalled { .. })));
    assert_eq!(files(&directory), [""; 0]);
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let directory = TempDir::new().expect("a directory");
    let storage = BundleStorage::open(&StorageSettings::local(directory.path())).await.expect("an empty directory");
    let pulled = Arc::new(AtomicUsize::new(0));
    let seen = pulled.clone();
    let start = chunks(&content(3 * MIB))
        .inspect(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
        })
        .chain(stream::pending());
    let upload = tokio::spawn({
        let storage = storage.clone();
        async move { storage.receive(Ulid(1), start).await.map(drop) }
    });
    while files(&directory).is_empty() || pulled.load(Ordering::Relaxed) < 40 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    upload.abort();
    assert!(upload.await.is_err_and(|error| error.is_cancelled()));
    assert!(becomes_empty(&directory).await, "{:?}", files(&directory));

    let received = storage.receive(Ulid(2), chunks(&content(MIB))).await.expect("received");
    assert_eq!(files(&directory).len(), 1);
    drop(received);
    assert!(becomes_empty(&directory).await, "{:?}", files(&directory));
}

#[tokio::test]
async fn what_a_killed_server_left_is_swept_at_the_start() {
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    let received = storage.receive(Ulid(1), chunks(b"kept")).await.expect("received");
    let digest = received.sha256;
    received.keep().await.expect("kept");
    for name in ["01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "01JD5Z8Q0V3W4X5Y6Z7A8B9C0E#1"] {
        std::fs::write(directory.path().join(incoming::PREFIX).join(name), b"half").expect("written");
    }
    drop(storage);
    let storage = open(&directory).await;
    assert_eq!(files(&directory).len(), 1);
    assert_eq!(read(&storage, &digest, 0..4).await, b"kept");
}

#[tokio::test]
async fn a_command_beside_the_server_leaves_its_uploads_alone() {
    let directory = TempDir::new().expect("a directory");
    let server = open(&directory).await;
    let received = server.receive(Ulid(1), chunks(b"content")).await.expect("received");
    let command = open(&directory).await;
    assert_eq!(files(&directory).len(), 1);
    drop((server, command));
    assert!(received.keep().await.expect("still there"));
}

#[tokio::test]
async fn the_limit_holds_to_the_byte() {
    let directory = TempDir::new().expect("a directory");
    let limit = MIB as u64 + 5;
    let storage =
        BundleStorage::open(&StorageSettings { max_bundle_bytes: limit, ..settings(&directory) }).await.expect("open");
    let whole = content(MIB + 5);
    storage.receive(Ulid(1), chunks(&whole)).await.expect("just fits").remove().await;
    let larger = chunks(&whole).chain(chunks(b"x"));
    let refused = storage.receive(Ulid(2), larger).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { limit_bytes }) if limit_bytes == limit));
    assert_eq!(files(&directory), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_at_once_is_kept_once() {
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    let content = content(MIB + 3);
    let uploads = (0..MAX_UPLOADS).map(|index| {
        let (storage, content) = (storage.clone(), content.clone());
        tokio::spawn(async move {
            let received = storage.receive(Ulid(index as u128), chunks(&content)).await.expect("received");
            let digest = received.sha256;
            let _alone = storage.lock(&digest).await;
            received.keep().await.expect("kept")
        })
    });
    let kept = futures_util::future::join_all(uploads.collect::<Vec<_>>()).await;
    assert_eq!(kept.into_iter().filter(|fresh| *fresh.as_ref().expect("no panic")).count(), 1);
    assert_eq!(files(&directory).len(), 1);
    let digest = Digest::of(&content);
    assert_eq!(read(&storage, &digest, 0..content.len() as u64).await, content);
    storage.discard(&digest).await;
    assert_eq!(files(&directory), [""; 0]);
}

#[tokio::test]
async fn one_upload_too_many_is_told_to_come_back() {
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    let mut all = Vec::new();
    for index in 0..MAX_UPLOADS {
        all.push(storage.receive(Ulid(index as u128), chunks(b"content")).await.expect("room"));
    }
    assert!(matches!(storage.receive(Ulid(99), chunks(b"content")).await, Err(StorageError::Busy)));
    all.pop();
    assert!(storage.receive(Ulid(100), chunks(b"content")).await.is_ok());
}

#[test]
fn a_full_disk_has_a_name() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let error = object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(kind)) };
        assert!(matches!(StorageError::from(error), StorageError::Full), "{kind:?}");
    }
    let other = object_store::Error::Generic { store: "test", source: "other".into() };
    assert!(matches!(StorageError::from(other), StorageError::Failed(_)));
}

/// A chunk of a body that is counted as long as anybody holds it.
struct Counted {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_follow_the_size() {
    const CHUNK: usize = 128 * 1024;
    let directory = TempDir::new().expect("a directory");
    let storage = open(&directory).await;
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let body = stream::iter(0..512_u32).map(move |index| {
        peak.fetch_max(held.fetch_add(CHUNK, Ordering::SeqCst) + CHUNK, Ordering::SeqCst);
        Ok(Bytes::from_owner(Counted { bytes: vec![index as u8; CHUNK], held: held.clone() }))
    });
    let received = storage.receive(Ulid(1), body).await.expect("received");
    assert_eq!(received.size, 64 * MIB as u64);
    // One part that is written and hashed, one that is gathered.
    let most = most.load(Ordering::SeqCst);
    assert!((LOCAL_PART_BYTES..=2 * LOCAL_PART_BYTES).contains(&most), "{most} bytes held at once");
}
